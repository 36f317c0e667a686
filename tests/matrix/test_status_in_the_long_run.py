"""The true status where more than one process, or more than one moment, counts; with real drivers: `make matrix`."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from mlflow import MlflowClient

from afterglow_monitor.clock import now_ms
from afterglow_store import Query, Store, ingest_file, open_store, search_runs_of_unknown_owner
from tests.support.drivers import HOOK, PYTHON, SUBMIT, Monitor, Process, start
from tests.support.spark import spark_submit

pytestmark = [pytest.mark.matrix, pytest.mark.filterwarnings("default")]

QUICK = {"spark.afterglow.heartbeat.interval": "300ms"}
OPEN = "note(mlflow.start_run())\ncount()\n"
UNSEEN = "It is over, but nothing saw how: the Python hook, where it was loaded, saw no end of its driver"
Start = Callable[..., Process]


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url)
    yield opened
    opened.close()


@pytest.fixture
def driver(tmp_path: Path, mlflow_server: str) -> Iterator[Start]:
    """Starts drivers in folders of their own, by name; none outlives the test."""
    with ExitStack() as stack:

        def begin(name: str, program: str, how: str = PYTHON, conf: dict[str, str] | None = None) -> Process:
            started = start(tmp_path / name, program, how, tracking_uri=mlflow_server, conf=conf)
            stack.callback(started.popen.wait)
            stack.callback(started.kill_all)
            return started

        yield begin


def of_run(monitor: Monitor, run_id: str) -> tuple[str, str | None]:
    row = monitor.run(run_id)
    return row["effective_status"], row["status_reason"]


def of_application(monitor: Monitor) -> tuple[str, str | None]:
    row = monitor.application()
    return row["status"], row["status_reason"]


@pytest.mark.parametrize("how", [SUBMIT, PYTHON, HOOK])
def test_a_driver_that_stops_spark_and_works_on_keeps_its_run_until_it_is_gone(
    how: str, driver: Start, store: Store, mlflow_server: str
) -> None:
    working = driver("driver", OPEN + "recorded()\nspark.stop()\nwait()", how, conf=QUICK)
    working.told("ready")
    monitor = Monitor(store, mlflow_server, working.home, grace_s=1)
    for _ in range(3):
        time.sleep(1.2)
        monitor.look()
        assert of_run(monitor, working.told("run")) == ("RUNNING", None)
        assert monitor.application()["status"] == "ENDED"
    working.kill("python", signal.SIGKILL)
    working.ended()
    monitor.look().look(later_s=2)
    app_id = monitor.application()["app_id"]
    assert of_run(monitor, working.told("run")) == ("ORPHANED", f"its driver is gone: application {app_id} is ENDED")


@pytest.mark.parametrize("how", [PYTHON, HOOK])
def test_a_driver_that_outlives_its_jvm_keeps_its_run_until_it_is_gone(
    how: str, driver: Start, store: Store, mlflow_server: str
) -> None:
    working = driver("driver", OPEN + "wait()", how, conf=QUICK)
    working.told("ready")
    working.kill("jvm", signal.SIGKILL)
    time.sleep(1)
    monitor = Monitor(store, mlflow_server, working.home, grace_s=1)
    for _ in range(2):
        time.sleep(1.2)
        monitor.look()
        assert of_run(monitor, working.told("run")) == ("RUNNING", None)
        assert of_application(monitor) == ("FAILED", "its JVM died under its Python driver")
    ended = monitor.application()["end_time"]
    working.kill("python", signal.SIGKILL)
    working.ended()
    monitor.look().look(later_s=2)
    app_id = monitor.application()["app_id"]
    assert of_run(monitor, working.told("run")) == ("ORPHANED", f"its driver is gone: application {app_id} is FAILED")
    assert monitor.application()["end_time"] == ended


def test_a_driver_that_is_held_up_is_lost_and_taken_back_when_it_goes_on(
    driver: Start, store: Store, mlflow_server: str
) -> None:
    held = driver("driver", OPEN + "wait()", conf=QUICK)
    held.told("ready")
    held.kill_all(signal.SIGSTOP)
    monitor = Monitor(store, mlflow_server, held.home)
    monitor.look(later_s=108)
    assert monitor.application()["status"] == "RUNNING"
    assert of_run(monitor, held.told("run")) == ("RUNNING", None)
    monitor.look(later_s=13)
    assert monitor.application()["status"] == "LOST"
    assert of_run(monitor, held.told("run"))[0] == "ORPHANED"
    held.kill_all(signal.SIGCONT)
    time.sleep(1.5)
    monitor.look()
    assert of_application(monitor) == ("RUNNING", None)
    assert of_run(monitor, held.told("run")) == ("RUNNING", None)


def test_a_run_that_is_resumed_elsewhere_runs_until_that_driver_is_gone_too(
    driver: Start, store: Store, mlflow_server: str
) -> None:
    first = driver("first", OPEN + "wait()")
    first.told("ready")
    run_id = first.told("run")
    first.kill("python", signal.SIGKILL)
    second = driver("second", f"note(mlflow.start_run(run_id='{run_id}'))\nwait()")
    first.ended()
    monitor = Monitor(store, mlflow_server, first.home, second.home)
    monitor.look(later_s=121)
    assert of_run(monitor, run_id)[0] == "ORPHANED"
    second.told("ready")
    monitor.look()
    assert of_run(monitor, run_id) == ("RUNNING", None)
    second.kill("python", signal.SIGKILL)
    second.ended()
    monitor.look().look(later_s=121)
    assert of_run(monitor, run_id)[0] == "ORPHANED"


def test_a_run_that_is_only_logged_to_by_id_is_owned_by_nobody_known(
    driver: Start, store: Store, mlflow_server: str
) -> None:
    run_id = MlflowClient(mlflow_server).create_run("0").info.run_id
    logging = driver("driver", f"mlflow.MlflowClient().log_param('{run_id}', 'depth', 5)\nwait()")
    logging.told("ready")
    monitor = Monitor(store, mlflow_server, logging.home)
    logging.kill("python", signal.SIGKILL)
    logging.ended()
    monitor.look().look(later_s=121)
    row = monitor.run(run_id)
    assert (row["effective_status"], row["status_reason"]) == ("RUNNING", "owner unknown")
    assert [each["source"] for each in row["applications"]] == ["client"]
    with store.read() as conn:
        assert run_id in [each["run_id"] for each in search_runs_of_unknown_owner(conn, Query()).rows]


def test_a_job_without_the_hook_has_ended_and_nobody_says_how(store: Store, mlflow_server: str, tmp_path: Path) -> None:
    spark_submit(
        "from pyspark.sql import SparkSession\nSparkSession.builder.getOrCreate().range(3).count()", home=tmp_path
    ).succeeded()
    assert of_application(Monitor(store, mlflow_server, tmp_path)) == ("ENDED", UNSEEN)


def test_of_a_backfilled_log_nobody_knows_how_it_ended_nor_who_owned_its_runs(
    driver: Start, store: Store, mlflow_server: str, tmp_path: Path
) -> None:
    logs = tmp_path / "events"
    logs.mkdir()
    conf = {"spark.eventLog.enabled": "true", "spark.eventLog.dir": logs.as_uri(), "spark.eventLog.compress": "false",
            "spark.eventLog.rolling.enabled": "false"}  # fmt: skip
    done = driver("driver", INSIDE_THEN_OPEN, HOOK, conf=conf)
    assert done.ended() == 1, done.log
    [log] = [each for each in logs.iterdir() if not each.name.startswith(".")]
    ingest_file(store, log, now=now_ms())
    monitor = Monitor(store, mlflow_server, tmp_path / "no journals")
    monitor.look(later_s=121)
    assert of_application(monitor) == ("ENDED", UNSEEN)
    assert of_run(monitor, done.told("inside")) == ("FINISHED", None)
    assert of_run(monitor, done.told("run")) == ("RUNNING", "owner unknown")


INSIDE_THEN_OPEN = """
with mlflow.start_run() as run:
    tell("inside", run.info.run_id)
    count()
note(mlflow.start_run())
count()
recorded()
os._exit(1)
"""


def test_a_server_that_was_down_meanwhile_gives_each_the_grace_and_then_says_the_truth(
    driver: Start, store: Store, mlflow_server: str
) -> None:
    killed = driver("killed", OPEN + "wait()", SUBMIT)
    ended = driver("ended", OPEN + "recorded()\nraise ValueError('no more')")
    killed.told("ready")
    killed.kill_all()
    killed.ended()
    ended.ended()
    monitor = Monitor(store, mlflow_server, killed.home, ended.home, later_s=3600)
    run_id = killed.told("run")
    app_id = monitor.run(run_id)["applications"][0]["app_id"]
    assert monitor.application(app_id)["status"] == "RUNNING"
    assert of_run(monitor, run_id) == ("RUNNING", None)
    assert of_run(monitor, ended.told("run"))[0] == "SUSPECT"
    monitor.look(later_s=108)
    assert monitor.application(app_id)["status"] == "RUNNING"
    monitor.look(later_s=13)
    assert monitor.application(app_id)["status"] == "LOST"
    assert of_run(monitor, run_id) == ("ORPHANED", f"its driver is gone: application {app_id} is LOST")
