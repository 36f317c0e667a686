"""`python -m tests.benchmarks.collect`: how fast journals get from drivers into the store, through the collector.

Throughput: several journals are sent at once, as fast as they are taken, to one process that is collector and ingest.
Latency: an application that writes some events a second, sent by the uploader as on a driver; from each event's write
to its row. Prints a table, and with --keep puts it into docs/benchmarks.md and docs/benchmarks/collect.json.
"""

import argparse
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from afterglow.collector import Collector
from afterglow.ship import Shipment
from afterglow.uploader import Uploader
from afterglow_monitor.clock import now_ms
from afterglow_monitor.collecting.journals import ReceivedTail
from afterglow_monitor.settings import CollectorSettings
from afterglow_store import Store, open_store
from afterglow_store.schema import source
from tests.benchmarks import report
from tests.support.collecting import running_collector
from tests.support.databases import running_cluster
from tests.support.environment import SETTINGS
from tests.support.journals import Journal
from tests.support.parts import require

START = 1_790_000_000_000
POLL_S = 0.25  # the worker's
EVENTS_PER_S = 50  # of the application whose latency is measured
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


def latency(url: str, folder: Path, seconds: float) -> Figures:
    """Of each event, in ms."""
    lines = _written(folder / "of", 999, int(EVENTS_PER_S * seconds / 10)).read_bytes().splitlines(keepends=True)
    path = folder / f"{0:08x}-8f5b-4f5e-9d57-{0:012x}.jsonl"
    path.touch()
    moments: list[tuple[int, float]] = []  # up to which byte was written when
    with serving(url) as (address, _), closing(open_store(url)) as store:
        before, uploader = _position(store), Uploader(path, Collector(address))
        uploader.start()
        writer = threading.Thread(target=_write, args=(path, lines, moments))
        writer.start()
        found, seen = [], 0
        while writer.is_alive() or seen < len(moments):
            position, now = _position(store) - before, time.monotonic()
            while seen < len(moments) and moments[seen][0] <= position:
                found.append((now - moments[seen][1]) * 1_000)
                seen += 1
            time.sleep(0.01)
        uploader.finish(5)
    found.sort()
    return {"events": len(found), **{f"p{at}_ms": found[len(found) * at // 100] for at in (50, 95, 99)}}


def _write(path: Path, lines: list[bytes], moments: list[tuple[int, float]]) -> None:
    at = 0
    with path.open("ab", buffering=0) as file:
        for line in lines:
            file.write(line)
            at += len(line)
            moments.append((at, time.monotonic()))
            time.sleep(1 / EVENTS_PER_S)


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
        _row("event to row, median", [f"{each['p50_ms']:,.0f} ms" for each in late]),
        _row("event to row, 95th percentile", [f"{each['p95_ms']:,.0f} ms" for each in late], "≤ 2,000 ms"),
    ]  # fmt: skip
    return "\n".join(rows)


def _row(name: str, values: list[str], target: str = "") -> str:
    return "| " + " | ".join([name, *values, target]) + " |"


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--applications", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=5_000, help="of each application; ten events a job")
    parser.add_argument("--seconds", type=float, default=30, help="of the application whose latency is measured")
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
