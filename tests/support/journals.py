"""Journals written by hand, event by event as docs/journal.md has them: for tests about what is shown, which need
many applications, odd names or exact numbers rather than a real Spark."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from afterglow_store import compact

TRACKING_URI = "http://127.0.0.1:5000"
SQL = "org.apache.spark.sql.execution.ui."

PROPERTIES = {
    "spark.master": "local[4]",
    "spark.app.name": "demo",
    "spark.executor.memory": "4g",
    "spark.driver.host": "10.0.0.12",
    "spark.extraListeners": "io.afterglow.AfterglowListener",
    "spark.sql.shuffle.partitions": "200",
    "spark.sql.adaptive.enabled": "true",
    "spark.hadoop.fs.s3a.secret.key": "*********(redacted)",
    "spark.submit.deployMode": "client",
}


def run_id_of(name: str) -> str:
    """A run id that is the same each time, so that a test can name it."""
    return uuid5(NAMESPACE_URL, name).hex


def in_spark_s_words(events: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The events with what the listener says in fewer words taken apart again, as ingest does it."""
    for event in events:
        if event["Event"] == "AfterglowJob":
            yield from compact.spark_events(event)
        elif event["Event"] == "AfterglowStage":
            yield from compact.stage_events(event)
        else:
            yield event
            if "End" in event:
                yield {
                    "Event": SQL + "SparkListenerSQLExecutionEnd",
                    "executionId": event["executionId"],
                    **event["End"],
                }


