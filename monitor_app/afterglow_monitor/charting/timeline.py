"""An application over time: how many cores it had and used, and each run as a band with its Spark jobs in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from afterglow_monitor import data
from afterglow_monitor import format as fmt
from afterglow_monitor.data import Row
from afterglow_monitor.parts import details, status

POINTS = 400  # over the whole time
MOST_RUNS = 40  # bands; of more, those whose jobs took the most
OUTSIDE = "outside of runs"
ROW_PX, CORES_PX = 26, 130
NAMES_PX, NAME, LETTER_PX = 170, 34, 7  # for the names of bands: at most, and of how many letters
COLOURS = {"RUNNING": "#4c8df6", "FAILED": "#e5484d", "KILLED": "#e69f00"}

Span = tuple[int, int]  # from and to, in ms


@dataclass(frozen=True)
class Band:
    """A run, or what is outside of all; `jobs`: each span in which any of its jobs ran, and how many they were."""

    name: str
    span: Span | None
    status: str | None
    jobs: list[tuple[Span, int, int]]  # with how many of them failed


def show(row: Row, zone: tzinfo, now: int) -> None:
    jobs, stages = data.jobs_of(row["id"]), data.stages_of(row["id"])
    runs = [run for experiment in data.items_of(row["id"]) for run in flat(experiment["items"])]
    if not jobs and not runs:
        details.nothing("Nothing to show yet", "Its runs and Spark jobs appear here along the time.")
        return
    span = whole(row, jobs, now)
    found = bands(runs, jobs, span)
    st.caption(_said(found, runs))
    shown = found[: MOST_RUNS + (found[0].span is None)]
    names_px = min(NAMES_PX, max(LETTER_PX * len(fmt.short(each.name, NAME)) for each in shown))
    upper = _cores(cores(stages, data.executors_of(row["id"]), span, now=now), zone, span, names_px)
    lower = _bands(shown, zone, span, names_px)
    st.altair_chart(upper, width="stretch", key="timeline cores")
    st.altair_chart(lower, width="stretch", key="timeline runs")


def flat(runs: Iterable[Row]) -> list[Row]:
    """A tree of runs as a list, parents first."""
    return [each for run in runs for each in (run, *flat(run["children"]))]


def whole(row: Row, jobs: Sequence[Row], now: int) -> Span:
    """From the application's start to its end, or to now, with all of its jobs in it."""
    ends = [each["end_time"] for each in jobs if each["end_time"]]
    end = row["end_time"] or (now if row["status"] == "RUNNING" else None)
    return row["start_time"], max([row["start_time"] + 1, *filter(None, [end]), *ends])


def cores(stages: Sequence[Row], executors: Sequence[Row], span: Span, *, now: int) -> pd.DataFrame:
    """`time` (ms), `busy` and `allocated` (cores) at POINTS moments. What a stage used is known in all, not when: it is
    spread evenly over the stage's time."""
    edges = np.linspace(*span, POINTS + 1)
    busy, allocated = np.zeros(POINTS), np.zeros(POINTS)
    for each in stages:
        start, end = each["start_time"], each["end_time"] or (now if each["status"] == "RUNNING" else None)
        if start is not None and end is not None and end > start and each["core_ms"]:
            busy += _overlap(edges, (start, end)) * (each["core_ms"] / (end - start))
    for each in executors:
        if each["cores"] and each["added_time"] is not None:
            allocated += _overlap(edges, (each["added_time"], each["removed_time"] or span[1])) * each["cores"]
    return pd.DataFrame({"time": edges[:-1], "busy": busy, "allocated": allocated})


def _overlap(edges: Any, span: Span) -> Any:
    """The share of each piece between two edges that lies in the span."""
    lower, upper = np.clip(edges[:-1], *span), np.clip(edges[1:], *span)
    return (upper - lower) / (edges[1:] - edges[:-1])


def bands(runs: Sequence[Row], jobs: Sequence[Row], span: Span) -> list[Band]:
    """In order of their start; where they are more than MOST_RUNS, those come first whose jobs took the most."""
    by_run: dict[str | None, list[Row]] = {}
    known = {run["run_id"] for run in runs}
    for job in jobs:
        by_run.setdefault(job["run_id"] if job["run_id"] in known else None, []).append(job)
    most = sorted(runs, key=lambda run: -run["core_seconds"])
    shown = sorted(most[:MOST_RUNS], key=lambda run: run["start_time"]) + most[MOST_RUNS:]
    found = [
        Band(fmt.named(run["name"]), (run["start_time"], run["end_time"] or span[1]), run["effective_status"],
             merged(by_run.get(run["run_id"], ()), span))
        for run in shown
    ]  # fmt: skip
    outside = merged(by_run.get(None, ()), span)
    return [Band(OUTSIDE, None, None, outside), *found] if outside else found


