"""The whole way, live: a real job under spark-submit, a real MLflow server, `afterglow up`, and a browser."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from mlflow import MlflowClient
from playwright.sync_api import Page

from tests.support.monitor import Grid, answers, heading
from tests.support.spark import spark_command, spark_environment
from tests.support.tracking import free_port

SECONDS_TO_SHOW = 3.0

# Waits for a file before each step, so that the test decides when a run begins and ends.
JOB = """\
import sys, time
from pathlib import Path
import mlflow
from pyspark.sql import SparkSession

def wait_for(name):
    (here / f"{name}-awaited").touch()
    while not (here / name).exists():
        time.sleep(0.02)

here = Path(sys.argv[1])
spark = SparkSession.builder.appName("a live job").getOrCreate()
mlflow.set_experiment(sys.argv[2])
wait_for("begin")
with mlflow.start_run(run_name="seen while it runs"):
    spark.range(1000).count()
    wait_for("end")
spark.stop()
"""


def until(condition: Callable[[], object], seconds: float) -> float:
    """Wait for it; the moment (monotonic) when it was so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return time.monotonic()


@pytest.fixture
def monitor(afterglow_home: Path, mlflow_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """`afterglow up`, with the session's MLflow server configured."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    port = free_port()
    command = [sys.executable, "-m", "afterglow_monitor.cli", "up", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        address = f"http://127.0.0.1:{port}"
        until(lambda: answers(address), 60)
        yield address
        server.terminate()


@pytest.fixture
def experiment() -> str:
    return f"live {uuid4().hex[:8]}"


@pytest.fixture
def job(
    tmp_path: Path, afterglow_home: Path, mlflow_server: str, experiment: str
) -> Iterator["subprocess.Popen[bytes]"]:
    script = tmp_path / "job.py"
    script.write_text(JOB)
    with subprocess.Popen(
        spark_command(script, str(tmp_path), experiment),
        cwd=tmp_path,
        env=spark_environment(afterglow_home, {"MLFLOW_TRACKING_URI": mlflow_server}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        yield process
        process.kill()


def test_a_run_is_on_the_page_three_seconds_after_mlflow_has_it_while_its_job_still_runs(
    monitor: str, job: "subprocess.Popen[bytes]", experiment: str, mlflow_server: str, tmp_path: Path, page: Page
) -> None:
    client = MlflowClient(tracking_uri=mlflow_server)
    until((tmp_path / "begin-awaited").exists, 90)
    page.goto(f"{monitor}/?tab=runs")
    page.locator(".st-key-counted").wait_for()
    found = client.get_experiment_by_name(experiment)
    assert found is not None

    (tmp_path / "begin").touch()
    in_mlflow = until(lambda: client.search_runs([found.experiment_id]), 30)
    # Not `expect`, which looks only once a second after a while.
    Grid(page).cells.filter(has_text="seen while it runs").first.wait_for(state="attached", timeout=30_000)
    shown = time.monotonic()
    assert job.poll() is None, "the job has ended already"
    print(f"shown {shown - in_mlflow:.2f} s after MLflow had it")
    assert shown - in_mlflow <= SECONDS_TO_SHOW

    until((tmp_path / "end-awaited").exists, 60)
    (tmp_path / "end").touch()
    Grid(page).row("Finished")
    assert job.wait(60) == 0
    Grid(page).open("seen while it runs")
    heading(page, "seen while it runs").wait_for()
    page.get_by_role("link", name="a live job").first.click()
    heading(page, "a live job").wait_for()
