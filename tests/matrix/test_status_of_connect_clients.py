"""The true status of what real Spark Connect clients leave behind, by the way in which they end: `make matrix`.

The application is the server's and goes on in every case.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from mlflow import MlflowClient

from afterglow_store import open_store
from tests.support.connect import running_connect_server
from tests.support.drivers import Monitor, Process, start
from tests.support.sparks import OTHERS, spark_of

pytestmark = [pytest.mark.matrix, pytest.mark.filterwarnings("default")]

QUICK = {"spark.afterglow.heartbeat.interval": "300ms"}
OPEN = "note(mlflow.start_run())\ncount()\n"
# The program, its exit code, and what is shown of its run before and after the grace, and by MLflow.
CLIENTS = {
    "normal end": (
        "with mlflow.start_run() as run:\n    note(run)\n    count()",
        0,
        "FINISHED",
        "FINISHED",
        "FINISHED",
    ),
    "exception without with": (OPEN + "raise ValueError('no more')", 1, "SUSPECT", "SUSPECT", "FINISHED"),
    "SIGKILL": (OPEN + "wait()", -9, "RUNNING", "ORPHANED", "RUNNING"),
    "os._exit": (OPEN + "recorded()\nos._exit(3)", 3, "RUNNING", "ORPHANED", "RUNNING"),
    "session stopped, and it works on": (
        OPEN + "recorded()\nspark.stop()\nwait()",
        None,
        "RUNNING",
        "RUNNING",
        "RUNNING",
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("connect")


@pytest.fixture(scope="module")
def clients(folder: Path, mlflow_server: str) -> Iterator[dict[str, Process]]:
    """All of them, of one server: those that come to an end have done so."""
    with ExitStack() as stack:
        server = stack.enter_context(running_connect_server(folder, QUICK))
        started: dict[str, Process] = {}
        for name, (program, code, *_) in CLIENTS.items():
            client = start(folder / name.split()[0], program, server, tracking_uri=mlflow_server)
            stack.callback(client.popen.wait)
            stack.callback(client.kill_all)
            started[name] = client
            if code is None or code < 0:
                client.told("ready")
            if code == -signal.SIGKILL:
                client.kill("python", signal.SIGKILL)
            if code is not None:
                assert client.ended() == code, client.log
        yield started


def test_the_run_of_each_client_shows_how_that_ended_and_the_application_runs_on(
    clients: dict[str, Process], folder: Path, sqlite_url: str, mlflow_server: str
) -> None:
    store = open_store(sqlite_url)
    monitor = Monitor(store, mlflow_server, folder / "server", *(client.home for client in clients.values()))
    mlflow = MlflowClient(mlflow_server)
    runs = {name: client.told("run") for name, client in clients.items()}
    expected = {name: tuple(rest) for name, (_, _, *rest) in CLIENTS.items()}
    before = {name: monitor.run(run_id)["effective_status"] for name, run_id in runs.items()}
    time.sleep(1)  # for the server's next beat; a client that works on beats every 10 s
    monitor.look(later_s=121)
    time.sleep(11)
    monitor.look()
    after = {name: monitor.run(run_id)["effective_status"] for name, run_id in runs.items()}
    said = {name: mlflow.get_run(run_id).info.status for name, run_id in runs.items()}
    assert {name: (before[name], after[name], said[name]) for name in runs} == expected
    assert monitor.run(runs["SIGKILL"])["status_reason"].startswith("its Spark Connect client of application ")
    assert monitor.run(runs["exception without with"])["status_reason"].endswith("ValueError: no more")
    assert monitor.application()["status"] == "RUNNING"
    store.close()


@pytest.mark.parametrize("name", [each for each in OTHERS if not each.startswith("3.")])  # that has Connect's jar apart
def test_a_client_of_another_spark_has_its_run_with_its_job(
    name: str, tmp_path: Path, sqlite_url: str, mlflow_server: str
) -> None:
    spark = spark_of(name)
    store = open_store(sqlite_url)
    with running_connect_server(tmp_path, QUICK, spark) as server:
        client = start(tmp_path / "client", CLIENTS["normal end"][0], server, tracking_uri=mlflow_server, spark=spark)
        assert client.ended() == 0, client.log
    monitor = Monitor(store, mlflow_server, tmp_path / "server", client.home)
    run, application = monitor.run(client.told("run")), monitor.application()
    assert (run["effective_status"], run["failed_jobs"]) == ("FINISHED", 0)
    assert run["jobs"] == application["jobs"] > 0
    assert [each["app_id"] for each in run["applications"]] == [application["app_id"]]
    assert application["spark_version"].startswith(name)
    store.close()
