"""An experiment over time: a metric from run to run, and how many of its runs succeeded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo
from statistics import median

import altair as alt
import pandas as pd
import streamlit as st

from afterglow_monitor import address, data
from afterglow_monitor import format as fmt
from afterglow_monitor.charting.charts import Drawn
from afterglow_monitor.charting.timeline import there, time_format
from afterglow_monitor.data import Row
from afterglow_monitor.listing.toolbar import custom_window, pick, window_control
from afterglow_monitor.parts import details, status
from afterglow_store.errors import TooSlow

MOST = 2_000  # runs, the latest
FEWEST_AROUND = 5  # runs, each itself among them, whose median is the line
PIECES = 30  # of the time, in each of which successes are counted
FEWEST_PIECES = 12  # that there is room for, so that a single one is no wall
DAY_MS = 86_400_000
GOOD, BAD = ("FINISHED",), ("FAILED", "KILLED", "ORPHANED", "SUSPECT")
COLOURS = {"Finished": "#0f9d8a", "Failed": "#e5484d", "Killed": "#e69f00", "Orphaned": "#cc79a7",
           "Suspect": "#d55e00", "Running": "#4c8df6"}  # fmt: skip
HEIGHT_PX = 260


def show(row: Row, zone: tzinfo) -> None:
    view = address.view(address.ALL)
    names = _metrics(row)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="toolbar"):
        window_control(view, address.ALL)
        metric = pick("metric", names, key="trend metric")
    custom_window(view, zone)
    try:
        runs = data.trend_of(row["server"], row["experiment_id"], metric, view, MOST)
    except TooSlow:
        details.nothing("It takes too long", "So many runs are in this time. Choose a shorter one.")
        return
    if not runs:
        details.nothing("No runs", "None started in this time.")
        return
    details.section(fmt.verbatim(fmt.short(metric, 100)) if metric else "Metrics")
    _metric_chart(runs, metric, zone)
    details.section(_success_heading(runs))
    st.altair_chart(successes(runs, zone), width="stretch")
    if len(runs) == MOST:
        st.caption(f"Of the latest {MOST:,} runs.")


def _metrics(row: Row) -> list[str]:
    """Those that its runs have, first the one that it is about."""
    names, primary = data.metrics_of_experiment(row["server"], row["experiment_id"]), row["primary_metric"]
    return [primary, *(each for each in names if each != primary)] if primary in names else names


def _metric_chart(runs: Sequence[Row], metric: str, zone: tzinfo) -> None:
    with_it = [each for each in runs if each["value"] is not None]
    if not with_it:
        st.caption("None of these runs has it.")
        return
    st.altair_chart(points(with_it, metric, zone), width="stretch")
    line = f"; the line is the median of {_around(with_it)} runs in a row" if len(with_it) >= FEWEST_AROUND else ""
    st.caption(f"Each run is a point{line}.")


def _around(runs: Sequence[Row]) -> int:
    return max(FEWEST_AROUND, len(runs) // 15) | 1


def points(runs: Sequence[Row], metric: str, zone: tzinfo) -> Drawn:
    """`runs`: the latest first."""
    oldest_first = list(reversed(runs))
    values = [each["value"] for each in oldest_first]
    half = _around(runs) // 2
    table = pd.DataFrame(
        {
            "start": [there(each["start_time"], zone) for each in oldest_first],
            "run": [fmt.named(each["name"]) for each in oldest_first],
            "status": [status.look(each["effective_status"]).word for each in oldest_first],
            "value": values,
            "typical": [median(values[max(0, at - half) : at + half + 1]) for at in range(len(values))],
        }
    )
    form = time_format((oldest_first[0]["start_time"], oldest_first[-1]["start_time"]))
    base = alt.Chart(table).encode(
        x=alt.X("start:T", title=None, axis=alt.Axis(format=form), scale=alt.Scale(padding=16))
    )
    dots = base.mark_circle(size=48, opacity=0.7).encode(
        y=alt.Y("value:Q", title=metric, scale=alt.Scale(zero=False)),
        tooltip=["run:N", "status:N", alt.Tooltip("start:T", format="%d %b %Y %H:%M:%S"), "value:Q"],
    )
    if len(values) < FEWEST_AROUND:
        return dots.properties(height=HEIGHT_PX)
    line = base.mark_line(opacity=0.6, color="#8b8799").encode(y="typical:Q")
    return (line + dots).properties(height=HEIGHT_PX)


def success(runs: Sequence[Row]) -> float | None:
    """The share of what has ended that finished well: stuck runs and false successes are none."""
    good, bad = (sum(each["effective_status"] in which for each in runs) for which in (GOOD, BAD))
    return good / (good + bad) if good + bad else None


def _success_heading(runs: Sequence[Row]) -> str:
    of_all = success(runs)
    return "Success" if of_all is None else f"Success  ·  {fmt.share(of_all)} of these runs"


def successes(runs: Sequence[Row], zone: tzinfo) -> Drawn:
    """How the runs of each piece of the time ended."""
    first, last = runs[-1]["start_time"], runs[0]["start_time"]
    piece = max(60_000, -(-(last - first + 1) // PIECES))
    if last - first > 3 * DAY_MS:
        piece = max(DAY_MS, piece // DAY_MS * DAY_MS)
    counts: dict[int, dict[str, int]] = {}
    for each in runs:
        of_piece = counts.setdefault(first + (each["start_time"] - first) // piece * piece, dict.fromkeys(COLOURS, 0))
        word = status.look(each["effective_status"]).word
        of_piece[word] = of_piece.get(word, 0) + 1
    table = pd.DataFrame([each for at, words in sorted(counts.items()) for each in _stacked(at, piece, words, zone)])
    end = max(last + piece, first + FEWEST_PIECES * piece)
    whole = [there(first, zone), there(end, zone)]
    there_are = [word for word in COLOURS if any(words.get(word) for words in counts.values())]
    colour = alt.Scale(domain=there_are, range=[COLOURS[word] for word in there_are])
    axis = alt.Axis(format=time_format((first, end)), tickCount=8)
    bars = alt.Chart(table).mark_bar(cornerRadius=1).encode(
        x=alt.X("from:T", title=None, scale=alt.Scale(domain=whole), axis=axis),
        x2="to:T",
        y=alt.Y("below:Q", title="runs", axis=alt.Axis(tickMinStep=1)),
        y2="above:Q",
        color=alt.Color("status:N", title=None, scale=colour, legend=alt.Legend(orient="top", offset=2, padding=0)),
        tooltip=["status:N", "runs:Q", alt.Tooltip("from:T", format="%d %b %Y %H:%M")],
    )  # fmt: skip
    return bars.properties(height=200)


def _stacked(at: int, piece: int, words: Mapping[str, int], zone: tzinfo) -> Iterator[Row]:
    below = 0
    for word, number in words.items():
        if number:
            span = {"from": there(at, zone), "to": there(at + piece * 0.92, zone)}
            yield {**span, "status": word, "runs": number, "below": below, "above": below + number}
            below += number
