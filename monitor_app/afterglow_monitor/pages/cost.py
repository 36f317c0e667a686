"""Cost: who used how much of the cores, and what that comes to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from afterglow_monitor import address, data, details
from afterglow_monitor import format as fmt
from afterglow_monitor.data import Row
from afterglow_monitor.settings import load_settings
from afterglow_monitor.toolbar import choice, window_control
from afterglow_store.errors import TooSlow
from afterglow_store.windows import DEFAULT

BY = {"experiment": "Experiment", "user": "User", "application": "Application", "run": "Run", "day": "Day"}
MOST = 1_000  # rows on the page
BARS = 20


def show(zone: tzinfo) -> None:
    view, by = address.view(), address.open_tab(BY, "by")
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="toolbar"):
        window_control(view, DEFAULT)
        choice("by", BY, by)
    try:
        rows = data.usage(by, view)
    except TooSlow:
        details.nothing("It takes too long", "So many jobs started in this time. Choose a shorter one.")
        return
    if not rows:
        details.nothing("Nothing was used", "No Spark job started in this time.")
        return
    _totals(rows)
    table = pd.DataFrame([cells(by, row) for row in rows])
    st.altair_chart(_bars(by, table), width="stretch")
    _table(by, table)


def price(core_seconds: float) -> float | None:
    """In the settings' currency; None where they name no price."""
    per_hour = load_settings().cost.core_hour
    return core_seconds / 3600 * per_hour if per_hour else None


def _money(core_seconds: float) -> str | None:
    amount = price(core_seconds)
    return None if amount is None else f"{amount:,.2f} {load_settings().cost.currency}".strip()


def _totals(rows: Sequence[Row]) -> None:
    used = sum(row["core_seconds"] for row in rows)
    outside = sum(row["overhead_core_seconds"] for row in rows)
    facts = {
        "Core time": fmt.core_time(used),
        "Price": _money(used),
        "Served no run": f"{fmt.core_time(outside)}  ·  {fmt.share(outside / used)}" if used and outside else None,
        "Jobs": fmt.with_failed(sum(row["jobs"] for row in rows), sum(row["failed_jobs"] for row in rows)),
    }
    details.facts("cost", facts)
    if price(1.0) is None:
        st.caption("Name the price of a core-hour in afterglow.toml, [cost], to see money too.")


def cells(by: str, row: Row) -> dict[str, Any]:
    """A line of the table, which is what is downloaded as well."""
    amount = price(row["core_seconds"])
    return {
        BY[by]: name(by, row),
        "Core-hours": row["core_seconds"] / 3600,
        **({} if amount is None else {"Price": amount}),
        "Served no run (core-hours)": row["overhead_core_seconds"] / 3600,
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
    return fmt.named(row[by] or "outside of runs")


def _bars(by: str, table: pd.DataFrame) -> Any:
    """The most first; days one after the other."""
    days = by == "day"
    shown = table.sort_values(BY[by]) if days else table.head(BARS)
    named = alt.Axis(labelLimit=240, labelAngle=-45 if days else 0, labelOverlap=days)
    group = {"shorthand": f"{BY[by]}:N", "sort": None, "title": None, "axis": named}
    amount = {"shorthand": "Core-hours:Q", "title": "core-hours"}
    x, y = (group, amount) if days else (amount, group)
    bars = alt.Chart(shown).mark_bar(cornerRadiusEnd=2).encode(
        x=alt.X(**x), y=alt.Y(**y), tooltip=[BY[by], alt.Tooltip("Core-hours", format=",.2f")]
    )  # fmt: skip
    return bars.properties(height=260 if days else 26 * len(shown) + 80)


def _table(by: str, table: pd.DataFrame) -> None:
    number = st.column_config.NumberColumn
    form = {name: number(format="localized") for name in table.columns if "bytes" in name or "obs" in name}
    hours = {name: number(format="%.3f") for name in table.columns if "ours" in name or name == "Price"}
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
