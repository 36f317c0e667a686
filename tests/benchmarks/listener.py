"""`make bench`: how large journals get, what the listener takes of the thread of Spark's bus, and what it stands.

The job that fits models is the demo's; the other one has 50,000 tasks that do next to nothing, and is timed by Spark's
own timers. Then a listener alone in its JVM, whose collector refuses, is told of an hour's jobs and of bursts of them
(Flood.java). Prints a table, keeps it in docs/benchmarks.md, and the figures in docs/benchmarks/listener.json.
"""

import json
import os
import subprocess
import sys
import tempfile
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks import report
from tests.support.journals import in_spark_s_words
from tests.support.parts import ROOT, require
from tests.support.spark import JITTED, LISTENER, spark_submit

sys.path.insert(0, str(ROOT / "listener"))
from build_jar import find_spark_jars

TASKS = 50_000
APP_STATUS = "org.apache.spark.status.AppStatusListener"

MANY_TASKS = f"""
import json
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
bus = spark.sparkContext._jsc.sc().listenerBus()
spark.range(0, {TASKS}, 1, {TASKS}).selectExpr("sum(id)").collect()
bus.waitUntilEmpty()
def timed(name):
    taken = bus.metrics().metricRegistry().timer("listenerProcessingTime." + name).getSnapshot()
    return {{"mean": taken.getMean() / 1e3, "p99": taken.get99thPercentile() / 1e3}}
print(json.dumps({{name: timed(name) for name in ("{LISTENER}", "{APP_STATUS}")}}))
"""


def many_tasks(folder: Path) -> dict[str, Any]:
    """Microseconds an event on the thread of the bus, ours and Spark's own; bytes of the journal."""
    conf = {**JITTED, "spark.master": "local[1]", "spark.log.level": "ERROR"}
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}  # where Spark looks for itself
    job = spark_submit(MANY_TASKS, home=folder, conf=conf, environment=environment, timeout=900).succeeded()
    [journal] = job.journals
    return {"us": json.loads(job.stdout.splitlines()[-1]), "bytes": journal.stat().st_size}


def demo_job(folder: Path) -> dict[str, Any]:
    """Bytes of the demo's largest journal by event, and how many jobs and tasks it tells of."""
    command = [sys.executable, "-m", "afterglow_monitor.cli", "demo", "--no-serve"]
    subprocess.run(command, env={**os.environ, "AFTERGLOW_HOME": str(folder)}, check=True, stdout=subprocess.DEVNULL)
    journal = max((folder / "journal").glob("*.jsonl"), key=lambda path: path.stat().st_size)
    bytes_by_event: Counter[str] = Counter()
    jobs = tasks = long = 0
    for line in journal.read_bytes().splitlines():
        event = json.loads(line)
        bytes_by_event[event["Event"].rpartition(".")[2]] += len(line) + 1
        jobs += event["Event"] in ("AfterglowJob", "SparkListenerJobStart")
        long += event["Event"] == "SparkListenerJobStart"
        rows = [*event.get("Stages", ()), event.get("Stage", ())]
        tasks += sum(row[1] for row in rows if len(row) > 2)
    kept = {"bytes": bytes_by_event.total(), "by_event": bytes_by_event.most_common()}
    return kept | {"jobs": jobs, "tasks": tasks, "long_jobs": long}


@dataclass(frozen=True)
class Flood:
    """Jobs of so many tasks, each with four events beside those of its tasks; `pace` events a second, or at once."""

    events: int
    pace: int
    tasks: int
    looks_at_heap: bool = False

    def words(self) -> list[str]:
        return [str(each).lower() for each in (self.events, self.pace, self.tasks, self.looks_at_heap)]


FLOODS = {
    "warm": Flood(10_000, 5_000, 4),
    "hour": Flood(180_000, 5_000, 4, looks_at_heap=True),  # of 50 events a second
    "burst": Flood(100_000, 0, 100),
    "burst of jobs": Flood(100_000, 0, 4),
}


