"""An application over time: how many cores it had and used, and each run as a band with its Spark jobs and stages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
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
ROW_PX, AXIS_PX, CORES_PX = 26, 40, 200  # the last with its axis and its legend
NAMES_PX, NAME, LETTER_PX = 170, 34, 7  # for the names of bands: at most, and of how many letters
COLOURS = {"RUNNING": "#4c8df6", "FAILED": "#e5484d", "KILLED": "#e69f00"}
USUAL = ("FINISHED", None)  # statuses of bands that have no sign
LINES = {  # of cores: colour and dashes
    "running": ("#7c5cd6", [1, 0]),
    "idle": ("#0f9d8a", [2, 2]),
    "allocated": ("#8b8799", [6, 3]),
    "maximum": ("#e69f00", [1, 4]),
}
KNOWN = ["running", "idle", "allocated"]  # at each moment
MOST_TIMES = 4
UNLIMITED = 100_000  # executors: what Spark says, 2,147,483,647, is no maximum
FAILED = "✕"

Span = tuple[int, int]  # from and to, in ms
Merged = tuple[Span, int, int]  # as what cannot be told apart is drawn: how many it is, and how many of them failed


@dataclass(frozen=True)
class Band:
    """A run, or what is outside of all, with each span in which any of its jobs, or of their stages, ran."""

    name: str
    span: Span | None
    status: str | None
    jobs: list[Merged]
    stages: list[Merged]

    @property
    def label(self) -> str:
        sign = "" if self.status in USUAL else f"{status.look(self.status).sign} "
        return fmt.short(sign + self.name, NAME)


def show(row: Row, zone: tzinfo, now: int) -> None:
    jobs, stages = data.jobs_of(row["id"]), data.stages_of(row["id"])
    runs = [run for experiment in data.items_of(row["id"]) for run in flat(experiment["items"])]
    span, executors = whole(row, jobs, now), data.executors_of(row["id"])
    found = bands(runs, jobs, stages, span)
    if not found:
        details.nothing("Nothing to show yet", "Its runs and Spark jobs appear here along the time.")
        return
    shown = found[: MOST_RUNS + (found[0].span is None)]
    names_px = min(NAMES_PX, max(LETTER_PX * len(each.label) for each in shown))
    table, most = cores(stages, executors, span, now=now), most_cores(row["spark_properties"] or {}, executors)
    st.altair_chart(_cores(table, most, zone, span, names_px), width="stretch", key="timeline cores")
    st.caption(_said(runs))
    st.altair_chart(_bands(shown, zone, span, names_px), width="stretch", key="timeline runs")


def flat(runs: Iterable[Row]) -> list[Row]:
    """A tree of runs as a list, parents first."""
    return [each for run in runs for each in (run, *flat(run["children"]))]


def whole(row: Row, jobs: Sequence[Row], now: int) -> Span:
    """From the application's start to its end, or to now, with all of its jobs in it."""
    ends = [each["end_time"] for each in jobs if each["end_time"]]
    end = row["end_time"] or (now if row["status"] == "RUNNING" else None)
    return row["start_time"], max([row["start_time"] + 1, *filter(None, [end]), *ends])


def cores(stages: Sequence[Row], executors: Sequence[Row], span: Span, *, now: int) -> pd.DataFrame:
    """`time` (ms), and `running`, `idle` and `allocated` (cores) at POINTS moments. What a stage used is known in all,
    not when: it is spread evenly over the stage's time."""
    edges = np.linspace(*span, POINTS + 1)
    busy, allocated = np.zeros(POINTS), np.zeros(POINTS)
    for each in stages:
        start, end = each["start_time"], each["end_time"] or (now if each["status"] == "RUNNING" else None)
        if start is not None and end is not None and end > start and each["core_ms"]:
            busy += _overlap(edges, (start, end)) * (each["core_ms"] / (end - start))
    for each in executors:
        if each["cores"] and each["added_time"] is not None:
            allocated += _overlap(edges, (each["added_time"], each["removed_time"] or span[1])) * each["cores"]
    idle = np.maximum(0, allocated - busy)
    return pd.DataFrame({"time": edges[:-1], "running": busy, "idle": idle, "allocated": allocated})


