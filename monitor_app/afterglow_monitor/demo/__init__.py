"""The demo: two real Spark jobs with the listener, and Monitor with what they left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from afterglow.spark_conf import SparkConfError, listener_conf
from afterglow_monitor.clock import now_ms
from afterglow_monitor.collecting.journals import Tail
from afterglow_monitor.errors import DemoFailed
from afterglow_monitor.settings import Settings, demo_database, demo_server
from afterglow_monitor.syncing.sync import ServerSync
from afterglow_store import Query, Store, Window, search_runs, tracking
from afterglow_store.runs import OVER

JOBS = ("wine_pyspark.py", "diabetes_sklearn.py")
JOB_TIMEOUT_S = 300
# Small jobs on one machine: no web page of Spark's own, and not 200 partitions for 442 rows.
SETTINGS = {
    "spark.master": "local[2]",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "4",
    "spark.driver.host": "127.0.0.1",
}


def run_jobs(settings: Settings, store: Store, spark_submit: str, say: Callable[[str], None]) -> None:
    """Run both jobs, telling of each run as it ends. Raises DemoFailed, with the end of its log, when a job fails."""
    demo_database(settings.home).parent.mkdir(parents=True, exist_ok=True)
    make_experiments(settings)
    server = demo_server(settings.home)
    with store.write() as conn:  # before the journals speak of it
        tracking.know_server(conn, server.name, server.uri, [])
    progress = Progress(settings, store, say)
    for number, script in enumerate(JOBS, 1):
        began = time.monotonic()
        say(f"[{number}/{len(JOBS)}] spark-submit {script}")
        log = demo_database(settings.home).with_name(f"{Path(script).stem}.log")
        _submit([spark_submit, *_arguments(), str(Path(__file__).parent / script)], log, settings, progress)
        say(f"      done in {time.monotonic() - began:.0f} s, its log is {log}")


class Progress:
    """Takes in the journals while the jobs write them, and tells of each run that has ended."""

    def __init__(self, settings: Settings, store: Store, say: Callable[[str], None]) -> None:
        self._tail = Tail(store, settings.journal.folders)
        self._store, self._say = store, say
        self._began, self._told = now_ms(), set[str]()

    def show(self) -> None:
        self._tail.poll(now_ms())
        with self._store.read() as conn:
            runs = search_runs(conn, Query(window=Window(since=self._began), order_by="start_time", count=False)).rows
        for run in runs:
            if run["status"] in OVER and run["run_id"] not in self._told:
                self._told.add(run["run_id"])
                seconds = (run["duration_ms"] or 0) / 1000
                self._say(f"      {run['name']}: {run['status']} after {seconds:.1f} s, {run['jobs']} Spark jobs")


def make_experiments(settings: Settings) -> None:
    """Make MLflow's tables once, here, where it shows, and the experiments with their files beside them."""
    import mlflow  # noqa: PLC0415 - takes a second

    client = mlflow.MlflowClient(tracking_uri=demo_server(settings.home).uri)
    for name in ("wine quality", "diabetes progression"):
        if client.get_experiment_by_name(name) is None:
            client.create_experiment(name, artifact_location=str(settings.home / "demo" / "artifacts" / name))


def _submit(command: list[str], log: Path, settings: Settings, progress: Progress) -> None:
    began = time.monotonic()
    with log.open("w") as output:
        job = subprocess.Popen(  # noqa: S603 - our own script
            command, stdout=output, stderr=subprocess.STDOUT, env=_environment(settings, os.environ)
        )
        while (code := _wait(job, 0.5)) is None:
            progress.show()
            if time.monotonic() - began > JOB_TIMEOUT_S:
                job.kill()
                raise DemoFailed(f"{command[-1]} took longer than {JOB_TIMEOUT_S} s and was stopped. Its log: {log}")
    progress.show()
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise DemoFailed(f"{command[-1]} ended with exit code {code}. The end of its log, {log}:\n{tail}")


def _arguments() -> Iterator[str]:
    try:
        conf = SETTINGS | listener_conf()
    except SparkConfError as exc:
        raise DemoFailed(str(exc)) from exc
    for key, value in conf.items():
        yield from ("--conf", f"{key}={value}")


def _environment(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    ours = {
        "AFTERGLOW_HOME": str(settings.home),
        "PYSPARK_PYTHON": sys.executable,
        "MLFLOW_TRACKING_URI": demo_server(settings.home).uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "GIT_PYTHON_REFRESH": "quiet",
    }
    return {**environ, **ours}


def _wait(job: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return job.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def take_in(settings: Settings, store: Store) -> None:
    """What the jobs left, into the store: their journals, and their runs from MLflow."""
    Tail(store, settings.journal.folders).poll(now_ms())
    ServerSync(store, demo_server(settings.home), settings.sync).poll(now_ms())
