"""`make bench`: what the listener adds to a job of 60,000 small tasks, and to one of 200 SQL queries.

In turns with nothing, with Spark's own event log and with a listener in Python; then how much longer `spark.stop()` and
the exit take, the collector well or hanging. Prints a table, keeps it in docs/benchmarks.md, and all samples in
docs/benchmarks/overhead.json. `--pairs 2 --tasks 2000 --queries 20 --ends 1` tries the program out, and
is not kept.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from afterglow_store import open_store
from tests.benchmarks import report
from tests.benchmarks.overhead_job import PYTHON
from tests.support.collecting import running_collector, silent_port
from tests.support.environment import SETTINGS
from tests.support.parts import ROOT, require
from tests.support.spark import JITTED, LISTENER, spark_submit
from tests.support.tracking import free_port

sys.path.insert(0, str(ROOT / "listener"))
from build_jar import find_spark_jars

PAIRS, TASKS, QUERIES, ENDS = 15, 60_000, 200, 9
MINUTES = 90  # no round begins after so long: on a machine that does other things as well, there are fewer of them
# After the one that warms up, of what ours is held against: of Python they take minutes each.
EMPTY_ROUNDS, EVENT_LOG_ROUNDS, PYTHON_ROUNDS = 5, 5, 2
RESAMPLES = 2_000
NOTHING, OURS, EMPTY, EVENT_LOG = "nothing", "our listener", "a listener that does nothing", "Spark's event log"
WELL, DOWN, HANGS = "collector well", "collector down", "collector hangs"
STOP_S = {WELL: 0.5, DOWN: 2.0, HANGS: 2.0}  # longer at most
# Whose threads do the work of each; of Python also what its own process takes.
THREADS = {
    OURS: ("spark-listener-group-shared", "afterglow-"),
    EMPTY: ("spark-listener-group-shared",),
    EVENT_LOG: ("spark-listener-group-eventLog",),
    PYTHON: ("spark-listener-group-shared",),
}
NAMES = {**{kind: kind for kind in THREADS}, PYTHON: "a listener in Python (py4j)"}
WORK = {"tasks": "{tasks:,} small tasks", "queries": "{queries} SQL queries"}
# So that py4j may ask the JVM for the processor time of its threads.
OPENED = " ".join(
    f"--add-opens={package}=ALL-UNNAMED"
    for package in ("java.management/sun.management", "jdk.management/com.sun.management.internal")
)
ENDING_JOB = """
import time
from pyspark import SparkContext
context = SparkContext()
for _ in range(20):
    context._jsc.parallelize(context._jvm.java.util.ArrayList(), 2).count()
time.sleep(1.5)
began = time.time()
context.stop()
print("STOPPED", began, time.time(), flush=True)
"""
Samples = list[dict[str, Any]]


def in_turns(folder: Path, asked: argparse.Namespace) -> Samples:
    """A sample of each kind and round; the first round warms up and is left out."""
    logs = folder / "event logs"
    logs.mkdir()
    listening = {"spark.extraListeners": LISTENER}
    kinds = {
        NOTHING: {},
        OURS: listening,
        EMPTY: {"spark.extraListeners": "EmptyListener"},
        EVENT_LOG: {"spark.eventLog.enabled": "true", "spark.eventLog.dir": logs.as_uri()},
        PYTHON: {},
    }
    conf = {
        "spark.driver.extraClassPath": f"{require('jar')}:{compiled(folder / 'classes')}",
        "spark.driver.extraJavaOptions": f"{JITTED['spark.driver.extraJavaOptions']} {OPENED}",
        "spark.driver.memory": "2g",
        "spark.log.level": "ERROR",
    }
    only = {EMPTY: asked.empty_rounds, EVENT_LOG: asked.event_log_rounds, PYTHON: asked.python_rounds}
    what = {"kinds": kinds, "rounds": asked.pairs + 1, "only": only,
            "minutes": asked.minutes, "tasks": asked.tasks, "queries": asked.queries}  # fmt: skip
    program = Path(__file__).with_name("overhead_job.py")
    job = spark_submit(
        program, json.dumps(what), home=folder, conf=conf, environment=SETTINGS, listener=False, timeout=4 * 3600
    )
    lines = [line.split(" ", 1)[1] for line in job.succeeded().stdout.splitlines() if line.startswith("SAMPLE")]
    return [each for each in map(json.loads, lines) if each["round"] > 0]


def compiled(classes: Path) -> Path:
    source = Path(__file__).with_name("EmptyListener.java")
    subprocess.run(
        [str(require("javac")), "-cp", f"{find_spark_jars()}/*", "-d", str(classes), str(source)], check=True
    )
    return classes


def endings(folder: Path, count: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds of `stop()`, and from then to the end of the process, of drivers in turns."""
    taken: dict[str, list[tuple[float, float]]] = {kind: [] for kind in (NOTHING, *STOP_S)}
    with (
        closing(open_store(f"sqlite:///{folder / 'store.db'}")) as store,
        running_collector(store) as collector,
        silent_port() as silent,
    ):
        urls = {WELL: collector.url, DOWN: f"http://127.0.0.1:{free_port()}", HANGS: f"http://127.0.0.1:{silent}"}
        for number in range(count):
            for kind, ends in taken.items():
                conf = {"spark.afterglow.collector.url": urls[kind]} if kind in urls else {}
                home = folder / f"{kind} {number}"
                job = spark_submit(
                    ENDING_JOB, home=home, conf=conf, environment=SETTINGS, listener=kind in urls
                ).succeeded()
                ended = time.time()
                began, stopped = map(float, job.stdout.split("STOPPED ")[1].split()[:2])
                ends.append((stopped - began, ended - stopped))
    return taken