def most_cores(properties: Mapping[str, str], executors: Sequence[Row]) -> int | None:
    """How many cores its configuration lets it have at once: those of the executors that dynamic allocation may add, or
    that it asked for. None where it says nothing of that, as in local mode."""
    working = [each["cores"] or 0 for each in executors if each["executor_id"] != "driver"]
    of_each = properties.get("spark.executor.cores", "")
    dynamic = properties.get("spark.dynamicAllocation.enabled") == "true"
    number = properties.get("spark.dynamicAllocation.maxExecutors" if dynamic else "spark.executor.instances", "")
    if not (working and number.isdecimal() and int(number) < UNLIMITED):
        return None
    return int(number) * (int(of_each) if of_each.isdecimal() else max(working))


def _overlap(edges: Any, span: Span) -> Any:
    """The share of each piece between two edges that lies in the span."""
    lower, upper = np.clip(edges[:-1], *span), np.clip(edges[1:], *span)
    return (upper - lower) / (edges[1:] - edges[:-1])


def bands(runs: Sequence[Row], jobs: Sequence[Row], stages: Sequence[Row], span: Span) -> list[Band]:
    """In order of their start; where they are more than MOST_RUNS, those come first whose jobs took the most."""
    known = {run["run_id"] for run in runs}
    of_job = {job["job_id"]: job["run_id"] if job["run_id"] in known else None for job in jobs}
    jobs_by_run, stages_by_run = _by_run(jobs, of_job), _by_run(stages, of_job)
    most = sorted(runs, key=lambda run: -run["core_seconds"])
    shown = sorted(most[:MOST_RUNS], key=lambda run: run["start_time"]) + most[MOST_RUNS:]

    def band(name: str, when: Span | None, status_: str | None, run_id: str | None) -> Band:
        drawn = (merged(of.get(run_id, ()), span) for of in (jobs_by_run, stages_by_run))
        return Band(name, when, status_, *drawn)

    found = [
        band(fmt.named(run["name"]), (run["start_time"], run["end_time"] or span[1]), run["effective_status"],
             run["run_id"])
        for run in shown
    ]  # fmt: skip
    outside = band(OUTSIDE, None, None, None)
    return [outside, *found] if outside.jobs else found


def _by_run(rows: Iterable[Row], of_job: Mapping[int, str | None]) -> dict[str | None, list[Row]]:
    found: dict[str | None, list[Row]] = {}
    for row in rows:
        found.setdefault(of_job.get(row["job_id"]), []).append(row)
    return found


def merged(jobs: Iterable[Row], span: Span) -> list[Merged]:
    """Jobs, or stages, closer to each other than a picture can show, as one."""
    gap = (span[1] - span[0]) / 1_000
    found: list[Merged] = []
    for job in sorted((each for each in jobs if each["start_time"] is not None), key=lambda each: each["start_time"]):
        start, end = job["start_time"], job["end_time"] or span[1]
        failed = int(job["status"] == "FAILED")
        if found and start - found[-1][0][1] <= gap:
            (first, last), count, of_them = found[-1]
            found[-1] = ((first, max(last, end)), count + 1, of_them + failed)
        else:
            found.append(((start, end), 1, failed))
    return found


def _said(runs: Sequence[Row]) -> str:
    more = f"; of {len(runs):,} runs the {MOST_RUNS} whose jobs took the most" if len(runs) > MOST_RUNS else ""
    above = "Above, cores; those running are each stage's average."
    return f"{above} Below, each run as a band with its Spark jobs and, thin, their stages; {FAILED} failed{more}."


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


def _cores(table: pd.DataFrame, most: int | None, zone: tzinfo, span: Span, names_px: float) -> Any:
    wide = table.assign(**{"from": [there(each, zone) for each in table["time"]]})
    lines = _lines(wide, most, [there(each, zone) for each in span])
    names = [name for name in LINES if name in set(lines["line"])]
    colours, dashes = [LINES[name][0] for name in names], [LINES[name][1] for name in names]
    legend = alt.Legend(orient="top", title=None, symbolType="stroke", symbolSize=300)
    running = alt.Chart(wide).mark_area(interpolate="step-after", opacity=0.35, color=LINES["running"][0]).encode(
        x=_axis(zone, span), y=alt.Y("running:Q", title=None),
        tooltip=[alt.Tooltip("from:T", format="%H:%M:%S", title="at"),
                 *(alt.Tooltip(f"{name}:Q", format=".1f") for name in KNOWN)],
    )  # fmt: skip
    drawn = alt.Chart(lines).mark_line(interpolate="step-after", strokeWidth=1.5).encode(
        x=_axis(zone, span),
        y=alt.Y("cores:Q", title=None, axis=alt.Axis(minExtent=names_px, maxExtent=names_px)),
        color=alt.Color("line:N", scale=alt.Scale(domain=names, range=colours), legend=legend),
        strokeDash=alt.StrokeDash("line:N", scale=alt.Scale(domain=names, range=dashes), legend=legend),
    )  # fmt: skip
    return (running + drawn).properties(height=CORES_PX)


