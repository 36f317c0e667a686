"""The charts of one run: how its metrics went, over steps or time."""

from __future__ import annotations

from datetime import tzinfo

import altair as alt
import pandas as pd
import streamlit as st

from afterglow_monitor import address, browser_address
from afterglow_monitor import format as fmt
from afterglow_monitor.charting.charts import STEP, TIME, Drawn
from afterglow_monitor.data import Row
from afterglow_monitor.errors import CannotWrite
from afterglow_monitor.listing.toolbar import choice
from afterglow_monitor.parts import details
from afterglow_monitor.syncing import histories

AT_FIRST, MOST = 4, 24  # metrics
HEIGHT_PX = 220
AXES = {STEP: "Step", TIME: "Time"}
SMOOTH = (0.0, 0.5, 0.8, 0.9, 0.97)


def show(row: Row, zone: tzinfo, now: int) -> None:
    names = sorted(row["metrics"] or {})
    if not names:
        details.nothing("No metrics", "Metrics that the run logs are drawn here, step by step.")
        return
    shown = [each for each in browser_address.values("metric") if each in names][:MOST] or names[:AT_FIRST]
    axis = address.open_tab(AXES, "axis")
    log, smooth = browser_address.value("log") == "yes", _smoothing()
    _controls(names, shown, axis, log=log, smooth=smooth)
    for first in range(0, len(shown), 2):
        for metric, column in zip(shown[first : first + 2], st.columns(2, gap="large"), strict=False):
            with column:
                _one(row, metric, axis, log=log, smooth=smooth)


def _smoothing() -> float:
    said = browser_address.value("smooth")
    return next((each for each in SMOOTH if str(each) == said), 0.0)


def _controls(names: list[str], shown: list[str], axis: str, *, log: bool, smooth: float) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key="run charts"):
        address.follow("metrics", shown)
        st.multiselect(
            "Metrics",
            names,
            key="metrics",
            max_selections=MOST,
            label_visibility="collapsed",
            width=520,
            on_change=lambda: address.change(metric=st.session_state["metrics"]),
        )
        choice("axis", AXES, axis)
        address.follow("log scale", log)
        st.toggle(
            "Log scale",
            key="log scale",
            on_change=lambda: address.change(log="yes" if st.session_state["log scale"] else None),
        )
        address.follow("smoothing", smooth)
        st.select_slider(
            "Smoothing",
            SMOOTH,
            key="smoothing",
            format_func=lambda each: f"{each:g}" if each else "not smoothed",
            width=200,
            on_change=lambda: address.change(smooth=str(st.session_state["smoothing"] or "") or None),
        )


def _one(row: Row, metric: str, axis: str, *, log: bool, smooth: float) -> None:
    st.markdown(f"**{fmt.verbatim(fmt.short(metric, 100))}**")
    try:
        lines = histories.lines((row["run_id"],), (fmt.named(row["name"]),), metric)
    except CannotWrite as exc:
        st.error(fmt.verbatim(str(exc)), icon=":material/cloud_off:")
        return
    st.altair_chart(chart(lines, axis, log=log, smooth=smooth), width="stretch")


def chart(lines: pd.DataFrame, axis: str, *, log: bool, smooth: float) -> Drawn:
    """`lines`: as histories.lines has them. `smooth`: how much of each value is what came before it, from 0 to 1."""
    table = lines.assign(smoothed=lines["value"].ewm(alpha=1 - smooth).mean() if smooth else lines["value"])
    x = alt.X("time:T", title=None) if axis == TIME else alt.X("step:Q", title=None, axis=alt.Axis(format="d"))
    scale = alt.Scale(type="symlog" if log else "linear", zero=False)
    base = alt.Chart(table).encode(x=x, tooltip=["step:Q", "time:T", alt.Tooltip("value:Q")])
    line = base.mark_line(point=len(table) <= 60).encode(y=alt.Y("smoothed:Q", title=None, scale=scale))
    raw = base.mark_line(opacity=0.25 if smooth else 0.0).encode(y=alt.Y("value:Q", title=None, scale=scale))
    return (raw + line).properties(height=HEIGHT_PX)
