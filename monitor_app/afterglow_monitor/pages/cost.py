"""Cost: who used how much of the cores, and what that comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from afterglow_monitor import address, data
from afterglow_monitor import format as fmt
from afterglow_monitor.data import Row
from afterglow_monitor.listing.toolbar import choice, pick, window_control
from afterglow_monitor.parts import details
from afterglow_monitor.settings import load_settings
from afterglow_store.cost import IDLE_BY, TAG
from afterglow_store.errors import TooSlow
from afterglow_store.windows import DEFAULT

BY = {"experiment": "Experiment", "user": "User", "tag": "Tag", "application": "Application", "run": "Run",
      "day": "Day"}  # fmt: skip
MOST = 1_000  # rows on the page
BARS = 20


def show(zone: tzinfo) -> None:
    view, by = address.view(), address.open_tab(BY, "by")
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="toolbar"):
        window_control(view, DEFAULT)
        choice("by", BY, by)
        tag = pick("tag", _own_first(data.tag_keys(view)), key="cost tag") if by == TAG else ""
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
    _totals(rows, idle)
    table = pd.DataFrame([cells(by, row, idle) for row in rows])
    st.altair_chart(_bars(by, table), width="stretch")
    _table(by, table)


def _own_first(keys: list[str]) -> list[str]:
    """The tags that people set come first."""
    own = fmt.own_tags(dict.fromkeys(keys, ""))
    return [*own, *(key for key in keys if key not in own)]


def _money(amount: float) -> str | None:
    """In the settings' currency; None where they name no price."""
    said = load_settings().cost
    return f"{amount:,.2f} {said.currency}".strip() if said.known else None


def _totals(rows: Sequence[Row], idle: Mapping[Any, Row]) -> None:
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
    st.caption(
        "A job counts for the run whose tag it has; what served no run is its application's overhead. Allocated and "
        "idle are of the applications that started in this time."
    )
    if not load_settings().cost.known:
        st.caption("Name the price of a core-hour in afterglow.toml, [cost], to see money too.")


def cells(by: str, row: Row, idle: Mapping[Any, Row]) -> dict[str, Any]:
    """A line of the table, which is what is downloaded as well."""
    used = row["core_seconds"]
    of_it = idle.get(row.get(by)) if by in IDLE_BY else None
    lay_idle = {} if by not in IDLE_BY else {
        "Idle (%)": 100 * of_it["idle_core_seconds"] / of_it["allocated_core_seconds"] if of_it else None
    }  # fmt: skip
    return {
        BY[by]: name(by, row),
        "Core-hours": used / 3600,
        **({"Price": row["price"]} if load_settings().cost.known else {}),
        "Served no run (%)": 100 * row["overhead_core_seconds"] / used if used else 0.0,
        **lay_idle,
        "Jobs": row["jobs"],
        "Failed jobs": row["failed_jobs"],
        "Input (bytes)": row["input_bytes"] or 0,
        "Shuffle read (bytes)": row["shuffle_read_bytes"] or 0,
        "Spilled to disk (bytes)": row["disk_spilled_bytes"] or 0,
    }


def name(by: str, row: Row) -> str:
    """What a line is of."""
    if by == "run":
        return fmt.named(row["name"] or row["run_id"] or "outside of runs")
    if by == TAG:
        return "without it" if row["tag"] is None else fmt.named(row["tag"])
    return fmt.named(row[by] or "outside of runs")


def _bars(by: str, table: pd.DataFrame) -> Any:
    """The most first; days one after the other."""
    days = by == "day"
    shown = table.sort_values(BY[by]) if days else table.head(BARS)
    named = alt.Axis(labelLimit=170, labelAngle=-45 if days else 0, labelOverlap=days)
    group = {"shorthand": f"{BY[by]}:N", "sort": None, "title": None, "axis": named}
    amount = {"shorthand": "Core-hours:Q", "title": "core-hours", "axis": alt.Axis(tickCount=8, format="~g")}
    x, y = (group, amount) if days else (amount, group)
    bars = alt.Chart(shown).mark_bar(cornerRadiusEnd=2).encode(
        x=alt.X(**x), y=alt.Y(**y), tooltip=[BY[by], alt.Tooltip("Core-hours", format=",.4~g")]
    )  # fmt: skip
    return bars.properties(height=260 if days else 26 * len(shown) + 80)


def _table(by: str, table: pd.DataFrame) -> None:
    number = st.column_config.NumberColumn
    form = {name: number(format="localized") for name in table.columns if "bytes" in name or "obs" in name}
    hours = {name: number(format="%.3f") for name in table.columns if "ours" in name or name == "Price"}
    hours |= {name: number(format="%.1f") for name in table.columns if name.endswith("(%)")}
    details.plain_frame(table.head(MOST), {BY[by]: st.column_config.TextColumn(width=280)} | form | hours)
    if len(table) > MOST:
        st.caption(f"The {MOST:,} that used the most of {len(table):,}; the download has all.")
    st.download_button(
        "Download as CSV",
        table.to_csv(index=False).encode(),
        f"usage-by-{by}.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
    )