def _lines(wide: pd.DataFrame, most: int | None, ends: Sequence[str]) -> pd.DataFrame:
    """Columns `from`, `line` and `cores`. `most`: how many it may have, if that is known; else the maximum is what it
    had at most. Beside one that is more than MOST_TIMES that, nothing else could be seen: it is left out."""
    lines = wide.melt(id_vars="from", value_vars=KNOWN, var_name="line", value_name="cores")
    had = round(wide["allocated"].max())
    limit = max(had, most or 0)
    if not 0 < limit <= MOST_TIMES * had:
        return lines
    return pd.concat([lines, pd.DataFrame([{"from": end, "line": "maximum", "cores": limit} for end in ends])])


def _bands(found: Sequence[Band], zone: tzinfo, span: Span, names_px: float) -> Any:
    rows = [(f"{at:03}", band) for at, band in enumerate(found)]
    label = f"{json.dumps({key: band.label for key, band in rows})}[datum.value]"  # two runs may have one name
    axis = alt.Axis(labelExpr=label, labelLimit=NAMES_PX, minExtent=names_px, maxExtent=names_px, ticks=False)
    y, x = alt.Y("row:N", sort=[key for key, _ in rows], title=None, axis=axis), _axis(zone, span)

    def bars(table: pd.DataFrame, seen: str, **mark: Any) -> Any:
        return alt.Chart(table).mark_bar(**mark).encode(
            x=x, x2="to:T", y=y, color=alt.Color("colour:N", scale=None), tooltip=["run:N", seen, "took:N"],
            description="said:N",
        )  # fmt: skip

    jobs = _merged([(key, band, band.jobs) for key, band in rows], "Jobs", "#7c5cd6", zone)
    stages = _merged([(key, band, band.stages) for key, band in rows], "Stages", "#a48ee8", zone)
    signs = alt.Chart(jobs).mark_text(color="#e5484d", fontWeight="bold", dx=7, dy=-3)
    return alt.layer(
        bars(_runs(rows, zone, span), "status:N", height=20, opacity=0.28, cornerRadius=3),
        bars(jobs, "jobs:N", height=8, yOffset=-3, cornerRadius=1),
        bars(stages, "stages:N", height=3, yOffset=5),
        signs.encode(x=alt.X("to:T", title=None), y=y, text="sign:N"),
    ).properties(height=ROW_PX * len(found) + AXIS_PX)


def _runs(rows: Iterable[tuple[str, Band]], zone: tzinfo, span: Span) -> pd.DataFrame:
    least = (span[1] - span[0]) / POINTS  # what took no time is to be seen as well
    return _table("status", [
        {"row": key, "run": band.name, "from": there(band.span[0], zone),
         "to": there(max(band.span[1], band.span[0] + least), zone),
         "took": fmt.duration(band.span[1] - band.span[0]), "status": status.look(band.status).word,
         "colour": COLOURS.get(band.status or "", "#8b8799"), "said": f"Run {band.name}"}
        for key, band in rows if band.span is not None
    ])  # fmt: skip


def _merged(rows: Iterable[tuple[str, Band, list[Merged]]], what: str, colour: str, zone: tzinfo) -> pd.DataFrame:
    return _table(what.lower(), [
        {"row": key, "run": band.name, "from": there(of[0], zone), "to": there(of[1], zone),
         "took": fmt.duration(of[1] - of[0]), what.lower(): fmt.with_failed(count, failed),
         "colour": "#e5484d" if failed else colour, "said": f"{what} of {band.name}", "sign": FAILED if failed else ""}
        for key, band, drawn in rows for of, count, failed in drawn
    ])  # fmt: skip


def _table(what: str, rows: Sequence[Mapping[str, str]]) -> pd.DataFrame:
    """`said`: what a mark is in words, for who cannot see it."""
    return pd.DataFrame(rows, columns=["row", "run", "from", "to", "took", what, "colour", "said", "sign"])
