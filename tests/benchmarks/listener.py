"""`make bench`: how large journals get, and what the listener takes of the thread of Spark's bus.

The job that fits models is the demo's; the other one has 50,000 tasks that do next to nothing, and is timed by Spark's
own timers. Prints a table, keeps it in docs/benchmarks.md, and the figures in docs/benchmarks/listener.json.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tests.benchmarks import report
from tests.support.parts import require
from tests.support.spark import JITTED, LISTENER, spark_submit

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


def verdict(measured: float, most: float) -> str:
    return f"≤ {most:g}: {'met' if measured <= most else '**missed**'}"


def table(demo: dict[str, Any], many: dict[str, Any]) -> str:
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
    ])  # fmt: skip


if __name__ == "__main__":
    require("jar")
    with tempfile.TemporaryDirectory() as name:
        measured = {"demo": demo_job(Path(name) / "demo"), "many": many_tasks(Path(name) / "many")}
    print(table(**measured))
    report.keep("listener", table(**measured), {"machine": report.machine(), **measured})
