"""The charts over a comparison: drawn from the address, and changed by a form at each of them."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import streamlit as st

from afterglow_monitor import address, browser_address
from afterglow_monitor import format as fmt
from afterglow_monitor.charting import charts, run_fields
from afterglow_monitor.charting.charts import BOX, LINE, PARALLEL, SCATTER, STEP, TIME, TYPES, Chart
from afterglow_monitor.data import Row
from afterglow_monitor.errors import CannotWrite
from afterglow_monitor.syncing import histories

MOST = 8  # charts on one page
MOST_HEADING = 60  # characters, so that what can be done with it stays beside it


def show(rows: list[Row]) -> None:
    said = [charts.from_text(text) for text in browser_address.values("chart")][:MOST]
    shown = said or charts.usual(rows)
    for first in range(0, len(shown), 2):
        for at, column in enumerate(st.columns(2, gap="large"), first):
            if at < len(shown):
                with column:
                    _one(shown, at, rows)
    if len(shown) < MOST:
        st.button(
            "Add a chart",
            icon=":material/add_chart:",
            type="tertiary",
            on_click=lambda: _say([*shown, replace(shown[0], type=SCATTER, x=run_fields.DURATION, title="")]),
        )


def _say(asked: list[Chart]) -> None:
    address.change(chart=[each.text for each in asked])


def _one(shown: list[Chart], at: int, rows: list[Row]) -> None:
    chart = shown[at]
    with st.container(border=True, key=f"chart-{at}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            # Over the right end of a chart stands what Streamlit offers for it: data, PNG, full screen.
            st.markdown(f"**{fmt.verbatim(fmt.short(chart.heading, MOST_HEADING))}**", width="content")
            with st.popover("Edit", icon=":material/tune:", type="tertiary"):
                _form(shown, at, rows)
        _draw(chart, rows)


def _draw(chart: Chart, rows: list[Row]) -> None:
    lines: pd.DataFrame | None = None
    if chart.type == LINE:
        try:
            metric = chart.y.removeprefix("metrics.")
            run_ids = tuple(row["run_id"] for row in rows)
            lines = histories.lines(run_ids, tuple(charts.distinct_names(rows)), metric)
        except CannotWrite as exc:
            st.error(fmt.verbatim(str(exc)), icon=":material/cloud_off:")
            return
    known = set(run_fields.names(rows))
    if unknown := [each for each in _asked(chart) if each not in known]:
        st.caption(f"None of these runs has {fmt.verbatim(', '.join(unknown))}. Choose something else under Edit.")
        return
    st.altair_chart(charts.draw(chart, rows, lines), width="stretch")


def _asked(chart: Chart) -> list[str]:
    axes = chart.y.split(",") if chart.type == PARALLEL else [chart.y] if chart.type == LINE else [chart.x, chart.y]
    return [*axes, *filter(None, [chart.colour])]


def _form(shown: list[Chart], at: int, rows: list[Row]) -> None:
    """What it offers depends on the type; nothing is drawn anew before Apply."""
    chart, names = shown[at], run_fields.names(rows)
    key = f"{at} {chart.text}"
    kind = st.selectbox(
        "Type", list(TYPES), list(TYPES).index(chart.type), format_func=TYPES.__getitem__, key=f"type {key}"
    )
    asked = Chart(type=kind, x=_x(chart, kind, names, key), y=_y(chart, kind, names, rows, key))
    if kind not in (LINE,):
        colour = st.selectbox(
            "Colour", names, _index(names, chart.colour), key=f"colour {key}", placeholder="one colour"
        )
        asked = replace(asked, colour=colour or "")
    if kind != PARALLEL:
        asked = replace(asked, log=st.toggle("Log scale", chart.log, key=f"log {key}"))
    asked = replace(asked, title=st.text_input("Title", chart.title, key=f"title {key}", max_chars=100))
    with st.container(horizontal=True):
        if st.button("Apply", type="primary", key=f"apply {key}"):
            _say([*shown[:at], asked, *shown[at + 1 :]])
            st.rerun()
        if len(shown) > 1 and st.button("Remove", icon=":material/delete:", key=f"remove {key}"):
            _say([*shown[:at], *shown[at + 1 :]])
            st.rerun()


def _x(chart: Chart, kind: str, names: list[str], key: str) -> str:
    if kind == PARALLEL:
        return run_fields.RUN
    options = [STEP, TIME] if kind == LINE else names
    usual = run_fields.RUN if kind not in (SCATTER, BOX) else names[0]
    at = _index(options, chart.x)
    return st.selectbox("X", options, at if at is not None else _index(options, usual) or 0, key=f"x {kind} {key}")


def _y(chart: Chart, kind: str, names: list[str], rows: list[Row], key: str) -> str:
    if kind == PARALLEL:
        there = [each for each in chart.y.split(",") if each in names]
        return ",".join(st.multiselect("Axes, from left to right", names, there, key=f"y {kind} {key}"))
    options = [f"metrics.{each}" for each in run_fields.metrics(rows)] if kind == LINE else names
    return st.selectbox("Y", options, _index(options, chart.y) or 0, key=f"y {kind} {key}") or ""


def _index(options: list[str], value: str) -> int | None:
    return options.index(value) if value in options else None