class Journal:
    """One application's journal. `clock` (ms) is the time of the next event; each method moves it on."""

    def __init__(
        self,
        folder: Path,
        app_id: str,
        *,
        name: str,
        start: int,
        user: str = "ada",
        master: str = "local[4]",
        spark: str = "4.2.0",
        attempt: str = "",
        properties: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{uuid5(NAMESPACE_URL, f'{folder}/{app_id}/{attempt}/{start}')}.jsonl"
        self.clock = start
        self._seq = self._job = self._stage = self._execution = 0
        self.application = {
            "App ID": app_id, "App Attempt": attempt, "App Name": name, "Start Time": start, "User": user,
            "Master": master, "Driver Host": "10.0.0.12", "Spark Version": spark,
        }  # fmt: skip
        known = PROPERTIES | {"spark.master": master, "spark.app.name": name, "spark.app.id": app_id}
        self._write("AfterglowJournalStart", Version=1, Instance=self.path.stem, Writer="listener", Host="driver-1",
                    Timestamp=start)  # fmt: skip
        self._write("SparkListenerLogStart", **{"Spark Version": spark})
        self._write("SparkListenerEnvironmentUpdate", **{
            "JVM Information": {"Java Version": "17.0.12 (Eclipse Adoptium)", "Scala Version": "version 2.13.16"},
            "Spark Properties": known | dict(properties or {}),
        })  # fmt: skip
        self._write("SparkListenerApplicationStart", Timestamp=start, User=user, **{
            "App Name": name, "App ID": app_id, **({"App Attempt ID": attempt} if attempt else {})
        })  # fmt: skip
        self._executor("driver", "10.0.0.12", 4)

    def executors(self, count: int, cores: int = 8) -> Journal:
        for number in range(1, count + 1):
            self._executor(str(number), f"10.0.1.{number}", cores)
        return self

    def job(
        self,
        run: str | None = None,
        *,
        seconds: float = 4,
        description: str | None = None,
        stages: int = 2,
        tasks: int = 8,
        error: str | None = None,
        unfinished: bool = False,
        uneven: bool = False,
        reads: str | None = None,
        writes: str | None = None,
    ) -> Journal:
        """A job of `stages` stages that share `seconds`, for the MLflow run `run`, under a SQL execution. `reads`,
        `writes`: the path of a Parquet file; `uneven`: one task took ten times as long as the others."""
        job, stage_ids = self._job, list(range(self._stage, self._stage + stages))
        tags = [f"mlflow.run_id={run}"] if run else []
        infos = [{"Stage ID": stage, "Number of Tasks": tasks} for stage in stage_ids]
        properties = {"spark.job.tags": ",".join(tags), "spark.sql.execution.id": str(self._execution)}
        if description:
            properties["spark.job.description"] = description
        files = {name: [{"Format": "parquet", "Path": path}] for name, path in (("Inputs", reads), ("Outputs", writes))
                 if path}  # fmt: skip
        self._write(f"{SQL}SparkListenerSQLExecutionStart", executionId=self._execution, time=self.clock, jobTags=tags,
                    rootExecutionId=self._execution, description=description or "count at train.py:41",
                    physicalPlanDescription="* HashAggregate (2)\n+- Scan parquet (1)", **files)  # fmt: skip
        self._write("SparkListenerJobStart", Properties=properties, **{
            "Job ID": job, "Submission Time": self.clock, "Stage IDs": stage_ids, "Stage Infos": infos,
        })  # fmt: skip
        self._job, self._stage = job + 1, self._stage + stages
        for at, stage in enumerate(stage_ids):
            last = at == stages - 1
            written = int(seconds * 50_000) if writes and last else 0
            self._stage_of(stage, int(seconds * 1000 / stages), tasks, error if last else None, unfinished and last,
                           uneven=uneven, written=written)  # fmt: skip
        if not unfinished:
            result = {"Result": "JobFailed", "Exception": {"Message": error}} if error else {"Result": "JobSucceeded"}
            self._write("SparkListenerJobEnd", **{"Job ID": job, "Completion Time": self.clock, "Job Result": result})
            self._write(f"{SQL}SparkListenerSQLExecutionEnd", executionId=self._execution, time=self.clock,
                        errorMessage=error or "")  # fmt: skip
        self._execution += 1
        return self

    def run_start(self, run: str, name: str, **details: Any) -> dict[str, Any]:
        """The run's details as MLflow has them now; pass them to run_end, changed."""
        run_details = _details(run, name, self.clock, self.application, details)
        self._run_event("AfterglowRunStart", run_details)
        return run_details

    def run_end(self, run: dict[str, Any], status: str = "FINISHED", *, at_exit: bool = False, **changes: Any) -> None:
        """`at_exit`: by the interpreter that ends, since the job has not ended it."""
        ended = {"outputs": [], "outputs_complete": True, "registered_versions": []}
        ended |= run | changes | {"status": status, "end_time": self.clock}
        said = {"Status": status} | ({"At Exit": True} if at_exit else {})
        self._run_event("AfterglowRunEnd", ended, **said)

    def progress(
        self, *running: Sequence[int], dropped: int = 0, bus_dropped: int | None = 0, trouble: str | None = None
    ) -> Journal:
        """`running`: job, stages done, stages, tasks done, tasks."""
        said = {"Bus Dropped": bus_dropped, "Running Jobs": list(running)} | ({"Trouble": trouble} if trouble else {})
        self._write("AfterglowHeartbeat", Timestamp=self.clock, Dropped=dropped, **said)
        return self

    def wait(self, seconds: float) -> Journal:
        self.clock += int(seconds * 1000)
        return self

    def end(self, error: str | None = None) -> Path:
        self._write("AfterglowDriverEnd", Timestamp=self.clock, Application=self.application,
                    Outcome="exception" if error else "clean", Error=error)  # fmt: skip
        return self.end_without_hook()

    def end_without_hook(self) -> Path:
        """As it ends where only the listener was loaded."""
        self._write("SparkListenerApplicationEnd", Timestamp=self.clock)
        return self.path

    def _executor(self, executor: str, host: str, cores: int) -> None:
        self._write("SparkListenerExecutorAdded", Timestamp=self.clock, **{
            "Executor ID": executor,
            "Executor Info": {"Host": host, "Total Cores": cores, "Resource Profile Id": 0},
        })  # fmt: skip

    def _stage_of(
        self, stage: int, millis: int, tasks: int, error: str | None, unfinished: bool, *, uneven: bool, written: int
    ) -> None:
        info: dict[str, Any] = {
            "Stage ID": stage, "Stage Attempt ID": 0, "Stage Name": "collect at train.py:57", "Number of Tasks": tasks,
            "Submission Time": self.clock, "Resource Profile Id": 0,
        }  # fmt: skip
        self._write("SparkListenerStageSubmitted", **{"Stage Info": info})
        self.wait(millis / 1000)
        if unfinished:
            return
        figures = {
            "executorRunTime": millis * tasks // (10 if uneven else 2), "executorCpuTime": millis * tasks * 400_000,
            "jvmGCTime": millis // 20,
            "input.bytesRead": millis * 91_000, "input.recordsRead": millis * 310,
            "shuffle.write.bytesWritten": millis * 13_000, "shuffle.write.recordsWritten": millis * 40,
            "shuffle.read.localBytesRead": millis * 9_000, "shuffle.read.remoteBytesRead": millis * 4_000,
            "memoryBytesSpilled": millis * 2_000 if millis > 5_000 else 0,
            "diskBytesSpilled": millis * 700 if millis > 5_000 else 0,
            **({"output.bytesWritten": written, "output.recordsWritten": written // 100} if written else {}),
        }  # fmt: skip
        failed = 4 if error else 0
        shares = (2, 3, 4, 5, 8, 9, 95) if uneven else (20, 30, 40, 45, 80, 90, 95)
        times = [millis * share // 100 for share in shares]
        skew = {"Duration": times, "Slowest": [[3, 0, "2", "10.0.1.2", times[-1], millis * 30_000]]}
        self._write("AfterglowStageTasks", Succeeded=tasks - failed, Failed=failed, Killed=0, Skew=skew, **{
            "Stage ID": stage, "Stage Attempt ID": 0, "Metrics": figures,
        })  # fmt: skip
        done = info | {"Completion Time": self.clock}
        self._write("SparkListenerStageCompleted", **{
            "Stage Info": done | ({"Failure Reason": error} if error else {}),
        })  # fmt: skip

    def _run_event(self, event: str, run: Mapping[str, Any], **more: Any) -> None:
        source = run.get("_source", "tag")
        shown = {key: value for key, value in run.items() if not key.startswith("_")}
        self._write(event, Timestamp=self.clock, Application=self.application, Source=source, Run=shown, **{
            "Run ID": run["run_id"], "Tracking URI": TRACKING_URI, "Thread": "MainThread", **more,
        })  # fmt: skip

    def _write(self, event: str, **fields: Any) -> None:
        line = {"Event": event, **fields, "Seq": self._seq}
        self._seq += 1
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _details(
    run: str, name: str, time: int, application: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    tags = {
        "mlflow.runName": name, "mlflow.user": application["User"], "mlflow.source.name": "train.py",
        "spark.app.id": application["App ID"], "spark.app.startTime": str(application["Start Time"]),
    }  # fmt: skip
    details: dict[str, Any] = {
        "run_id": run, "run_name": name, "experiment_id": "1", "experiment_name": "wine-quality", "status": "RUNNING",
        "start_time": time, "end_time": None, "user": application["User"], "lifecycle_stage": "active",
        "source_name": "train.py", "source_type": "LOCAL", "artifact_uri": f"mlflow-artifacts:/1/{run}/artifacts",
        "params": {}, "metrics": {},
    }  # fmt: skip
    details |= {key: value for key, value in given.items() if key not in ("tags", "parent")}
    details["tags"] = tags | dict(given.get("tags", {}))
    if given.get("parent"):
        details["tags"]["mlflow.parentRunId"] = given["parent"]
    return details


MODEL_FILES = (("model/MLmodel", 812), ("model/model.pkl", 184_220), ("model/conda.yaml", 241),
               ("model/requirements.txt", 118), ("plots/residuals.png", 48_410), ("estimator.html", 9_812))  # fmt: skip


def model_outputs(extra: Sequence[tuple[str, int]] = ()) -> list[dict[str, Any]]:
    return [{"path": path, "size": size} for path, size in sorted([*MODEL_FILES, *extra])]
