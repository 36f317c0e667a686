"""A backfilled application beside what Spark's own History Server says of the same log, field by field: `make matrix`.

What cannot agree is in docs/event-logs.md, with the reason, and left out here by name.
"""

import gzip
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from afterglow_store import Store, ingest_event_logs, open_store
from afterglow_store.event_logs import find
from afterglow_store.schema import application, executor, job, sql_execution, stage
from tests.support.parts import ROOT
from tests.support.spark import SMALL
from tests.support.sparks import LOCKED, spark_of
from tests.support.tracking import free_port

pytestmark = [pytest.mark.matrix, pytest.mark.filterwarnings("default"), pytest.mark.timeout(1_200)]

Row = dict[str, Any]
OF_SPARK_2 = {folder.name: folder for folder in sorted((ROOT / "tests" / "spark_2").glob("2.*"))}
CONF = {
    **SMALL,
    "spark.master": "local[2,4]",
    "spark.sql.shuffle.partitions": "6",
    "spark.sql.adaptive.autoBroadcastJoinThreshold": "1k",
    "spark.eventLog.enabled": "true",
    "spark.eventLog.compress": "false",  # so that a test may read the lines itself
    "spark.executor.metrics.pollingInterval": "100ms",
}
JOB = """
import glob, os, sys, time
from pyspark import InheritableThread, TaskContext
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

folder = sys.argv[1]
spark = SparkSession.builder.getOrCreate()
context, status = spark.sparkContext, spark.sparkContext.statusTracker()

def refused(action):
    try:
        action()
    except Exception:
        return
    raise AssertionError("it did not fail")

def fail_once(part, rows):
    if part == 1 and TaskContext.get().attemptNumber() == 0:
        raise ValueError('the first attempt "fails"')
    return rows
context.parallelize(range(8), 4).mapPartitionsWithIndex(fail_once).count()

def fail(part):  # while another task of the stage runs, which is killed after it
    if part == 0:
        raise ValueError("always")
    time.sleep(2)
    return part
refused(lambda: context.parallelize(range(4), 4).map(fail).count())

pairs = context.parallelize([(n % 5, n) for n in range(1_000)], 4).groupByKey(3)
pairs.count()
gone = glob.glob(folder + "/local/**/shuffle_*.data", recursive=True)
assert gone
for path in gone:  # both stages are tried again
    os.remove(path)
pairs.count()
pairs.mapValues(len).collect()  # skips the first stage

def doomed():
    context.setJobGroup("doomed", "cancelled soon", interruptOnCancel=True)
    refused(lambda: context.parallelize(range(3), 3).map(lambda n: time.sleep(60)).count())
def runs():
    stages = [stage for job in status.getJobIdsForGroup("doomed") for stage in status.getJobInfo(job).stageIds]
    return any(info.numActiveTasks for stage in stages if (info := status.getStageInfo(stage)))
thread = InheritableThread(target=doomed)
thread.start()
while not runs():
    time.sleep(0.05)
context.cancelJobGroup("doomed")
thread.join()

numbers = spark.range(0, 20_000, 1, 4).selectExpr("id", "id % 7 AS k", "if(id < 15000, 1, id) AS skewed")
numbers.write.mode("overwrite").parquet(folder + "/numbers")
back = spark.read.parquet(folder + "/numbers")
other = back.filter("k = 3").select(F.col("id").alias("other"))
back.join(other, F.col("id") == F.col("other")).groupBy("k").count().collect()
back.repartition(8, "skewed").groupBy("skewed").count().orderBy("count").collect()
refused(lambda: back.select(F.assert_true(F.col("id") < 10)).collect())

stream = spark.readStream.schema(back.schema).option("maxFilesPerTrigger", 2).parquet(folder + "/numbers")
query = stream.groupBy("k").count().writeStream.outputMode("complete").format("memory").queryName("counted")
query.trigger(availableNow=True).option("checkpointLocation", folder + "/checkpoint").start().awaitTermination()
spark.stop()
"""


