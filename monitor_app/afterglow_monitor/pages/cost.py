"""Cost: who used how much of the cores, and what that comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta, tzinfo
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from afterglow_monitor import address, data, places
from afterglow_monitor import format as fmt
from afterglow_monitor.address import View
from afterglow_monitor.charting.charts import told_apart
from afterglow_monitor.data import Row
from afterglow_monitor.listing.grid import Column, grid
from afterglow_monitor.listing.toolbar import choice, custom_window, pick, window_control
from afterglow_monitor.parts import details
from afterglow_monitor.places import Place
from afterglow_monitor.row_files import harmless
from afterglow_monitor.settings import load_settings
from afterglow_store.cost import IDLE_BY, TAG
from afterglow_store.errors import TooSlow
from afterglow_store.filters.tokens import in_backticks, quoted
from afterglow_store.windows import DEFAULT

BY = {"experiment": "Experiment", "user": "User", "tag": "Tag", "application": "Application", "run": "Run",
      "day": "Day (UTC)"}  # fmt: skip
MOST = 1_000  # rows on the page
BARS = 20


def show(zone: tzinfo) -> None:
    view, by = address.view(), address.open_tab(BY, "by")
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="toolbar"):
        window_control(view, DEFAULT)
        choice("by", BY, by)
        tag = pick("tag", _own_first(data.tag_keys(view)), key="cost tag") if by == TAG else ""
    custom_window(view, zone)
    try:
        rows = data.cost(by, tag, view) if by != TAG or tag else []
        idle = data.idle(by if by in IDLE_BY else None, view)
    except TooSlow:
        details.nothing("It takes too long", "So many jobs started in this time. Choose a shorter one.")
        return
    if by == TAG and not tag:
        details.nothing("No tags", "No run of this time has a tag that a person has set.")
        return
    if not rows:
        details.nothing("Nothing was used", "No Spark job started in this time.")
        return
    _totals(by, rows, idle)
    table = pd.DataFrame(
        [{BY[by]: label, **cells(by, row, idle)} for label, row in zip(labels(by, rows), rows, strict=True)]
    )
    st.altair_chart(_bars(by, table), width="stretch")
    _table(by, table, [place(by, tag, row, view) for row in rows])


def _own_first(keys: list[str]) -> list[str]:
    """The tags that people set come first."""
    own = fmt.own_tags(dict.fromkeys(keys, ""))
    return [*own, *(key for key in keys if key not in own)]


def _money(amount: float) -> str | None:
    """In the settings' currency; None where they name no price."""
    said = load_settings().cost
    return f"{amount:,.2f} {said.currency}".strip() if said.known else None


def _totals(by: str, rows: Sequence[Row], idle: Mapping[Any, Row]) -> None:
    used = sum(row["core_seconds"] for row in rows)
    outside = sum(row["overhead_core_seconds"] for row in rows)
    allocated, unused = (sum(each[f"{name}_core_seconds"] for each in idle.values()) for name in ("allocated", "idle"))
    facts = {
        "Core time": details.core_fact(used),
        "Price": _money(sum(row["price"] for row in rows)),
        "Served no run": (f"{fmt.core_time(outside)}  ·  {fmt.share(outside / used)}", fmt.exact_seconds(outside))
        if used and outside
        else None,
        "Allocated": details.core_fact(allocated),
        "Idle": (f"{fmt.core_time(unused)}  ·  {fmt.share(unused / allocated)}", fmt.exact_seconds(unused))
        if allocated
        else None,
        "Jobs": fmt.with_failed(sum(row["jobs"] for row in rows), sum(row["failed_jobs"] for row in rows)),
    }
    details.facts("cost", facts)
    alone = f" {_ALONE.format(_OF_WHAT[by])}" if by in _OF_WHAT else ""
    st.caption(
        "A job counts for the run whose tag it has; what served no run is its application's overhead. Allocated and "
        f"idle are of the applications that started in this time.{alone}"
    )
    if not load_settings().cost.known:
        st.caption("Name the price of a core-hour in afterglow.toml, [cost], to see money too.")


_ALONE = "What lay idle is an application's, whose cores wait for all of its runs: {} has no share of it."
_OF_WHAT = {"experiment": "an experiment", TAG: "a tag", "run": "a run"}


def cells(by: str, row: Row, idle: Mapping[Any, Row]) -> dict[str, Any]:
    """What follows the label in a line of the table, which is what is downloaded as well."""
    used = row["core_seconds"]
    of_it = idle.get(row.get(by)) if by in IDLE_BY else None
    lay_idle = {} if by not in IDLE_BY else {
        "Idle (%)": 100 * of_it["idle_core_seconds"] / of_it["allocated_core_seconds"] if of_it else None
    }  # fmt: skip
    which = {"Experiment": row["experiment"], "Run ID": row["run_id"]} if by == "run" else {}
    return {
        "Core-hours": used / 3600,
        **({"Price": row["price"]} if load_settings().cost.known else {}),
        "Served no run (%)": 100 * row["overhead_core_seconds"] / used if used else 0.0,
        **lay_idle,
        "Jobs": row["jobs"],
        "Failed jobs": row["failed_jobs"],
        "Input (bytes)": row["input_bytes"] or 0,
        "Shuffle read (bytes)": row["shuffle_read_bytes"] or 0,
        "Spilled to disk (bytes)": row["disk_spilled_bytes"] or 0,
        **which,
    }


