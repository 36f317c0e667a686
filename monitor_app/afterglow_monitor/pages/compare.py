"""Runs from any experiments and applications, side by side: charts that a person configures, and a table."""

from __future__ import annotations

import streamlit as st

from afterglow_monitor import address, browser_address, data, places
from afterglow_monitor import format as fmt
from afterglow_monitor.charting import chart_form, charts, run_fields, side_by_side
from afterglow_monitor.clock import now_ms
from afterglow_monitor.data import Row
from afterglow_monitor.listing.run_list import MOST_COMPARED
from afterglow_monitor.parts import details
from afterglow_monitor.settings import load_settings

COLUMN_PX = 170


def show() -> None:
    asked = list(dict.fromkeys(browser_address.values("run")))
    rows = _read(asked[:MOST_COMPARED])
    places.trail(("Monitor", places.monitor()), ("Runs", places.monitor("runs")), here="Compare")
    if len(rows) < 2:
        details.nothing(
            "Two runs or more are needed", "Select them in the list of runs, then choose Compare over the list."
        )
        return
    details.title(f"{len(rows)} runs compared", None)
    if missing := len(asked) - len(rows):
        st.caption(
            f"{fmt.counted(missing, 'run')} left out: not in the store, or more than the {MOST_COMPARED} that fit."
        )
    _which(rows)
    chart_form.show(rows)
    _table(rows)


def _read(run_ids: list[str]) -> list[Row]:
    """With their `price`, where the settings name prices."""
    rows = data.runs_named(tuple(run_ids))
    prices = data.prices_of_runs(tuple(row["run_id"] for row in rows))
    return [row | {run_fields.PRICE: prices.get(row["run_id"])} for row in rows]


def _which(rows: list[Row]) -> None:
    """The runs, each to leave out or to open."""
    names = dict(zip((row["run_id"] for row in rows), charts.distinct_names(rows), strict=True))
    with st.expander(f"The {len(rows)} runs", expanded=False):
        for row in rows if len(rows) <= 10 else ():
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                places.link(names[row["run_id"]], places.run(row["run_id"]))
                experiment = fmt.in_workspace(row["experiment"], row["workspace"])
                apps = ", ".join(fmt.named(each["name"]) for each in row["applications"])
                st.caption(fmt.verbatim("  ·  ".join(filter(None, (experiment, apps)))))
        address.follow("compared", list(names))
        st.multiselect(
            "Compared",
            list(names),
            key="compared",
            format_func=names.__getitem__,
            label_visibility="collapsed",
            on_change=lambda: address.change(run=st.session_state["compared"]),
        )


def _table(rows: list[Row]) -> None:
    zone, now = fmt.zone(st.context.timezone), now_ms()
    applications = sorted({row["applications"][0]["id"] for row in rows if row["applications"]})
    read = data.data_of_runs(tuple(row["run_id"] for row in rows))
    properties = data.spark_properties_of(tuple(applications))
    lines = side_by_side.lines(rows, read, properties, zone, now=now, currency=load_settings().cost.currency)
    details.section("Side by side")
    only, groups = _asked()
    lines = [each for each in lines if (each.differs or not only) and (each.group in groups or not groups)]
    if not lines:
        st.caption("Nothing differs here.")
        return
    table = side_by_side.shown(lines, rows)
    if only:
        table = table.drop(columns="Differs")
    columns = {
        "Group": st.column_config.TextColumn(width=130, pinned=True),
        "What": st.column_config.TextColumn(width=220, pinned=True),
        "Differs": st.column_config.TextColumn("", width=30, pinned=True),
    }
    of_runs = {name: st.column_config.TextColumn(width=COLUMN_PX) for name in table.columns if name not in columns}
    with st.container(key="comparison"):
        details.plain_frame(table, columns | of_runs, sorts=False)
    st.download_button(
        "Download as CSV",
        side_by_side.as_csv(lines, rows),
        "comparison.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
    )


def _asked() -> tuple[bool, list[str]]:
    """Whether only differences are shown, and of which groups; of none: of all."""
    only = browser_address.value("all") != "yes"
    groups = [each for each in browser_address.values("group") if each in side_by_side.GROUPS]
    with st.container(horizontal=True, vertical_alignment="center", key="side by side"):
        address.follow("only differences", only)
        st.toggle(
            "Only differences",
            key="only differences",
            on_change=lambda: address.change(all=None if st.session_state["only differences"] else "yes"),
        )
        address.follow("groups", groups)
        st.pills(
            "Groups",
            side_by_side.GROUPS,
            key="groups",
            selection_mode="multi",
            label_visibility="collapsed",
            on_change=lambda: address.change(group=list(st.session_state["groups"])),
        )
    return only, groups
