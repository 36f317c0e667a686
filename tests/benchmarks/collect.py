"""`python -m tests.benchmarks.collect`: how fast journals get from drivers into the store, through the collector.

Throughput: several journals are sent at once, as fast as they are taken, to one process that is collector and ingest.
Latency: a driver that runs one small Spark job after the other, with the listener; from the end of each job to its row.
Prints a table, and with --keep puts it into docs/benchmarks.md and docs/benchmarks/collect.json.
"""

import argparse
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from afterglow.collector import Collector
from afterglow.ship import Shipment
from afterglow_monitor.clock import now_ms
from afterglow_monitor.collecting.journals import ReceivedTail
from afterglow_monitor.settings import CollectorSettings
from afterglow_store import Store, open_store
from afterglow_store.schema import job, source
from tests.benchmarks import report
from tests.support.collecting import running_collector
from tests.support.databases import running_cluster
from tests.support.environment import SETTINGS
from tests.support.journals import Journal
from tests.support.parts import require
from tests.support.spark import spark_submit

START = 1_790_000_000_000
POLL_S = 0.25  # the worker's
_SPAWN = multiprocessing.get_context("spawn")
Figures = dict[str, Any]


def written(folder: Path, applications: int, jobs: int) -> list[Path]:
    """Journals with ten events a job, a run for each hundred jobs."""
    return [_written(folder, number, jobs) for number in range(applications)]


def _written(folder: Path, number: int, jobs: int) -> Path:
    made = Journal(folder, f"app-{number}", name="train", start=START + number)
    for first in range(0, jobs, 100):
        run = made.run_start(f"{number:016x}{first:016x}", f"run {first}")
        for _ in range(min(100, jobs - first)):
            made.job(run["run_id"])
        made.run_end(run)
    return made.end()


def server(url: str, said: Any) -> None:
    """Collector and ingest, in a process of its own. The pipe `said` gets the address, then the processor time."""
    settings = CollectorSettings(requests_per_second=1e6, megabytes_per_second=1e6)
    with closing(open_store(url)) as store, running_collector(store, settings) as running:
        stop = threading.Event()
        worker = threading.Thread(target=_work, args=(store, stop))
        worker.start()
        began = time.process_time()
        said.send(running.url)
        said.recv()
        said.send(time.process_time() - began)
        stop.set()
        worker.join()


def _work(store: Store, stop: threading.Event) -> None:
    tail = ReceivedTail(store)
    while not stop.wait(POLL_S):
        tail.poll(now_ms())


@contextmanager
def serving(url: str) -> Iterator[tuple[str, Any]]:
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=server, args=(url, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv(), ours
    finally:
        process.terminate()
        process.join()


def throughput(url: str, journals: list[Path]) -> Figures:
    """All of them, from the first byte that is sent to the last row."""
    events, size = sum(path.read_bytes().count(b"\n") for path in journals), sum(p.stat().st_size for p in journals)
    with serving(url) as (address, pipe), closing(open_store(url)) as store:
        began = time.monotonic()
        senders = [threading.Thread(target=_send, args=(path, address)) for path in journals]
        for sender in senders:
            sender.start()
        while _position(store) < size:
            time.sleep(0.02)
        seconds = time.monotonic() - began
        pipe.send("done")
        cpu = pipe.recv()
        for sender in senders:
            sender.join()
    return {"events": events, "bytes": size, "seconds": seconds, "cpu_seconds": cpu}


def _send(path: Path, address: str) -> None:
    shipment = Shipment(path, Collector(address))
    while not shipment.is_done():
        shipment.send(60)


def _position(store: Store) -> int:
    with store.read() as conn:
        return int(conn.scalar(sa.select(sa.func.coalesce(sa.func.sum(source.c.position), 0))) or 0)


JOB = """
import sys, time
from pyspark import SparkContext
context = SparkContext()
until = time.time() + float(sys.argv[1])
while time.time() < until:
    context._jsc.parallelize(context._jvm.java.util.ArrayList(), 2).count()
    time.sleep(0.05)
context.stop()
"""


def latency(url: str, folder: Path, seconds: float) -> Figures:
    """Of the end of each Spark job, by the driver's clock, until it is in its row: in ms."""
    found: list[int] = []
    with serving(url) as (address, _), closing(open_store(url)) as store, ThreadPoolExecutor() as drivers:
        conf = {"spark.afterglow.collector.url": address}
        driver = drivers.submit(spark_submit, JOB, str(seconds), home=folder / "driver", conf=conf)
        since = now_ms()
        seen: set[int] = set()
        while not driver.done():
            new = [each for each in _ended(store, since) if each[0] not in seen]
            found += [now_ms() - ended for _, ended in new]
            seen |= {number for number, _ in new}
            time.sleep(0.02)
        driver.result().succeeded()
    found.sort()
    return {"jobs": len(found), **{f"p{at}_ms": found[len(found) * at // 100] for at in (50, 95, 99)}}


def _ended(store: Store, since: int) -> list[tuple[int, int]]:
    with store.read() as conn:
        rows = conn.execute(sa.select(job.c.job_id, job.c.end_time).where(job.c.end_time > since))
        return [(int(row.job_id), int(row.end_time)) for row in rows]


def measured(url: str, folder: Path, applications: int, jobs: int, seconds: float) -> Figures:
    found = {"throughput": throughput(url, written(folder / "journals", applications, jobs))}
    print(found, flush=True)
    found["latency"] = latency(url, folder, seconds)
    print(found["latency"], flush=True)
    return found


def table(result: Figures) -> str:
    rows = [
        f"{result['machine']}; load average {result['load']}.",
        "",
        "| | SQLite | PostgreSQL | target |",
        "|---|---|---|---|",
    ]
    both = [result["sqlite"], result["postgresql"]]
    done = [each["throughput"] for each in both]
    late = [each["latency"] for each in both]
    rows += [
        _row("collector and ingest in one process", [f"{d['events'] / d['seconds']:,.0f} events/s" for d in done],
             "≥ 10,000; ≥ 20,000"),
        _row("… by the processor time that took", [f"{d['events'] / d['cpu_seconds']:,.0f} events/s" for d in done]),
        _row("… bytes of journal", [f"{d['bytes'] / d['seconds'] / 1e6:,.1f} MB/s" for d in done]),
        _row("end of a Spark job to its row, median", [f"{each['p50_ms']:,.0f} ms" for each in late]),
        _row("… 95th percentile", [f"{each['p95_ms']:,.0f} ms" for each in late], "≤ 2,000 ms"),
    ]  # fmt: skip
    return "\n".join(rows)


def _row(name: str, values: list[str], target: str = "") -> str:
    return "| " + " | ".join([name, *values, target]) + " |"


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--applications", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=5_000, help="of each application; ten events a job")
    parser.add_argument("--seconds", type=float, default=30, help="that the driver runs whose latency is measured")
    parser.add_argument("--keep", action="store_true", help="put the figures into docs/benchmarks")
    said = parser.parse_args()
    os.environ.update(SETTINGS)
    result: Figures = {"machine": report.machine()}
    with (
        tempfile.TemporaryDirectory() as named,
        running_cluster(require("postgresql")) as cluster,
        cluster.fresh_database() as postgres,
    ):
        for name, url in (("sqlite", f"sqlite:///{named}/store.db"), ("postgresql", postgres)):
            open_store(url).close()
            result[name] = measured(url, Path(named) / name, said.applications, said.jobs, said.seconds)
    result["load"] = round(os.getloadavg()[1], 1)
    print(table(result))
    if said.keep:
        report.keep("collect", table(result), result)


if __name__ == "__main__":
    _main()