def labels(by: str, rows: Sequence[Row]) -> list[str]:
    """What each line is of. No two are the same: they would fall into one bar."""
    names = [name(by, row) for row in rows]
    if by == "run":
        return told_apart(names, [row["run_id"] or "no run" for row in rows], (6, 12))
    if by == "experiment":
        return told_apart(names, [f"{row['experiment_id']} at {row['server']}" for row in rows])
    return told_apart(names, [str(number) for number in range(1, len(rows) + 1)])


def name(by: str, row: Row) -> str:
    """What a line is of."""
    if by == "run":
        return fmt.named(row["name"] or row["run_id"] or "outside of runs")
    if by == TAG:
        return "without it" if row["tag"] is None else fmt.named(row["tag"])
    if by == "experiment":
        return fmt.named(row["experiment"] or row["experiment_id"] or "outside of runs")
    return fmt.named(row[by] or "outside of runs")


def place(by: str, tag: str, row: Row, view: View) -> Place | None:
    """Where the runs of a line are listed; None of what served no run, or of what no filter names."""
    if by == "run":
        return places.run(row["run_id"]) if row["run_id"] else None
    window = {"window": "" if view.window == DEFAULT else view.window, "from": view.since or "", "to": view.until or ""}
    asked = _OF_RUNS[by](row, tag)
    if asked is None:
        return None
    return Place(places.HOME, {"tab": "runs"} | {key: said for key, said in (window | asked).items() if said})


def _of_tag(row: Row, tag: str) -> dict[str, str] | None:
    return None if row["tag"] is None else {"filter": f"tags.{in_backticks(tag)} = {quoted(row['tag'])}"}


def _of_day(row: Row, _tag: str) -> dict[str, str]:
    day = date.fromisoformat(row["day"])
    return {"window": address.CUSTOM, "from": f"{day}T00:00Z", "to": f"{day + timedelta(days=1)}T00:00Z"}


# What the list of runs is asked for, by what a line is of.
_OF_RUNS: Mapping[str, Callable[[Row, str], dict[str, str] | None]] = {
    "experiment": lambda row, _: {"of": row["experiment"]} if row["experiment"] else None,
    "user": lambda row, _: {"user": row["user"]} if row["user"] else None,
    "application": lambda row, _: {"app": row["application"]} if row["application"] else None,
    TAG: _of_tag,
    "day": _of_day,
}


def _bars(by: str, table: pd.DataFrame) -> Any:
    """The most first; days one after the other."""
    days = by == "day"
    shown = table.sort_values(BY[by]) if days else table.head(BARS)
    named = alt.Axis(labelLimit=170, labelAngle=-45 if days else 0, labelOverlap=days)
    group: dict[str, Any] = {"field": BY[by], "type": "nominal", "sort": None, "title": None, "axis": named}
    hours: dict[str, Any] = {"field": "Core-hours", "type": "quantitative", "title": "core-hours"}
    amount = hours | {"axis": alt.Axis(tickCount=8, format="~g")}
    x, y = (group, amount) if days else (amount, group)
    tooltip = [alt.Tooltip(field=BY[by], type="nominal"), alt.Tooltip(**hours, format=",.4~g")]
    bars = alt.Chart(shown).mark_bar(cornerRadiusEnd=2).encode(x=alt.X(**x), y=alt.Y(**y), tooltip=tooltip)
    return bars.properties(height=260 if days else 26 * len(shown) + 80)


def _table(by: str, table: pd.DataFrame, targets: Sequence[Place | None]) -> None:
    columns = [_column(by, str(each)) for each in table.columns]
    shown = [dict(zip(map(str, table.columns), line, strict=True)) for line in table.head(MOST).itertuples(index=False)]
    grid(f"cost by {by}", columns, shown, targets[:MOST])
    opens = "the run" if by == "run" else "its runs"
    many = f"The {MOST:,} that used the most of {len(table):,}; the download has all. " if len(table) > MOST else ""
    st.caption(f"{many}A click on a row opens {opens}.")
    st.download_button(
        "Download as CSV",
        table.map(harmless).to_csv(index=False).encode(),
        f"usage-by-{by}.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
    )


def _column(by: str, name: str) -> Column:
    if name in (BY[by], "Experiment", "Run ID"):
        return Column(name, 280 if name == BY[by] else 160 if name == "Experiment" else 250)
    form = "%.3f" if name in ("Core-hours", "Price") else "%.1f" if name.endswith("(%)") else "localized"
    return Column(name, 0, config=st.column_config.NumberColumn(format=form))
