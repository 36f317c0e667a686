"""`python -m tests.benchmarks.event_logs`: Spark's event logs into the store, beside Spark's own History Server.

One log that a real Spark wrote, repeated with other ids until it has --megabytes: the History Server's first REST
answer from a cold start, and our ingest into SQLite, turn and turn about; the same with the task lines skipped, and
packed with zstd, beside unpacking alone; --small small applications; and --copies of the large log with one process and
with two.
Prints a table, and with --keep puts it into docs/benchmarks.md and docs/benchmarks/event_logs.json.
"""

import argparse
import io
import multiprocessing
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pyspark
import zstandard

from afterglow_monitor.collecting.backfill import in_processes
from afterglow_store import Ingested, ingest_event_logs, open_store
from afterglow_store.event_logs import find
from afterglow_store.event_logs.codecs import zstd
from tests.benchmarks import report
from tests.matrix.test_event_logs_like_the_history_server import history_server
from tests.support.environment import SETTINGS
from tests.support.spark import spark_submit

TIMES = 3  # the History Server and we take turns this often
FRAME_BYTES = 1 << 20
_SPAWN = multiprocessing.get_context("spawn")
Figures = dict[str, float]

JOB = """
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
for _ in range(int(sys.argv[1])):
    spark.range(0, 2_000, 1, int(sys.argv[2])).selectExpr("id % 50 AS k", "id").groupBy("k").sum("id").collect()
spark.stop()
"""
CONF = {
    "spark.eventLog.enabled": "true",
    "spark.eventLog.compress": "false",
    "spark.eventLog.rolling.enabled": "false",
}


def spark_log(folder: Path, name: str, *, queries: int, tasks: int) -> Path:
    """What a real Spark writes of that many queries, each with a stage of so many tasks."""
    logs = folder / f"{name}-log"
    logs.mkdir()
    conf = CONF | {"spark.eventLog.dir": logs.as_uri()}
    spark_submit(JOB, str(queries), str(tasks), home=folder / name, conf=conf, listener=False, timeout=900).succeeded()
    [log] = logs.iterdir()
    return log


def repeated(log: Path, target: Path, size: int) -> None:
    """The log with its jobs, stages and tasks again and again, as if there had been more of them."""
    lines = log.read_bytes().splitlines(keepends=True)
    of_jobs = [line for line in lines if line.startswith(_OF_JOBS)]
    first = lines.index(of_jobs[0])
    jobs = max(int(found[1]) for line in of_jobs if (found := _JOB.search(line[:80]))) + 1
    stages = max(int(found[1]) for line in of_jobs if (found := _STAGE.search(line))) + 1
    with target.open("wb") as file:
        file.writelines(line for line in lines[:first])
        turn = 0
        while file.tell() < size:
            file.writelines(_shifted(line, turn * jobs, turn * stages) for line in of_jobs)
            turn += 1
        file.writelines(line for line in lines[first:] if not line.startswith((*_OF_JOBS, _SQL)))


_OF_JOBS = tuple(b'{"Event":"SparkListener%s' % each for each in (b"Job", b"Stage", b"Task"))
_SQL = b'{"Event":"org.apache.spark.sql'
_JOB = re.compile(rb'"Job ID":(\d+)')
_STAGE = re.compile(rb'"Stage ID":(\d+)')
_STAGES = re.compile(rb'"(Stage IDs|Parent IDs)":\[([\d,]*)\]')


def _shifted(line: bytes, jobs: int, stages: int) -> bytes:
    def listed(found: re.Match[bytes]) -> bytes:
        ids = b",".join(b"%d" % (int(each) + stages) for each in found[2].split(b",") if each)
        return b'"%s":[%s]' % (found[1], ids)

    once = 1 if line.startswith(b'{"Event":"SparkListenerTask') else 0
    line = _STAGE.sub(lambda found: b'"Stage ID":%d' % (int(found[1]) + stages), line, count=once)
    if once:
        return line
    return _STAGES.sub(listed, _JOB.sub(lambda found: b'"Job ID":%d' % (int(found[1]) + jobs), line))


def of_others(log: Path, folder: Path, count: int) -> None:
    """`count` logs like this one, each of an application of its own."""
    folder.mkdir()
    plain = log.read_bytes()
    found = re.search(rb'"App ID":"([^"]+)"', plain)
    assert found is not None
    for number in range(count):
        (folder / f"app-{number:05}").write_bytes(plain.replace(found[1], b"app-%05d" % number))


def packed(log: Path, target: Path) -> None:
    """In many frames, as Spark writes them."""
    with log.open("rb") as file, target.open("wb") as out:
        while piece := file.read(FRAME_BYTES):
            out.write(zstandard.compress(piece))


def history_server_seconds(logs: Path, app_id: str, home: Path) -> float:
    environment = {**os.environ, "SPARK_HOME": str(Path(pyspark.__file__).parent), "SPARK_DAEMON_MEMORY": "2g"}
    started = time.perf_counter()
    with history_server(environment, home, logs, app_id):
        return time.perf_counter() - started


