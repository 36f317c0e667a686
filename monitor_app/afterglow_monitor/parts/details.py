"""The parts that pages about one thing are made of: its title, facts, and tables of what belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from afterglow_monitor import format as fmt
from afterglow_monitor.data import Row
from afterglow_monitor.listing.grid import ROW_PX, TALLEST_TABLE_PX, Column, cells_frame, table, table_px
from afterglow_monitor.listing.ordered import Keys
from afterglow_monitor.parts import status

GONE = {"deleted": "Deleted in MLflow", "purged": "Deleted for good in MLflow"}


def title(name: str | None, of_status: str | None, *, lifecycle: str | None = None) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="title"):
        st.header(fmt.verbatim(fmt.named(name)), anchor=False, width="content")
        if of_status is not None:
            status.badge(of_status)
        if lifecycle in GONE:
            st.badge(GONE[lifecycle], icon=":material/delete:", color="gray")


def reason(of_status: str | None, text: str | None) -> None:
    """Why the status is what it is."""
    if not text:
        return
    with st.container(key="reason-bad" if of_status == "FAILED" else "reason"):
        st.text(fmt.short(text, 1_000))


Fact = str | tuple[str, str] | None  # a value, perhaps with what it is exactly


def facts(key: str, values: Mapping[str, Fact]) -> None:
    """Short labelled values, with what they are exactly on hover; those without a value are left out."""
    with st.container(horizontal=True, gap="medium", key=f"facts-{key}"):
        for label, fact in values.items():
            value, exact = fact if isinstance(fact, tuple) else (fact, None)
            if value and value != fmt.NOTHING:
                st.metric(label, fmt.verbatim(fmt.short(value, 80)), width="content", help=exact)


def span_facts(row: Row, zone: tzinfo, *, now: int, started: str = "Started") -> dict[str, Fact]:
    """When it was, and how long that took."""
    took = fmt.lasting(row, now=now)
    return {
        started: moment_fact(row["start_time"], zone, now=now),
        "Ended": (fmt.moment(row["end_time"], zone, now=now), fmt.exact_moment(row["end_time"], zone)),
        "Duration": took if row["duration_ms"] is None else (took, fmt.exact_seconds(row["duration_ms"] / 1000)),
    }


def moment_fact(millis: int | None, zone: tzinfo, *, now: int) -> Fact:
    return fmt.when(millis, zone, now=now), fmt.exact_moment(millis, zone)


def core_fact(seconds: float | None) -> Fact:
    return fmt.core_time(seconds), fmt.exact_seconds(seconds)


def data_facts(row: Row) -> dict[str, Fact]:
    """As `data_cells`."""
    return {
        name: (cell, f"{bytes_:,} bytes")
        for (name, cell), bytes_ in zip(data_cells(row).items(), _bytes(row), strict=True)
    }


def copyable(text: str) -> None:
    st.code(text, language=None, width="content")


def nothing(headline: str, advice: str) -> None:
    with st.container(border=True, key="empty"):
        st.subheader(headline, anchor=False)
        st.text(advice)


def section(heading: str) -> None:
    st.subheader(heading, anchor=False)


def plain_table(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> None:
    """A table of texts to read, search and copy from. The browser sorts it, as texts; for others see grid.table."""
    plain_frame(cells_frame(columns, rows), {c.name: c.configured() for c in columns})


def plain_frame(table: pd.DataFrame, columns: Mapping[str, ColumnConfig], *, sorts: bool = True) -> None:
    """`sorts`: whether a click on a header sorts the texts below it; else it marks its column."""
    st.dataframe(
        table,
        on_select="ignore" if sorts else _marked,
        selection_mode="single-column",
        hide_index=True,
        row_height=ROW_PX,
        height=min(TALLEST_TABLE_PX, table_px(len(table))),
        column_config=dict(columns),
        placeholder="",
    )


def _marked() -> None:
    """Nothing: the browser shows it."""


def name_values(
    key: str,
    values: Mapping[str, Any],
    noun: str,
    *,
    search: str | None = None,
    numbers: bool = False,
    exactly: Mapping[str, str] | None = None,
) -> None:
    """A two-column table, by name; with `search`, a field to narrow it. `exactly`: what a value is that was rounded."""
    wanted = ""
    if search is not None:
        field = st.text_input(
            "Search",
            key=f"{key} search",
            type="search",
            icon=":material/search:",
            placeholder=search,
            label_visibility="collapsed",
            width=300,
        )
        wanted = (field or "").strip().lower()
    rows = [
        {noun: fmt.short(name, 300), "Value": fmt.short(str(value), 2_000), "Exactly": (exactly or {}).get(name)}
        for name, value in sorted(values.items())
        if wanted in f"{name}={value}".lower()
    ]
    if not rows:
        st.caption(f"No {noun.lower()} here." if not wanted else f"No {noun.lower()} matches.")
        return
    columns = [Column(noun, 200), Column("Value", 150, right=numbers)]
    if numbers:
        table(key, [*columns, Column("Exactly", 180, right=True)] if exactly else columns, rows)
    else:
        plain_table(columns, rows)


def metrics(values: Mapping[str, Any]) -> None:
    """As people read them, and, of those that this rounds, as they are."""
    shown = {name: fmt.metric(value) for name, value in values.items()}
    rounded = (name for name, value in values.items() if isinstance(value, float) and fmt.is_rounded(value))
    exactly = {name: f"{values[name]:,}" for name in rounded}
    name_values("metrics", shown, "Metric", numbers=True, exactly=exactly)


def lasted(row: Row, *, now: int) -> str:
    return fmt.duration(_lasted_ms(row, now=now))


def _lasted_ms(row: Row, *, now: int) -> int | None:
    end = row["end_time"] or (now if row["status"] == "RUNNING" else None)
    return end - row["start_time"] if end and row["start_time"] else None


def tasks(row: Row) -> str:
    return f"{row['succeeded_tasks'] or 0:,} / {row['tasks'] or 0:,}{_failed(row)}"


def run_tasks(row: Row) -> str:
    return f"{row['succeeded_tasks'] or 0:,}{_failed(row)}"


def task_times(skew: Row | None) -> str:
    """The median, the 95th percentile and the longest task attempt of a stage; of two attempts only the longest."""
    times = (skew or {}).get("duration_ms") or {}
    shown = [fmt.duration(times[name]) for name in ("p50", "p95", "max") if name in times]
    return "  ·  ".join(shown) or fmt.NOTHING


def slowest_task(skew: Row | None) -> str:
    """The task attempt of a stage that took the longest, where it ran, and what it read."""
    for task in (skew or {}).get("slowest") or ():
        executor = "the driver" if task["executor"] == "driver" else f"executor {task['executor']}"
        which = [f"task {task['index']}"]
        which += [f"attempt {task['attempt']}"] if task["attempt"] else []
        which += [f"{fmt.size(task['bytes'])} read"] if task["bytes"] else []
        where = f"{fmt.duration(task['duration_ms'])} on {executor}, {task['host']}"
        return fmt.short(f"{where} ({', '.join(which)})", 200)
    return fmt.NOTHING


def files(said: Sequence[Row] | None) -> str:
    """What a query reads or writes."""
    return fmt.short(named_files(said), 300) or fmt.NOTHING


def named_files(said: Sequence[Row] | None) -> str:
    """As `files`, in full."""
    return ", ".join(
        " ".join(filter(None, (each.get("format"), each.get("table") or each.get("path")))) for each in said or ()
    )


def _failed(row: Row) -> str:
    return f"  ·  {row['failed_tasks']:,} failed" if row["failed_tasks"] else ""


DATA_COLUMNS = (
    Column("Input", 90, "input", right=True),
    Column("Written", 90, "written", right=True),
    Column("Shuffle read", 100, "shuffle_read", right=True),
    Column("Shuffle write", 100, "shuffle_write", right=True),
    Column("Spill", 90, "spill", right=True),
)
DATA_CELLS = tuple(column.name for column in DATA_COLUMNS)
_BYTES = ("input_bytes", "output_bytes", "shuffle_read_bytes", "shuffle_write_bytes")


def data_cells(row: Row) -> dict[str, str]:
    """Of each of DATA_CELLS."""
    return dict(zip(DATA_CELLS, map(fmt.size, _bytes(row)), strict=True))


def data_keys() -> Keys:
    """Of each of DATA_COLUMNS."""

    def key(at: int) -> Callable[[Row], Any]:
        return lambda row: _bytes(row)[at] or None

    return {column.sort: key(at) for at, column in enumerate(DATA_COLUMNS) if column.sort}


def _bytes(row: Row) -> list[int]:
    spilled = (row["memory_spilled_bytes"] or 0) + (row["disk_spilled_bytes"] or 0)
    return [*(row[name] or 0 for name in _BYTES), spilled]


def work_cells(row: Row, zone: tzinfo, *, now: int) -> dict[str, Any]:
    """What a job, a stage and a query have in common."""
    return {
        "Status": [status.label(row["status"])],
        "Start": fmt.moment(row["start_time"], zone, now=now),
        "Duration": lasted(row, now=now),
        "Error": fmt.short(row["error"], 300),
    }


def work_keys(*, now: int) -> Keys:
    """Of what `work_cells` shows."""
    return {
        "status": lambda row: row["status"],
        "start_time": lambda row: row["start_time"],
        "duration": lambda row: _lasted_ms(row, now=now),
    }
