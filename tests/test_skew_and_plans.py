"""What the listener adds up of a stage's tasks, and keeps of a query's plan, held against Spark's own event log."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from afterglow_store import Store, ingest_event_log, ingest_file, items, open_store
from afterglow_store.event_logs import find
from afterglow_store.events import HANDLERS
from tests.support.journals import in_spark_s_words
from tests.support.spark import SparkJob, spark_submit
from tests.test_listener import SQL, named, read

Event = dict[str, Any]

JOB = """
import sys, time
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

spark = SparkSession.builder.getOrCreate()
context = spark.sparkContext
folder = sys.argv[1]

def work(part):
    time.sleep(0.6 if part == 117 else part % 7 / 500)
    return "x" * (part % 5 * 1_000), part
context.parallelize(range(120), 120).map(work).groupByKey(16).mapValues(len).count()

numbers = spark.range(1_000).selectExpr("id", "id % 7 AS k")
numbers.write.mode("overwrite").parquet(folder + "/numbers")
numbers.write.mode("overwrite").saveAsTable("kept")
back = spark.read.parquet(folder + "/numbers")
for _ in range(3):
    back.join(spark.table("kept"), "k").groupBy("k").count().collect()
columns = [(F.col("id") * i).alias(f"a_column_of_a_long_name_{i}") for i in range(1_000)]
wide = spark.range(1_000).select("id", *columns)
wide.groupBy(F.col("id") % 2).agg(*[F.sum(f"a_column_of_a_long_name_{i}") for i in range(1_000)]).collect()

