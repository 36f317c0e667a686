"""`python -m tests.benchmarks.targets`: what was kept in docs/benchmarks, beside what is to be reached with a million.

Prints a table and puts it into docs/benchmarks.md.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from tests.benchmarks import overhead, report
from tests.benchmarks.browser import LIMITS_MS, p95
from tests.benchmarks.busy import EVENTS_PER_S
from tests.benchmarks.listener import TASKS
from tests.benchmarks.search import QUESTIONS, key_of
from tests.support.spark import LISTENER

KEPT = ("search", "load", "idle", "browser", "overhead", "listener", "collect")
MOST, FEWEST = 1_000_000, 10_000  # runs
LISTS_MS = {"afterglow": 5, "postgresql": 10}
OTHERS_MS = 50
DATABASES = {"afterglow": "SQLite", "postgresql": "PostgreSQL"}
GROWTH = 2
LISTS = [name for name in QUESTIONS if name.startswith(("newest", "one app", "top 50 by a", "the next", "1 in 10,"))]
FILTERS = [name for name in QUESTIONS if name.startswith(("1 in 1", "nothing")) and name not in LISTS]
FACETS = [name for name, question in QUESTIONS.items() if question.facet]
BEYOND = [name for name in QUESTIONS if name not in (*LISTS, *FILTERS, *FACETS)]


@dataclass(frozen=True)
class Line:
    name: str
    measured: float
    target: float
    unit: str
    at_least: bool = False

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"| {self.name} | {_number(self.measured)}{self.unit} | {sign} {_number(self.target)} | {self.verdict} |"

    @property
    def verdict(self) -> str:
        if not self.target:
            return "**missed**" if self.measured else "reached"
        times = self.target / self.measured if self.at_least else self.measured / self.target
        return "reached" if times <= 1 else f"**missed: {times:.2f} ×**"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}".rstrip("0").rstrip(".")


def lines(kept: Mapping[str, Any]) -> Iterator[Line]:
    """Of all benchmarks by their names; of what was not measured there is none."""
    yield from _of_search(kept.get("search") or {})
    yield from _of_load(kept.get("load") or {})
    yield from _of_idle(kept.get("idle") or {})
    yield from _of_browser(kept.get("browser") or {})
    yield from _of_overhead(kept.get("overhead") or {})
    yield from _of_listener(kept.get("listener") or {})
    yield from _of_collect(kept.get("collect") or {})


def _of_search(kept: Mapping[str, Any]) -> Iterator[Line]:
    for side, database in DATABASES.items():
        medians = _medians(kept, MOST, side)
        for what, names, most in (
            ("newest 50 and the like", LISTS, LISTS_MS[side]),
            ("filters on metric, tag and param", FILTERS, OTHERS_MS),
            ("facets", FACETS, OTHERS_MS),
            ("longest, most used, a text, experiments", BEYOND, OTHERS_MS),
        ):
            if asked := {name: medians[name] for name in names if name in medians}:
                slowest = max(asked, key=asked.__getitem__)
                yield Line(f"{what}, {database}; the slowest: {slowest}", asked[slowest], most, " ms")
        few = _medians(kept, FEWEST, side)
        if grown := {name: medians[name] / few[name] for name in LISTS if name in medians and name in few}:
            most_grown = max(grown, key=grown.__getitem__)
            what = f"times as long as among {FEWEST:,}, {database}; the most: {most_grown}"
            yield Line(what, grown[most_grown], GROWTH, " ×")


def _medians(kept: Mapping[str, Any], runs: int, side: str) -> dict[str, float]:
    timings = kept.get(key_of("sqlite://", runs), {}).get(side, {})
    return {name: median(each["samples_ms"]) for name, each in timings.items() if each["samples_ms"]}


def _of_load(kept: Mapping[str, Any]) -> Iterator[Line]:
    for name, database in (("direct", "SQLite"), ("postgresql", "PostgreSQL")):
        if name in kept:
            found = kept[name]
            what = f"first load of {found['runs']:,} runs into {database}"
            yield Line(what, found["runs"] / found["seconds"], 15_000, " runs/s", at_least=True)
            yield Line(f"… memory of both processes, {database}", found["memory_mb"], 500, " MB")
    if client := kept.get("client"):
        bare, ours = (max(each["runs"] / each["seconds"] for each in client[side]) for side in ("bare", "sync"))
        yield Line("first load through the client, beside the bare client", ours / bare, 0.9, " ×", at_least=True)


def _of_idle(kept: Mapping[str, Any]) -> Iterator[Line]:
    for name, source in (("database", "MLflow's database"), ("client", "MLflow's client")):
        if name in kept:
            found = kept[name]
            of = f"{kept['runs']:,} runs, {source}"
            yield Line(f"a pass with nothing new, {of}", median(found["ms"]), 200, " ms")
            share = 100 * (found["idle"]["web"] + found["idle"]["worker"])
            yield Line(f"processor of an idle server, {of}", share, 2, " %")


def _of_browser(kept: Mapping[str, Any]) -> Iterator[Line]:
    for name, limit in LIMITS_MS.items():
        if name in kept.get("samples", {}):
            yield Line(f"in Chromium, {kept['runs']:,} runs: {name}", median(kept["samples"][name]), limit, " ms")
    if many := kept.get("together"):
        times = {name: p95(took) / LIMITS_MS[name] for name, took in many["seen"].items() if took}
        slowest = max(times, key=times.__getitem__)
        yield Line(f"… 95th percentile beside 19 others; the slowest: {slowest}", times[slowest], 2, " × the above")
    if "web_mb" in kept:
        yield Line("… events that the worker took in meanwhile", kept["taken_events_per_s"], EVENTS_PER_S, "/s", True)
        yield Line("… memory of the web process", kept["web_mb"], 700, " MB")


def _of_overhead(kept: Mapping[str, Any]) -> Iterator[Line]:
    if not kept:
        return
    for work, text in overhead.WORK.items():
        what = f"of the driver's processor time, {text.format(**kept)}"
        if (share := overhead.share_of_own(kept["samples"], work)) is not None:
            yield Line(what, 100 * share, 1, " %")
    stops = {kind: float(np.median([stop for stop, _ in ends])) for kind, ends in kept["endings"].items()}
    for kind, most in overhead.STOP_S.items():
        if kind in stops:
            later = max(0.0, stops[kind] - stops[overhead.NOTHING])
            yield Line(f"`spark.stop()` takes longer, {kind}", later, most, " s")


def _of_listener(kept: Mapping[str, Any]) -> Iterator[Line]:
    if not kept:
        return
    floods, heap = kept["floods"], kept["floods"]["hour"]["heap_bytes"] / (1 << 20)
    yield Line("on the thread of Spark's bus, an event, p99", kept["many"]["us"][LISTENER]["p99"], 5, " µs")
    yield Line("heap after an hour's events, the collector down", heap, 16, " MB")
    for name, what in (("hour", "5,000 events/s"), ("burst", "100,000 at once")):
        yield Line(f"jobs lost at {what}", floods[name]["jobs"] - floods[name]["kept"], 0, "")
    yield Line("journal, a task", kept["many"]["bytes"] / TASKS, 200, " B")
    yield Line("journal of the demo's job", kept["demo"]["bytes"] / 1024, 60, " KB")


def _of_collect(kept: Mapping[str, Any]) -> Iterator[Line]:
    for name, database, least in (("sqlite", "SQLite", 10_000), ("postgresql", "PostgreSQL", 20_000)):
        if name in kept:
            taken = kept[name]["throughput"]
            what = f"collector and ingest in one process, {database}"
            yield Line(what, taken["events"] / taken["seconds"], least, " events/s", at_least=True)
            yield Line("… end of a job to its row, 95th percentile", kept[name]["latency"]["p95_ms"], 2_000, " ms")


def table(found: Iterator[Line]) -> str:
    return "\n".join(["| | measured | to reach | |", "|---|---|---|---|", *map(str, found)])


def _main() -> None:
    text = table(lines({name: report.kept(name) for name in KEPT}))
    print(text)
    report.put("targets", text)


if __name__ == "__main__":
    _main()
