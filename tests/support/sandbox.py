"""Spark in the test's own process, where the hook is at work: what it recorded, and what Spark says of its jobs."""

import json
from pathlib import Path
from typing import Any

from pyspark import SparkContext
from pyspark.sql import SparkSession

from afterglow.hook import driver

FAST = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.shuffle.partitions": "2",
    "spark.eventLog.enabled": "true",
    "spark.eventLog.compress": "false",
    "spark.eventLog.rolling.enabled": "false",
}


class Sandbox:
    """A folder for the Spark applications of this process, without the listener: their event logs and journals."""

    def __init__(self, folder: Path, tracking_uri: str) -> None:
        self.folder = folder
        self.tracking_uri = tracking_uri
        self.journals = folder / "journal"
        self.event_logs = folder / "events"
        self.event_logs.mkdir()

    def start_spark(self, name: str) -> SparkSession:
        """A new SparkContext; the one that runs is stopped."""
        if SparkContext._active_spark_context is not None:
            SparkContext._active_spark_context.stop()
        builder = SparkSession.builder.master("local[2]").appName(name)
        for key, value in FAST.items():
            builder = builder.config(key, value)
        builder = builder.config("spark.eventLog.dir", self.event_logs.as_uri())
        return builder.config("spark.afterglow.journal.dir", str(self.journals)).getOrCreate()

    def events(self, run_id: str | None = None) -> list[dict[str, Any]]:
        """The journals' lines, of one run or all, once all that happened is written."""
        assert driver.recorder.wait_until_idle(20)
        lines = [line for file in sorted(self.journals.glob("*.jsonl")) for line in file.read_text().splitlines()]
        events = sorted((json.loads(line) for line in lines), key=lambda event: int(event["Timestamp"]))
        return [event for event in events if run_id is None or event.get("Run ID") == run_id]

    def job_runs(self, spark: SparkSession) -> list[set[str]]:
        """The runs that each Spark job was tagged with, by Spark's own event log."""
        starts = self._event_log(spark, "SparkListenerJobStart")
        tags = [start["Properties"].get("spark.job.tags", "").split(",") for start in starts]
        return [{tag.removeprefix("mlflow.run_id=") for tag in each if "mlflow.run_id=" in tag} for each in tags]

    def core_seconds(self, spark: SparkSession, run_id: str) -> float:
        """What the tasks of a run's jobs took, by Spark's own event log, with one core to a task."""
        tag, starts = f"mlflow.run_id={run_id}", self._event_log(spark, "SparkListenerJobStart")
        mine = [start for start in starts if tag in start["Properties"].get("spark.job.tags", "").split(",")]
        stages = {stage for start in mine for stage in start["Stage IDs"]}
        ends = [end for end in self._event_log(spark, "SparkListenerTaskEnd") if end["Stage ID"] in stages]
        return sum(int(end["Task Metrics"]["Executor Run Time"]) for end in ends) / 1000

    def _event_log(self, spark: SparkSession, name: str) -> list[dict[str, Any]]:
        context = spark.sparkContext
        context._jsc.sc().listenerBus().waitUntilEmpty()
        [log] = self.event_logs.glob(f"{context.applicationId}*")
        return [json.loads(line) for line in log.read_text().splitlines() if f'"{name}"' in line]