def floods(folder: Path) -> dict[str, Any]:
    """Of each flood its jobs, those that the journal has, its seconds and the bytes it added to the heap; then the
    lines that the journal has, and how many it should have by their numbers."""
    classes = str(folder / "classes")
    class_path = f"{classes}:{require('jar')}:{find_spark_jars()}/*"
    source = Path(__file__).with_name("Flood.java")
    subprocess.run([str(require("javac")), "-cp", class_path, "-d", classes, str(source)], check=True)
    words = [word for flood in FLOODS.values() for word in flood.words()]
    command = [str(require("java")), "-Xmx1g", "-cp", class_path, "io.afterglow.Flood", "http://127.0.0.1:9", *words]
    done = subprocess.run(
        command, env=os.environ | {"AFTERGLOW_HOME": str(folder)}, check=True, capture_output=True, text=True
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    [journal] = [Path(line[1]) for line in lines if line[0] == "JOURNAL"]
    events = [json.loads(line) for line in journal.read_bytes().splitlines()]
    ended = sorted(each["Job ID"] for each in in_spark_s_words(events) if each["Event"] == "SparkListenerJobEnd")
    told: dict[str, Any] = {"lines": len(events), "numbers": events[-1]["Seq"] + 1}
    for name, (_, first, after, seconds, heap) in zip(
        FLOODS, (each for each in lines if each[0] == "FLOOD"), strict=True
    ):
        kept = bisect_left(ended, int(after)) - bisect_left(ended, int(first))
        told[name] = {"jobs": int(after) - int(first), "kept": kept, "seconds": float(seconds), "heap_bytes": int(heap)}
    return told


def rows_of_floods(told: dict[str, Any]) -> list[str]:
    hour, burst, jobs = told["hour"], told["burst"], told["burst of jobs"]
    heap, lost = hour["heap_bytes"] / (1 << 20), told["numbers"] - told["lines"]
    few, many = FLOODS["burst of jobs"].tasks, FLOODS["burst"].tasks
    return [
        f"| heap after an hour's {FLOODS['hour'].events:,} events, the collector down | {heap:.1f} MB "
        f"| {verdict(heap, 16)} |",
        f"| lost of these, at {FLOODS['hour'].pace:,} events a second | {_lost(hour)} | {none(hour)} |",
        f"| … of {FLOODS['burst'].events:,} in {burst['seconds']:.2f} s, {many} tasks a job | {_lost(burst)} "
        f"| {none(burst)} |",
        f"| … in {jobs['seconds']:.2f} s, {few} tasks a job | {_lost(jobs)}: {lost:,} lines, each counted | |",
    ]


def _lost(told: dict[str, Any]) -> str:
    return f"{told['jobs'] - told['kept']:,} of {told['jobs']:,} jobs"


def none(told: dict[str, Any]) -> str:
    return f"0: {'met' if told['kept'] == told['jobs'] else '**missed**'}"


def verdict(measured: float, most: float) -> str:
    return f"≤ {most:g}: {'met' if measured <= most else '**missed**'}"


def table(demo: dict[str, Any], many: dict[str, Any], floods: dict[str, Any]) -> str:
    ours, theirs = many["us"][LISTENER], many["us"][APP_STATUS]
    fit, one = demo["bytes"] / 1024, many["bytes"] / TASKS
    jobs = f"{demo['jobs']} Spark jobs ({demo['long_jobs']} of over 0.8 s)"
    job = f"the demo's job that fits models: {jobs}, {demo['tasks']} tasks"
    return "\n".join([
        f"On {report.machine()}; load average {os.getloadavg()[0]:.1f}.",
        "",
        "| | measured | target |",
        "|---|---|---|",
        f"| journal of {job} | {fit:,.1f} KB | {verdict(fit, 60)} |",
        f"| journal of one job of {TASKS:,} tasks, a task | {one:,.2f} B | {verdict(one, 200)} |",
        f"| on the thread of Spark's bus, an event, p99 | {ours['p99']:.1f} µs | {verdict(ours['p99'], 5)} |",
        f"| … mean | {ours['mean']:.2f} µs | |",
        f"| … Spark's own AppStatusListener beside it, p99 (mean) | {theirs['p99']:.1f} ({theirs['mean']:.1f}) µs | |",
        *rows_of_floods(floods),
    ])  # fmt: skip


if __name__ == "__main__":
    require("jar")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measured = {
            "demo": demo_job(folder / "demo"),
            "many": many_tasks(folder / "many"),
            "floods": floods(folder / "floods"),
        }
    print(table(**measured))
    report.keep("listener", table(**measured), {"machine": report.machine(), **measured})
