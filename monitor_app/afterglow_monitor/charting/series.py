"""Applications of one name over time: which took unusually long, and what else was unusual about them then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import tzinfo
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from afterglow_monitor import address, data, places
from afterglow_monitor import format as fmt
from afterglow_monitor.charting import series_metric
from afterglow_monitor.charting.expectations import FEWEST, WIDTHS, Expected, expectation, unusual
from afterglow_monitor.data import Row
from afterglow_monitor.listing import grid, lists
from afterglow_monitor.listing.grid import Column
from afterglow_monitor.listing.ordered import Keys, by, ordered
from afterglow_monitor.parts import details, status

MOST = 100  # applications, the latest
LONGER = "▲"  # beside the colour
AXIS_PX = 48  # the same of both charts, so that what is of one application is one below the other


def show(row: Row, zone: tzinfo, now: int) -> None:
    rows = data.applications_named(row["name"], MOST)
    if len(rows) < 2:
        details.nothing("The only one", "Other applications of this name are compared with it here.")
        return
    expected = expectation([each["duration_ms"] for each in rows if each["duration_ms"] is not None])
    properties = data.spark_properties_of(tuple(each["id"] for each in rows))
    causes = {each["id"]: unusual(each, rows, expected, properties) for each in rows}
    asked = series_metric.ask(rows)
    values = data.metric_of_applications(tuple(each["id"] for each in rows), asked[0]) if asked else {}
    likely, bad = series_metric.worse(values, asked[1]) if asked else (None, set())
    st.altair_chart(_bars(rows, causes, expected, zone), width="stretch")
    if asked:
        st.altair_chart(_points(rows, values, asked[0], likely, bad, zone), width="stretch")
    slower = {id_ for id_, why in causes.items() if why}
    _said(expected, len(slower))
    if slower & bad:
        st.markdown(
            f":red[:material/trending_down:] **{fmt.counted(len(slower & bad), 'application')} slower and worse**"
        )
    _list(rows, causes, values, bad, zone, now)


def _said(expected: Expected | None, longer: int) -> None:
    if expected is None:
        st.caption(f"What is to be expected is shown once there are more than {FEWEST} of them that have ended.")
        return
    low, high = fmt.duration(expected.low), fmt.duration(expected.high)
    band = f"{low} to {high}" if expected.low else f"up to {high}"
    took_longer = f"{LONGER} {longer}" if longer else "None"
    st.caption(f"Expected: {band} (median ± {WIDTHS:g} deviations). {took_longer} took longer.")


def _bars(rows: Sequence[Row], causes: Mapping[int, list[str]], expected: Expected | None, zone: tzinfo) -> Any:
    table = pd.DataFrame(
        {
            "at": [f"{at:04}" for at in range(len(rows))],
            "start": [f"{pd.Timestamp(each['start_time'], unit='ms', tz=zone):%d %b %H:%M}" for each in reversed(rows)],
            "seconds": [(each["duration_ms"] or 0) / 1000 for each in reversed(rows)],
            "took": [fmt.duration(each["duration_ms"]) for each in reversed(rows)],
            "status": [status.look(each["status"]).word for each in reversed(rows)],
            "why": ["; ".join(causes[each["id"]]) or "as expected" for each in reversed(rows)],
            "colour": ["#e5484d" if causes[each["id"]] else "#7c5cd6" for each in reversed(rows)],
            "sign": [LONGER if causes[each["id"]] else "" for each in reversed(rows)],
        }
    )
    bars = alt.Chart(table).mark_bar(cornerRadiusEnd=2).encode(
        x=alt.X("at:N", title=None, axis=None),
        y=alt.Y("seconds:Q", title="duration (s)", axis=alt.Axis(minExtent=AXIS_PX)),
        color=alt.Color("colour:N", scale=None),
        tooltip=["start:N", "took:N", "status:N", "why:N"],
    )  # fmt: skip
    signs = alt.Chart(table).mark_text(dy=-8, color="#e5484d").encode(x="at:N", y="seconds:Q", text="sign:N")
    if expected is None:
        return (bars + signs).properties(height=220)
    band = pd.DataFrame([{"low": expected.low / 1000, "high": expected.high / 1000}])
    between = alt.Chart(band).mark_rect(opacity=0.14, color="#0f9d8a").encode(y="low:Q", y2="high:Q")
    return (between + bars + signs).properties(height=220)


def _points(
    rows: Sequence[Row],
    values: Mapping[int, float],
    metric: str,
    expected: Expected | None,
    bad: Set[int],
    zone: tzinfo,
) -> Any:
    """Below the bars, each over the same place."""
    table = pd.DataFrame(
        {
            "at": [f"{at:04}" for at in range(len(rows))],
            "start": [f"{pd.Timestamp(each['start_time'], unit='ms', tz=zone):%d %b %H:%M}" for each in reversed(rows)],
            "value": [values.get(each["id"]) for each in reversed(rows)],
            "than": ["worse than expected" if each["id"] in bad else "as expected" for each in reversed(rows)],
            "colour": ["#e5484d" if each["id"] in bad else "#0f9d8a" for each in reversed(rows)],
            "shape": ["triangle-down" if each["id"] in bad else "circle" for each in reversed(rows)],
        }
    )
    y = alt.Y("value:Q", title=metric, scale=alt.Scale(zero=False), axis=alt.Axis(minExtent=AXIS_PX))
    base = alt.Chart(table).encode(x=alt.X("at:N", title=None, axis=None), y=y)
    line = base.mark_line(color="#0f9d8a", opacity=0.4)
    dots = base.mark_point(size=70, filled=True, opacity=1).encode(
        color=alt.Color("colour:N", scale=None),
        shape=alt.Shape("shape:N", scale=None),
        tooltip=["start:N", "value:Q", "than:N"],
    )
    if expected is None:
        return (line + dots).properties(height=150)
    band = pd.DataFrame([{"low": expected.low, "high": expected.high}])
    between = alt.Chart(band).mark_rect(opacity=0.14, color="#0f9d8a").encode(y="low:Q", y2="high:Q")
    return (between + line + dots).properties(height=150)


HISTORY = (
    Column("Start", 210, "start_time"),
    lists.STATUS_OF_APPLICATIONS,
    Column("Duration", 100, "duration_ms", right=True),
    Column("Longer than expected, because", 420, "why"),
    Column("Metric", 130, "metric", right=True),
    Column("Input", 100, "input_bytes", right=True),
    Column("Core time", 100, "core_seconds", right=True),
    Column("Failed tasks", 90, "failed_tasks", right=True),
    Column("Runs", 100, "runs", right=True),
    Column("User", 100, "user_name"),
)
_KEYS: Keys = {
    **by("start_time", "status", "duration_ms", "why", "input_bytes", "core_seconds", "failed_tasks", "runs"),
    **by("user_name"),
    "metric": lambda row: row["metric"],
}


def _list(
    rows: Sequence[Row],
    causes: Mapping[int, list[str]],
    values: Mapping[int, float],
    bad: Set[int],
    zone: tzinfo,
    now: int,
) -> None:
    view = address.order()
    whys = {each["id"]: fmt.short("; ".join(causes[each["id"]]), 300) for each in rows}
    shown = ordered([each | {"why": whys[each["id"]], "metric": values.get(each["id"])} for each in rows], view, _KEYS)
    cells = [
        {
            "Start": fmt.when(each["start_time"], zone, now=now),
            "Status": [status.label(each["status"])],
            "Duration": fmt.lasting(each, now=now),
            "Longer than expected, because": f"{LONGER} {each['why']}" if each["why"] else "",
            "Metric": _value(each["metric"], each["id"] in bad),
            "Input": fmt.size(each["input_bytes"]),
            "Core time": fmt.core_time(each["core_seconds"]),
            "Failed tasks": fmt.count(each["failed_tasks"] or 0),
            "Runs": fmt.with_failed(each["runs"], each["failed_runs"]),
            "User": fmt.short(each["user_name"], 60),
        }
        for each in shown
    ]
    grid.grid("history", HISTORY, cells, [places.application(each) for each in shown], view=view)


def _value(value: float | None, worse: bool) -> str:
    return fmt.NOTHING if value is None else fmt.metric(value) + ("  ·  worse" if worse else "")
