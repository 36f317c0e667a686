"""The columns of a list of runs, and a person's choice: properties, metrics, params and tags, in any order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from afterglow_monitor import browser_address, data
from afterglow_monitor import format as fmt
from afterglow_monitor.address import MOST_COLUMNS, View, change, follow
from afterglow_monitor.data import Row
from afterglow_monitor.listing.grid import Column
from afterglow_monitor.parts import status
from afterglow_store.errors import BadFilter, TooSlow

STATUS = Column("Status", 108, "status", config=status.column(status.RUN_STATUSES))
USUAL = (
    Column("Name", 230, "name"),
    STATUS,
    Column("Start", 196, "start_time"),
    Column("Duration", 96, "duration", right=True),
    Column("Experiment", 160),
    Column("Application", 160),
    Column("User", 90, "user_name"),
    Column("Metrics", 280),
    Column("Source", 120, "source_name"),
    Column("Registered version", 150),
)
MORE = (
    Column("Core time", 96, "core_ms", right=True),
    Column("Jobs", 110, right=True),
    Column("Tasks", 110, right=True),
    Column("Input", 96, right=True),
    Column("Written", 96, right=True),
    Column("Shuffle read", 100, right=True),
    Column("Shuffle write", 100, right=True),
    Column("Spill", 96, right=True),
    Column("Commit", 130, "tags.mlflow.source.git.commit"),
    Column("Branch", 120, "tags.mlflow.source.git.branch"),
    Column("Parameters", 270),
    Column("Tags", 200),
    Column("Run ID", 250),
)
# Of runs without an application the columns say instead which it may be.
SUGGESTED = (Column("Suggested application", 170), Column("Because", 420))
GROUPS = ("metrics", "params", "tags")

_BY_NAME = {column.name: column for column in (*USUAL, *MORE)}


def of(view: View | None, without: Sequence[str] = ()) -> tuple[Column, ...]:
    """Those that the address names, or the usual ones; `without` those that say the same in each row here."""
    names = [column.name for column in USUAL] if view is None or not view.columns else [*view.columns]
    chosen = [column for name in dict.fromkeys(names) if (column := _column(name)) and column.name not in without]
    if view is None or not view.unlinked:
        return tuple(chosen)
    return tuple(each for column in chosen for each in (SUGGESTED if column.name == "Application" else (column,)))


def _column(name: str) -> Column | None:
    group, _, key = name.partition(".")
    if name in _BY_NAME or group not in GROUPS or not key:
        return _BY_NAME.get(name)
    return Column(name, 120 if group == "metrics" else 150, name, right=group == "metrics")


def cell(row: Row, name: str) -> str:
    """What a run has of a chosen metric, param or tag."""
    group, _, key = name.partition(".")
    value: Any = (row[group] or {}).get(key)
    if value is None:
        return fmt.NOTHING
    return fmt.metric(value) if group == "metrics" else fmt.short(str(value), 200)


def picker(view: View, of_experiment: tuple[str, str] | None) -> None:
    usual = [column.name for column in USUAL]
    chosen = [column.name for column in of(view) if column not in SUGGESTED] if view.columns else usual
    with st.popover("Columns", icon=":material/view_column:"):
        follow("columns", chosen)
        st.multiselect(
            "Columns, from left to right",
            list(dict.fromkeys([*chosen, *_BY_NAME, *_keys(view, of_experiment)])),
            key="columns",
            max_selections=MOST_COLUMNS,
            on_change=lambda: _choose(st.session_state["columns"], usual),
        )
        st.caption("Metrics, params and tags are those of the runs shown. Click a header to sort by it.")
        if browser_address.values("col"):
            st.button("The usual columns", on_click=lambda: change(col=None))


def _choose(names: list[str], usual: list[str]) -> None:
    change(col=None if names == usual else names)


def _keys(view: View, of_experiment: tuple[str, str] | None) -> list[str]:
    try:
        rows = data.runs(view, *(of_experiment or (None, None))).rows
    except (BadFilter, TooSlow):
        return []
    of_rows = [{"metrics": row["metrics"], "params": row["params"], "tags": fmt.own_tags(row["tags"])} for row in rows]
    return [
        f"{group}.{key}" for group in GROUPS for key in sorted({key for row in of_rows for key in row[group] or {}})
    ]