class History:
    """A log's application as Spark's REST API has it, as our store has it, and as its lines have it."""

    def __init__(self, address: str, app_id: str, store: Store, logs: Path) -> None:
        self._address, self.app_id, self._store, self._logs = address, app_id, store, logs

    def lines(self) -> Iterator[Any]:
        """The log's events, in their order."""
        for file in sorted(self._logs.rglob("*local-*")):
            if file.is_file() and not file.name.startswith((".", "appstatus_")):  # nor its checksum
                yield from map(json.loads, file.read_bytes().splitlines())

    def spark(self, what: str = "") -> Any:
        with urllib.request.urlopen(f"{self._address}/{self.app_id}{what}", timeout=60) as answer:
            return json.load(answer)

    def ours(self, table: sa.Table) -> list[Row]:
        with self._store.read() as conn:
            return [dict(row._mapping) for row in conn.execute(sa.select(table).order_by(*table.primary_key))]


@pytest.fixture(scope="module", params=[LOCKED.name, "3.5", "4.3", *OF_SPARK_2])
def history(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    home, logs = tmp_path_factory.mktemp("history"), tmp_path_factory.mktemp("logs")
    spark = LOCKED if request.param in OF_SPARK_2 else spark_of(request.param)
    environment = {
        **os.environ,
        **spark.environment,
        "SPARK_HOME": str(spark.jars.parent),
        "PYSPARK_PYTHON": sys.executable,
    }
    if request.param in OF_SPARK_2:
        unpack_log(OF_SPARK_2[request.param], logs)
    else:
        run_job(environment, home, logs)
    store = open_store(f"sqlite:///{home / 'store.db'}")
    [(_, taken)] = ingest_event_logs(store, list(find([logs])), now=0)
    assert not isinstance(taken, Exception), taken
    assert taken.bad_lines == 0
    [row] = History("", "", store, logs).ours(application)
    with history_server(environment, home, logs, row["app_id"]) as address:
        yield History(address, row["app_id"], store, logs)
    store.close()


def unpack_log(folder: Path, logs: Path) -> None:
    [log] = folder.glob("*.gz")
    (logs / log.stem).write_bytes(gzip.decompress(log.read_bytes()))


def run_job(environment: dict[str, str], home: Path, logs: Path) -> None:
    (home / "job.py").write_text(JOB)
    conf = {**CONF, "spark.eventLog.dir": logs.as_uri(), "spark.local.dir": str(home / "local")}
    words = [f"{environment['SPARK_HOME']}/bin/spark-submit"]
    for key, value in conf.items():
        words += ["--conf", f"{key}={value}"]
    done = subprocess.run(
        [*words, str(home / "job.py"), str(home)],
        cwd=home, env=environment, capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@contextmanager
def history_server(environment: dict[str, str], home: Path, logs: Path, app_id: str) -> Iterator[str]:
    port = free_port()
    options = {"fs.logDirectory": logs.as_uri(), "ui.port": port, "fs.update.interval": "1s"}
    said = {"SPARK_HISTORY_OPTS": " ".join(f"-Dspark.history.{key}={value}" for key, value in options.items())}
    words = [f"{environment['SPARK_HOME']}/bin/spark-class", "org.apache.spark.deploy.history.HistoryServer"]
    output = home / "history-server.log"
    with output.open("w") as file, subprocess.Popen(words, env=environment | said, stdout=file, stderr=file) as server:
        try:
            address = f"http://127.0.0.1:{port}/api/v1/applications"
            wait_for(f"{address}/{app_id}/jobs", server, output)
            yield address
        finally:
            server.terminate()
            server.wait(timeout=60)


def wait_for(address: str, server: "subprocess.Popen[bytes]", output: Path) -> None:
    deadline = time.monotonic() + 180
    while True:
        try:
            urllib.request.urlopen(address, timeout=60).close()
        except OSError:
            assert server.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.2)
        else:
            return


def millis(said: str | None) -> int | None:
    return None if said is None else _time(said)


def _time(said: str) -> int:
    return round(datetime.strptime(said, "%Y-%m-%dT%H:%M:%S.%fGMT").replace(tzinfo=UTC).timestamp() * 1000)


def test_the_application(history: History) -> None:
    [row], said = history.ours(application), history.spark()
    [attempt] = said["attempts"]
    assert (row["app_id"], row["name"]) == (said["id"], said["name"])
    assert (row["start_time"], row["end_time"]) == (attempt["startTimeEpoch"], attempt["endTimeEpoch"])
    assert (row["user_name"], row["spark_version"]) == (attempt["sparkUser"], attempt["appSparkVersion"])
    assert attempt["completed"]
    assert row["status"] == "ENDED"


def test_each_job(history: History) -> None:
    said = {each["jobId"]: each for each in history.spark("/jobs")}
    rows = {row["job_id"]: row for row in history.ours(job)}
    assert rows.keys() == said.keys()
    for job_id, row in rows.items():
        its = said[job_id]
        assert row["status"] == its["status"]
        assert row["start_time"] == millis(its["submissionTime"])
        assert row["end_time"] == millis(its["completionTime"])
        assert row["description"] == its.get("description")
        assert row["job_group"] == its.get("jobGroup")
        assert sorted(row["stage_ids"]) == sorted(its["stageIds"])
        assert sorted(row["tags"]) == sorted(its.get("jobTags", []))
        assert row["tasks"] == its["numTasks"]
        tasks = [row["succeeded_tasks"], row["failed_tasks"], row["killed_tasks"]]
        assert tasks == [its["numCompletedTasks"], its["numFailedTasks"], its["numKilledTasks"]], job_id
    assert {row["status"] for row in rows.values()} == {"SUCCEEDED", "FAILED"}


SAME = {
    "status": "status",
    "name": "name",
    "tasks": "numTasks",
    "succeeded_tasks": "numCompleteTasks",
    "failed_tasks": "numFailedTasks",
    "killed_tasks": "numKilledTasks",
    "executor_run_ms": "executorRunTime",
    "executor_cpu_ns": "executorCpuTime",
    "gc_ms": "jvmGcTime",
    "input_bytes": "inputBytes",
    "input_records": "inputRecords",
    "output_bytes": "outputBytes",
    "output_records": "outputRecords",
    "shuffle_read_bytes": "shuffleReadBytes",
    "shuffle_read_records": "shuffleReadRecords",
    "shuffle_write_bytes": "shuffleWriteBytes",
    "shuffle_write_records": "shuffleWriteRecords",
    "memory_spilled_bytes": "memoryBytesSpilled",
    "disk_spilled_bytes": "diskBytesSpilled",
}


def stages(history: History) -> list[tuple[Row, Row]]:
    """Each stage that was begun, as we and as Spark have it. One that was skipped has no row here."""
    said = {(each["stageId"], each["attemptId"]): each for each in history.spark("/stages")}
    rows = {(row["stage_id"], row["attempt"]): row for row in history.ours(stage)}
    assert rows.keys() == {key for key, each in said.items() if each["status"] != "SKIPPED"}
    assert any(each["status"] == "SKIPPED" for each in said.values())
    return [(row, said[key]) for key, row in rows.items()]


def test_each_stage_and_all_its_sums(history: History) -> None:
    differ = []
    for row, its in stages(history):
        assert row["start_time"] == millis(its["submissionTime"])
        assert row["end_time"] == millis(its["completionTime"])
        key = (row["stage_id"], row["attempt"])
        differ += [(key, ours, row[ours], its[name]) for ours, name in SAME.items() if row[ours] != its[name]]
    assert differ == []
    of = [row for row, _ in stages(history)]
    [whole] = history.ours(application)
    counts_output = whole["spark_version"] != "2.1.3"  # of what SQL writes
    for column in ("failed_tasks", "killed_tasks", "input_bytes", "output_bytes", "shuffle_read_bytes", "attempt"):
        assert any(row[column] for row in of) == (column != "output_bytes" or counts_output), column
    assert {row["status"] for row in of} == {"COMPLETE", "FAILED"}


def test_how_unequal_the_tasks_were(history: History) -> None:
    """By the tasks whose lines come before their stage's. One that fails with it, or is killed, may end before it by
    the clock and have its line after it all the same: that is in its sums only."""
    before, after = tasks_by_their_stage(history.lines())
    compared = 0
    for row, its in stages(history):
        key = (row["stage_id"], row["attempt"])
        tasks = history.spark(f"/stages/{key[0]}/{key[1]}/taskList?length=1000")
        assert {each["taskId"] for each in tasks} == before[key] | after[key]
        took = sorted(each["duration"] for each in tasks if each["taskId"] in before[key])
        assert (row["skew"] is None) == (len(took) < 2), key
        if len(took) < 2:
            continue
        said = row["skew"]["duration_ms"]
        assert (said["min"], said["max"]) == (took[0], took[-1]), (key, its["status"])
        for percent in (25, 50, 75, 95, 99) if len(took) > 2 else ():
            exact = took[-(-len(took) * percent // 100) - 1]
            assert abs(said[f"p{percent}"] - exact) <= exact / 32, (key, its["status"])
            compared += 1
    assert compared >= 20


Tasks = dict[tuple[int, int], set[int]]


def tasks_by_their_stage(lines: Iterator[Any]) -> tuple[Tasks, Tasks]:
    """The ids of the tasks of each stage attempt: those whose line comes before the stage's, and the others."""
    before, after = defaultdict[tuple[int, int], set[int]](set), defaultdict[tuple[int, int], set[int]](set)
    over = set()
    for event in lines:
        if event["Event"] == "SparkListenerStageCompleted":
            over.add((event["Stage Info"]["Stage ID"], event["Stage Info"]["Stage Attempt ID"]))
        elif event["Event"] == "SparkListenerTaskEnd":
            key = (event["Stage ID"], event["Stage Attempt ID"])
            (after if key in over else before)[key].add(event["Task Info"]["Task ID"])
    return before, after


def test_the_executors_and_what_they_did_in_all(history: History) -> None:
    [row], said = history.ours(application), history.spark("/allexecutors")
    rows = {each["executor_id"]: (each["cores"], each["added_time"]) for each in history.ours(executor)}
    assert rows == {each["id"]: (each["totalCores"], millis(each["addTime"])) for each in said}
    total = {name: sum(each[name] for each in said) for name in said[0] if isinstance(said[0][name], int)}
    assert row["succeeded_tasks"] == total["completedTasks"]
    assert row["failed_tasks"] == total["failedTasks"]
    assert row["killed_tasks"] == total["totalTasks"] - total["completedTasks"] - total["failedTasks"]
    assert row["input_bytes"] == total["totalInputBytes"]
    assert row["shuffle_read_bytes"] == total["totalShuffleRead"]
    assert row["shuffle_write_bytes"] == total["totalShuffleWrite"]


def test_each_sql_execution(history: History) -> None:
    said = {each["id"]: each for each in history.spark("/sql?details=false&length=1000")}
    rows = {row["execution_id"]: row for row in history.ours(sql_execution)}
    assert rows.keys() == said.keys()
    for key, row in rows.items():
        its = said[key]
        assert (row["status"], row["description"]) == (its["status"], its["description"])
        assert row["start_time"] == millis(its["submissionTime"])
        assert row["end_time"] - row["start_time"] == its["duration"]
    assert {row["status"] for row in rows.values()} == {"COMPLETED", "FAILED"}