def memory_mb() -> float:
    """The most that this process has had, but for what its parent had when it began, which `getrusage` counts."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1_024 if found else 0.0


def ingest(logs: Path, store_url: str, with_tasks: bool = True) -> Figures:
    """In a process of its own, for its memory."""
    started, cpu, taken = time.perf_counter(), time.process_time(), Ingested()
    with closing(open_store(store_url)) as store:
        for _, result in ingest_event_logs(store, list(find([logs])), now=0, with_tasks=with_tasks):
            assert isinstance(result, Ingested), result
            taken += result
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        "bytes": taken.bytes,
        "memory_mb": memory_mb(),
    }


def with_processes(logs: Path, store_url: str, processes: int) -> float:
    open_store(store_url).close()
    started = time.perf_counter()
    for _, _, result in in_processes(store_url, list(find([logs])), processes):
        assert isinstance(result, Ingested), result
    return time.perf_counter() - started


def unpacking_seconds(log: Path) -> float:
    data = log.read_bytes()
    started = time.perf_counter()
    for _ in zstd(io.BytesIO(data)):
        pass
    return time.perf_counter() - started


def _alone(task: Callable[..., Any], *said: Any) -> Any:
    with _SPAWN.Pool(1) as pool:
        return pool.apply(task, said)


def measure(folder: Path, said: argparse.Namespace) -> dict[str, Any]:
    stores = (f"sqlite:///{folder / f'{number}.db'}" for number in range(1_000))
    large, small = make_logs(folder, said)
    size = sum(each.stat().st_size for each in large.iterdir())
    names = ("history_server", "ours", "skipped", "zstd", "zstd_skipped", "bare")
    result: dict[str, Any] = {"bytes": size, **{name: [] for name in names}}
    for turn in range(said.times):
        home = folder / f"home-{turn}"
        home.mkdir()
        result["history_server"].append(history_server_seconds(large, "app-00000", home))
        result["ours"].append(_alone(ingest, large, next(stores)))
        result["skipped"].append(_alone(ingest, large, next(stores), False))
        result["bare"].append(unpacking_seconds(folder / "zstd" / "app-00000.zstd"))
        result["zstd"].append(_alone(ingest, folder / "zstd", next(stores)))
        result["zstd_skipped"].append(_alone(ingest, folder / "zstd", next(stores), False))
        print({name: each[-1] for name, each in result.items() if name != "bytes"}, file=sys.stderr, flush=True)
    result["small"] = {"count": said.small, **_alone(ingest, small, next(stores))}
    of_others(large / "app-00000", folder / "copies", said.copies)
    result["processes"] = [with_processes(folder / "copies", next(stores), count) for count in (1, 2)]
    return result


def make_logs(folder: Path, said: argparse.Namespace) -> tuple[Path, Path]:
    """A folder with the large log, beside it one with it packed, and a folder with the small ones."""
    one = spark_log(folder, "large", queries=said.queries, tasks=1_000)
    repeated(one, folder / "repeated", said.megabytes * 1_000_000)
    of_others(folder / "repeated", folder / "plain", 1)
    (folder / "zstd").mkdir()
    packed(folder / "plain" / "app-00000", folder / "zstd" / "app-00000.zstd")
    of_others(spark_log(folder, "small", queries=1, tasks=4), folder / "applications", said.small)
    return folder / "plain", folder / "applications"


def table(result: Mapping[str, Any]) -> str:
    return "\n".join([*_head(result), *_rows(result)])


def _head(result: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"One log of {result['bytes'] / 1e6:,.0f} MB, best of {len(result['ours'])}; {result['machine']}; "
        f"load average {result['load']}."
    )
    yield ""
    yield "| | measured | × the History Server | target |"
    yield "|---|---|---|---|"


def _rows(result: Mapping[str, Any]) -> Iterator[str]:
    size, spark = result["bytes"], min(result["history_server"])
    yield f"| Spark's History Server, cold, to its first REST answer | {size / spark / 1e6:,.0f} MB/s | | |"
    for name, words, target in (
        ("ours", "our ingest into SQLite, with what tasks tell", "≥ 8 ×"),
        ("skipped", "… `--without-tasks`", "≥ 20 ×"),
        ("zstd", "… of the log packed with zstd, by its plain size", ""),
        ("zstd_skipped", "… packed, `--without-tasks`", ""),
    ):
        seconds = min(each["seconds"] for each in result[name])
        yield f"| {words} | {size / seconds / 1e6:,.0f} MB/s | {spark / seconds:,.1f} × | {target} |"
    bare = min(result["bare"])
    yield f"| unpacking it alone, in as many frames as Spark writes | {size / bare / 1e6:,.0f} MB/s | | |"
    for plain, name, words in (("ours", "zstd", ""), ("skipped", "zstd_skipped", ", `--without-tasks`")):
        whole, read = (min(each["seconds"] for each in result[each_name]) for each_name in (name, plain))
        yield f"| packed, by the time of unpacking and of reading plain{words} | {whole / (bare + read):,.2f} × | | |"
        yield f"| … by the time of unpacking alone{words} | {whole / bare:,.2f} × | | ≤ 1.3 × |"
    memory = max(each["memory_mb"] for each in result["ours"] + result["zstd"])
    yield f"| memory | {memory:,.0f} MB | | < 300 MB |"
    small, (one, two) = result["small"], result["processes"]
    yield f"| {small['count']:,} small applications | {small['count'] / small['seconds']:,.0f} a second | | ≥ 200 |"
    yield f"| two processes beside one | {one / two:,.2f} × | | ≥ 1.7 × |"


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=273)
    parser.add_argument("--queries", type=int, default=10, help="that Spark is really asked, of 1,000 tasks each")
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--copies", type=int, default=12)
    parser.add_argument("--times", type=int, default=TIMES)
    parser.add_argument("--keep", action="store_true", help="put the figures into docs/benchmarks")
    said = parser.parse_args()
    os.environ.update(SETTINGS)
    with tempfile.TemporaryDirectory() as named:
        result = {"machine": report.machine(), **measure(Path(named), said)}
    result["load"] = round(os.getloadavg()[1], 1)
    print(table(result))
    if said.keep:
        report.keep("event_logs", table(result), result)


if __name__ == "__main__":
    _main()