def column(samples: Samples, kind: str, work: str, figure: str) -> dict[int, float]:
    """By round."""
    return {each["round"]: float(each[work][figure]) for each in samples if each["kind"] == kind}


def share(samples: Samples, kind: str, work: str) -> float:
    """The median of what its threads take of the processor time of the driver's JVM; of a listener in Python with its
    process, of both processes."""
    shares = []
    for each in samples:
        if each["kind"] == kind:
            taken = each[work]
            own = sum(seconds for name, seconds in taken["threads_s"].items() if name.startswith(THREADS[kind]))
            python = taken["python_s"] if kind == PYTHON else 0.0
            shares.append((own + python) / (taken["jvm_s"] + python))
    return float(np.median(shares))


def share_of_own(samples: Samples, work: str) -> float | None:
    """Of our listener, its own threads, and what it adds to the thread of the bus beside a listener that does nothing:
    the median of the rounds with both, None where there is none."""
    bus, _ = THREADS[OURS]
    empty = {each["round"]: each[work]["threads_s"][bus] for each in samples if each["kind"] == EMPTY}
    shares = []
    for each in (each for each in samples if each["kind"] == OURS and each["round"] in empty):
        threads = each[work]["threads_s"]
        own = sum(seconds for name, seconds in threads.items() if name.startswith("afterglow-"))
        shares.append((own + threads[bus] - empty[each["round"]]) / each[work]["jvm_s"])
    return float(np.median(shares)) if shares else None


def added(without: list[float], having: list[float]) -> tuple[float, float, float]:
    """The median of the differences of pairs, and where 95 % of the medians of resampled pairs lie."""
    differences = np.array(having) - np.array(without)
    picks = np.random.default_rng(1).integers(0, len(differences), (RESAMPLES, len(differences)))
    low, high = np.percentile(np.median(differences[picks], axis=1), (2.5, 97.5))
    return float(np.median(differences)), float(low), float(high)


def row_of_work(samples: Samples, kind: str, work: str, what: str) -> str:
    nothing, having = column(samples, NOTHING, work, "wall_s"), column(samples, kind, work, "wall_s")
    rounds = sorted(having)
    middle, low, high = added([nothing[each] for each in rounds], [having[each] for each in rounds])
    base = float(np.median([nothing[each] for each in rounds]))
    wall = f"{base:.2f} s, {middle / base:+.1%} ({low / base:+.1%} … {high / base:+.1%})"
    taken = share(samples, kind, work)
    row = f"| {what}, {NAMES[kind]} | {len(rounds)} | {taken:.2%} |"
    if kind != OURS:
        return f"{row} | {wall} |"
    own = share_of_own(samples, work)
    target = "" if own is None else f"≤ 1 %: {'met' if own <= 0.01 else '**missed**'}"
    return (
        f"{row} | {wall} |\n| … its own callbacks and threads | | {'' if own is None else f'{own:.2%}'} | {target} | |"
    )


def row_of_ending(ends: dict[str, list[tuple[float, float]]], kind: str, most: float) -> str:
    stops, exits = ([each[at] for each in ends[kind]] for at in (0, 1))
    stops_without, exits_without = ([each[at] for each in ends[NOTHING]] for at in (0, 1))
    stop, low, high = added(stops_without, stops)
    leave, *_ = added(exits_without, exits)
    verdict = f"≤ {most:g}: {'met' if stop <= most else '**missed**'}"
    without, later = f"{np.median(stops_without):.2f} s", f"{stop:+.2f} s ({low:+.2f} … {high:+.2f})"
    return f"| {kind} | {len(stops)} | {without} | {later} | {verdict} | {leave:+.2f} s |"


def table(measured: dict[str, Any]) -> str:
    samples, ends = measured["samples"], measured["endings"]
    works = {work: text.format(**measured) for work, text in WORK.items()}
    kinds = [kind for kind in THREADS if any(each["kind"] == kind for each in samples)]
    return "\n".join([
        f"On {measured['machine']}; load average {os.getloadavg()[0]:.1f}.",
        "",
        "| | pairs | of the driver's processor time | target | wall time without, added (95 %) |",
        "|---|---|---|---|---|",
        *(row_of_work(samples, kind, work, what) for work, what in works.items() for kind in kinds),
        "",
        "| `spark.stop()` | pairs | without | added (95 %) | target | exit of the process after it, added |",
        "|---|---|---|---|---|---|",
        *(row_of_ending(ends, kind, most) for kind, most in STOP_S.items() if kind in ends),
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    presets = {"pairs": PAIRS, "tasks": TASKS, "queries": QUERIES, "ends": ENDS}
    presets |= {"empty-rounds": EMPTY_ROUNDS, "event-log-rounds": EVENT_LOG_ROUNDS, "python-rounds": PYTHON_ROUNDS}
    presets |= {"minutes": MINUTES}
    for name, preset in presets.items():
        parser.add_argument(f"--{name}", type=int, default=preset)
    parser.add_argument("--samples", type=Path, help="a file for them, of a run that is not kept as well")
    asked = parser.parse_args()
    numbers = {name: value for name, value in vars(asked).items() if isinstance(value, int)}
    with tempfile.TemporaryDirectory() as name:
        ends = endings(Path(name), asked.ends)
        samples = in_turns(Path(name), asked)
    measured = {"machine": report.machine(), **numbers, "endings": ends, "samples": samples}
    if asked.samples:
        asked.samples.write_text(json.dumps(measured))
    print(table(measured))
    if asked.pairs >= PAIRS and asked.tasks >= TASKS and asked.queries >= QUERIES:
        report.keep("overhead", table(measured), measured)


if __name__ == "__main__":
    main()