def merged(jobs: Iterable[Row], span: Span) -> list[tuple[Span, int, int]]:
    """Jobs closer to each other than a picture can show, as one: from, to, how many and how many of them failed."""
    gap = (span[1] - span[0]) / 1_000
    found: list[tuple[Span, int, int]] = []
    for job in sorted((each for each in jobs if each["start_time"] is not None), key=lambda each: each["start_time"]):
        start, end = job["start_time"], job["end_time"] or span[1]
        failed = int(job["status"] == "FAILED")
        if found and start - found[-1][0][1] <= gap:
            (first, last), count, of_them = found[-1]
            found[-1] = ((first, max(last, end)), count + 1, of_them + failed)
        else:
            found.append(((start, end), 1, failed))
    return found


def _said(found: Sequence[Band], runs: Sequence[Row]) -> str:
    more = f"; of {len(runs):,} runs the {MOST_RUNS} whose jobs took the most" if len(runs) > MOST_RUNS else ""
    above = "Above, the cores at work, each stage's average, and dashed those allocated."
    return f"{above} Below, each run as a band with its Spark jobs in it{more}."


def _axis(zone: tzinfo, span: Span) -> alt.X:
    scale = alt.Scale(domain=[there(span[0], zone), there(span[1], zone)], nice=False)
    return alt.X("from:T", title=None, scale=scale, axis=alt.Axis(format=time_format(span), tickCount=8))


def time_format(span: Span) -> str:
    """For an axis over so much time."""
    took = span[1] - span[0]
    if took < 600_000:
        return "%H:%M:%S"
    return "%H:%M" if took < 86_400_000 else "%d %b %H:%M" if took < 5 * 86_400_000 else "%d %b"


def there(millis: float, zone: tzinfo) -> str:
    """The viewer's own time, without a zone: Vega shows such times as they are."""
    return pd.Timestamp(millis, unit="ms", tz="UTC").tz_convert(zone).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]


def _cores(table: pd.DataFrame, zone: tzinfo, span: Span, names_px: float) -> Any:
    lines = table.assign(**{"from": [there(each, zone) for each in table["time"]]})
    base = alt.Chart(lines).encode(x=_axis(zone, span))
    busy = base.mark_area(interpolate="step-after", opacity=0.75, color="#7c5cd6").encode(
        y=alt.Y("busy:Q", title=None, axis=alt.Axis(minExtent=names_px, maxExtent=names_px)),
        tooltip=[alt.Tooltip("from:T", format="%H:%M:%S", title="at"),
                 alt.Tooltip("busy:Q", format=".1f", title="cores at work"),
                 alt.Tooltip("allocated:Q", format=".1f", title="cores allocated")],
    )  # fmt: skip
    allocated = base.mark_line(interpolate="step-after", color="#8b8799", strokeDash=[4, 3]).encode(y="allocated:Q")
    return (busy + allocated).properties(height=CORES_PX)


def _bands(found: Sequence[Band], zone: tzinfo, span: Span, names_px: float) -> Any:
    order = [f"{at:03}" for at in range(len(found))]
    names = {key: fmt.short(band.name, NAME) for key, band in zip(order, found, strict=True)}
    label = f"{json.dumps(names)}[datum.value]"  # two runs may have one name: rows are told apart by their number
    axis = alt.Axis(labelExpr=label, labelLimit=NAMES_PX, minExtent=names_px, maxExtent=names_px, ticks=False)
    y = alt.Y("row:N", sort=order, title=None, axis=axis)
    least = (span[1] - span[0]) / POINTS  # what took no time is to be seen as well
    runs = pd.DataFrame(
        [
            {"row": key, "run": band.name, "from": there(band.span[0], zone),
             "to": there(max(band.span[1], band.span[0] + least), zone),
             "took": fmt.duration(band.span[1] - band.span[0]), "status": status.look(band.status).word,
             "colour": COLOURS.get(band.status or "", "#8b8799")}
            for key, band in zip(order, found, strict=True) if band.span is not None
        ],
        columns=["row", "run", "from", "to", "took", "status", "colour"],
    )  # fmt: skip
    jobs = pd.DataFrame(
        [
            {"row": key, "run": band.name, "from": there(of[0], zone), "to": there(of[1], zone),
             "jobs": fmt.with_failed(count, failed), "took": fmt.duration(of[1] - of[0]),
             "colour": "#e5484d" if failed else "#7c5cd6"}
            for key, band in zip(order, found, strict=True) for of, count, failed in band.jobs
        ],
        columns=["row", "run", "from", "to", "jobs", "took", "colour"],
    )  # fmt: skip
    x = _axis(zone, span)
    of_runs = alt.Chart(runs).mark_bar(height=18, opacity=0.28, cornerRadius=3).encode(
        x=x, x2="to:T", y=y, color=alt.Color("colour:N", scale=None), tooltip=["run:N", "status:N", "took:N"]
    )  # fmt: skip
    of_jobs = alt.Chart(jobs).mark_bar(height=9, cornerRadius=1).encode(
        x=x, x2="to:T", y=y, color=alt.Color("colour:N", scale=None), tooltip=["run:N", "jobs:N", "took:N"]
    )  # fmt: skip
    return (of_runs + of_jobs).properties(height=ROW_PX * max(1, len(found)))