spark.sql("CREATE TABLE by_day (id LONG, day STRING) USING parquet PARTITIONED BY (day)")
spark.sql("INSERT INTO by_day PARTITION (day = 'monday') SELECT id FROM kept")
spark.sql("CREATE TABLE in_buckets (id LONG, k LONG) USING orc CLUSTERED BY (k) SORTED BY (id) INTO 2 BUCKETS")
spark.sql("INSERT INTO in_buckets SELECT id, k FROM kept")
spark.sql("CREATE TABLE copied USING parquet AS SELECT k FROM kept")
url, driver = "jdbc:derby:memory:lake;create=true", {"driver": "org.apache.derby.iapi.jdbc.AutoloadedDriver"}
numbers.write.jdbc(url, "wine", properties=driver)
spark.read.jdbc(url, "wine", properties=driver).groupBy("k").count().collect()
spark.conf.set("spark.sql.sources.useV1SourceList", "")
spark.read.parquet(folder + "/numbers").groupBy("k").count().collect()
spark.stop()
"""


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> SparkJob:
    home = tmp_path_factory.mktemp("skew")
    (home / "event log").mkdir()
    conf = {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": (home / "event log").as_uri(),
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
        "spark.afterglow.heartbeat.interval": "100ms",
    }
    return spark_submit(JOB, str(home), home=home, conf=conf).succeeded()


@pytest.fixture(scope="module")
def journal(job: SparkJob) -> Path:
    [path] = job.journals
    return path


@pytest.fixture(scope="module")
def events(journal: Path) -> list[Event]:
    return list(in_spark_s_words(read(journal)))


@pytest.fixture(scope="module")
def spark_events(job: SparkJob) -> list[Event]:
    [log] = (job.home / "event log").iterdir()
    return read(log)


@pytest.fixture(scope="module")
def store(journal: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path_factory.mktemp('store') / 'store.db'}")
    ingest_file(opened, journal, now=0)
    yield opened
    opened.close()


def exact(spark_events: list[Event]) -> dict[int, dict[str, list[int]]]:
    """Of each stage the sorted figures of its tasks."""
    found: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for task in named(spark_events, "SparkListenerTaskEnd"):
        figures, info, metrics = found[task["Stage ID"]], task["Task Info"], task["Task Metrics"]
        figures["duration_ms"].append(info["Finish Time"] - info["Launch Time"])
        figures["input_bytes"].append(metrics["Input Metrics"]["Bytes Read"])
        read = metrics["Shuffle Read Metrics"]
        figures["shuffle_read_bytes"].append(read["Remote Bytes Read"] + read["Local Bytes Read"])
        figures["shuffle_write_bytes"].append(metrics["Shuffle Write Metrics"]["Shuffle Bytes Written"])
        figures["spilled_bytes"].append(metrics["Memory Bytes Spilled"] + metrics["Disk Bytes Spilled"])
    return {stage: {name: sorted(each) for name, each in of.items()} for stage, of in found.items()}


def test_smallest_and_largest_are_exact_and_quantiles_a_thirty_second_off(
    store: Store, spark_events: list[Event]
) -> None:
    with store.read() as conn:
        rows = {row["stage_id"]: row["skew"] or {} for row in items.stages_of(conn, 1)}
    compared = 0
    for stage, figures in exact(spark_events).items():
        for name, values in figures.items():
            said = rows[stage].get(name)
            if len(values) < 2 or (values[0] == values[-1] and name != "duration_ms"):
                assert said is None
                continue
            assert said is not None
            assert (said["min"], said["max"]) == (values[0], values[-1])
            for quantile in ("p25", "p50", "p75", "p95", "p99") if len(values) > 2 else ():
                rank = -(-len(values) * int(quantile[1:]) // 100)
                assert abs(said[quantile] - values[rank - 1]) <= values[rank - 1] / 32, (stage, name, quantile)
                compared += 1
    assert compared >= 15


def test_the_slowest_tasks_are_those_of_spark_s_own_event_log(store: Store, spark_events: list[Event]) -> None:
    tasks = [task["Task Info"] for task in named(spark_events, "SparkListenerTaskEnd") if task["Stage ID"] == 0]
    slowest = sorted(tasks, key=lambda task: task["Finish Time"] - task["Launch Time"])[-1]
    with store.read() as conn:
        [row] = [row for row in items.stages_of(conn, 1) if row["stage_id"] == 0]
    assert len(row["skew"]["slowest"]) == 3
    assert row["skew"]["slowest"][0] | {"bytes": 0} == {
        "index": slowest["Index"],
        "attempt": 0,
        "executor": "driver",
        "host": slowest["Host"],
        "duration_ms": slowest["Finish Time"] - slowest["Launch Time"],
        "bytes": 0,
    }


def test_spark_s_own_event_log_gives_the_same_stages(job: SparkJob, store: Store, tmp_path: Path) -> None:
    [log] = find([job.home / "event log"])
    other = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    ingest_event_log(other, log, now=0)
    with store.read() as conn, other.read() as of_log:
        mine, its = items.stages_of(conn, 1), items.stages_of(of_log, 1)
    other.close()
    assert len(mine) > 5
    assert its == mine


def test_what_is_said_of_how_unequal_tasks_were_is_small(events: list[Event]) -> None:
    said = [event["Tasks"]["Skew"] for event in events if "Skew" in event.get("Tasks", {})]
    assert said
    assert max(len(json.dumps(each)) for each in said) < 1_000


def test_heartbeats_say_how_far_each_job_is(journal: Path, tmp_path: Path) -> None:
    lines = journal.read_text().splitlines(keepends=True)
    beats = [(number, json.loads(line)) for number, line in enumerate(lines) if '"AfterglowHeartbeat"' in line]
    progress = [
        beat["Running Jobs"][0] for _, beat in beats if beat["Running Jobs"] and beat["Running Jobs"][0][0] == 0
    ]
    assert len(progress) > 3
    assert [each[3] for each in progress] == sorted(each[3] for each in progress)
    assert {(each[2], each[4]) for each in progress} == {(2, 136)}
    half = next(number for number, beat in beats if beat["Running Jobs"] and beat["Running Jobs"][0][3] > 10)
    (tmp_path / journal.name).write_text("".join(lines[: half + 1]))
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    ingest_file(store, tmp_path / journal.name, now=0)
    with store.read() as conn:
        [running] = items.progress_of(conn, 1)
    store.close()
    assert (running["job_id"], running["stages"], running["tasks"]) == (0, 2, 136)
    assert 10 < running["tasks_done"] < 136


def test_no_progress_is_left_of_an_application_that_ended(store: Store) -> None:
    with store.read() as conn:
        assert items.progress_of(conn, 1) == []


def test_no_line_has_more_than_256_kilobytes_whatever_the_plan(journal: Path, spark_events: list[Event]) -> None:
    plans = [event for event in spark_events if event["Event"].startswith(SQL)]
    assert max(len(json.dumps(event)) for event in plans) > 256 << 10
    assert max(map(len, journal.read_bytes().splitlines())) < 10_000


def test_a_plan_that_is_asked_again_is_told_once(journal: Path, store: Store) -> None:
    """The join was asked three times; what it became while it ran may be told as well."""
    said = [event for event in read(journal) if event["Event"].startswith(SQL)]
    joins = [event for event in said if "Inputs" in event and len(event["Inputs"]) == 2]
    assert len(joins) == 3
    assert len([event for event in said if "Join" in event.get("physicalPlanDescription", "")]) <= 2
    with store.read() as conn:
        rows = {row["execution_id"]: row for row in items.sql_executions_of(conn, 1)}
    assert all("Join" in rows[event["executionId"]]["plan"] for event in joins)


def test_what_a_query_reads_and_writes_is_kept(store: Store, job: SparkJob) -> None:
    with store.read() as conn:
        rows = items.sql_executions_of(conn, 1)
    read_ = [each for row in rows for each in row["inputs"] or ()]
    written = [each for row in rows for each in row["outputs"] or ()]
    numbers = {"format": "parquet", "path": f"file:{job.home}/numbers"}
    assert numbers in read_
    assert numbers in written
    assert {each.get("table") for each in read_} >= {"spark_catalog.default.kept"}


def test_what_is_written_is_kept_whichever_command_writes_it(store: Store, job: SparkJob) -> None:
    with store.read() as conn:
        rows = items.sql_executions_of(conn, 1)
    written = [each for row in rows for each in row["outputs"] or ()]
    warehouse = f"file:{job.home}/spark-warehouse"
    for format_, name in (("parquet", "by_day"), ("orc", "in_buckets")):
        table = {"format": format_, "path": f"{warehouse}/{name}", "table": f"spark_catalog.default.{name}"}
        assert table in written, name
    assert {"table": "spark_catalog.default.copied"} in written
    assert {"format": "parquet", "path": f"{warehouse}/copied"} in written
    assert {"format": "jdbc", "table": "wine"} in written


def test_what_is_read_from_a_database_and_by_spark_s_second_kind_of_sources_is_kept(
    store: Store, job: SparkJob
) -> None:
    with store.read() as conn:
        rows = items.sql_executions_of(conn, 1)
    assert [{"format": "jdbc", "table": "wine"}] in [row["inputs"] for row in rows]
    [second] = [row for row in rows if "BatchScan" in (row["plan"] or "")]
    assert second["inputs"] == [{"format": "parquet", "path": f"file:{job.home}/numbers"}]


def test_each_event_of_the_journal_has_a_handler_or_none_on_purpose(journal: Path) -> None:
    unread = {event["Event"] for event in read(journal)} - set(HANDLERS)
    assert unread == {"AfterglowJournalStart", "SparkListenerResourceProfileAdded"}
