"""Real jobs that have more to tell than others, plans of 1,000 columns or a stream that goes on: `make matrix`.

On each version of Spark.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from afterglow_store import Store, open_store
from tests.support.drivers import SUBMIT, Monitor, start
from tests.support.journals import SQL, in_spark_s_words
from tests.support.sparks import LOCKED, OTHERS, Spark, spark_of

pytestmark = [pytest.mark.matrix, pytest.mark.filterwarnings("default")]

STOP_S = 4.0  # Spark's own takes 1.2 on an idle machine
MAX_LINE = 256 << 10
BATCHES = 20
Event = dict[str, Any]

WIDE = """
frame = spark.range(0, 1000, 1, 2).selectExpr("id % 3 AS k", *[f"id + {n} AS a_column_{n}" for n in range(1_000)])
with mlflow.start_run() as run:
    note(run)
    sums = frame.groupBy("k").sum().collect()
    tell("sums", json.dumps([sum(row[n] for row in sums) for n in (2, 1001)]))
    frame.where("a_column_999 > 5").write.parquet("wide")
"""
STREAM = """
with mlflow.start_run() as run:
    note(run)
    rate = spark.readStream.format("rate").option("rowsPerSecond", 100).load()
    stream = rate.writeStream.format("memory").queryName("rate").trigger(processingTime="100 milliseconds").start()
while (stream.lastProgress or {"batchId": 0})["batchId"] < BATCHES:
    time.sleep(0.1)
tell("batches")
while not Path("go").exists():
    time.sleep(0.1)
stream.stop()
""".replace("BATCHES", str(BATCHES))
STOP = """
began = time.monotonic()
spark.stop()
tell("stopped", time.monotonic() - began)
sys.exit(3)
"""


@pytest.fixture(params=[LOCKED.name, *OTHERS])
def spark(request: pytest.FixtureRequest) -> Spark:
    return spark_of(request.param)


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    with closing(open_store(sqlite_url)) as opened:
        yield opened


@pytest.fixture
def conf(tmp_path: Path) -> dict[str, str]:
    """Spark's own event log beside the journal, to compare with."""
    (tmp_path / "event logs").mkdir()
    return {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": (tmp_path / "event logs").as_uri(),
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
    }


def journal(home: Path) -> list[Event]:
    """The listener's journal, in which no line is too long and none was lost."""
    [path] = (home / "journal").glob("*.jsonl")
    lines = path.read_bytes().splitlines()
    assert max(map(len, lines)) <= MAX_LINE
    events = [json.loads(line) for line in lines]
    assert [event["Seq"] for event in events] == list(range(len(events)))
    return list(in_spark_s_words(events))


def counted(events: list[Event]) -> "Counter[str]":
    kept = ("SparkListenerJobStart", "SparkListenerJobEnd", "SparkListenerStageCompleted",
            f"{SQL}SparkListenerSQLExecutionStart", f"{SQL}SparkListenerSQLExecutionEnd")  # fmt: skip
    return Counter(event["Event"] for event in events if event["Event"] in kept)


def posted(folder: Path) -> "Counter[str]":
    [log] = [each for each in (folder / "event logs").iterdir() if not each.name.startswith(".")]
    return counted([json.loads(line) for line in log.read_text().splitlines()])


def test_plans_of_a_thousand_columns_are_cut_and_cost_no_event(
    spark: Spark, conf: dict[str, str], store: Store, mlflow_server: str, tmp_path: Path
) -> None:
    job = start(tmp_path / "wide", WIDE + STOP, SUBMIT, tracking_uri=mlflow_server, conf=conf, spark=spark)
    try:
        assert job.ended() == 3, job.log
    finally:
        job.kill_all()
    assert json.loads(job.told("sums")) == [sum(range(1_000)), sum(range(999, 1_999))]
    assert float(job.told("stopped")) < STOP_S
    events = journal(job.home)
    assert counted(events) == posted(tmp_path)
    started = [event for event in events if event["Event"] == f"{SQL}SparkListenerSQLExecutionStart"]
    assert any(output["Path"].endswith("/wide") for event in started for output in event.get("Outputs", ()))
    assert max(len(event.get("physicalPlanDescription", "")) for event in started) <= 4_000
    monitor = Monitor(store, mlflow_server, job.home)
    assert (monitor.application()["status"], monitor.application()["lost_events"]) == ("FAILED", 0)
    assert monitor.run(job.told("run"))["effective_status"] == "FINISHED"


def test_a_stream_is_told_of_as_long_as_it_goes_on(
    spark: Spark, conf: dict[str, str], store: Store, mlflow_server: str, tmp_path: Path
) -> None:
    job = start(tmp_path / "stream", STREAM + STOP, SUBMIT, tracking_uri=mlflow_server, conf=conf, spark=spark)
    try:
        job.told("batches")
        monitor = Monitor(store, mlflow_server, job.home)
        assert monitor.application()["status"] == "RUNNING"
        run = monitor.run(job.told("run"))
        assert run["effective_status"] == "FINISHED"
        (job.home / "go").touch()
        assert job.ended() == 3, job.log
    finally:
        job.kill_all()
    assert float(job.told("stopped")) < STOP_S
    events = journal(job.home)
    assert counted(events) == posted(tmp_path)
    tags = [
        event["Properties"].get("spark.job.tags", "") for event in events if event["Event"] == "SparkListenerJobStart"
    ]
    assert len(tags) > BATCHES / 2
    assert all(f"mlflow.run_id={job.told('run')}" in each.split(",") for each in tags)  # it keeps what it began with
    monitor.look()
    assert monitor.run(job.told("run"))["jobs"] == monitor.application()["jobs"] == len(tags)
    assert (monitor.application()["status"], monitor.application()["lost_events"]) == ("FAILED", 0)
