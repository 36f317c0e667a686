"""Real Spark jobs whose collector fails them in every way: `make matrix`.

Whatever it does, the job's result and exit code are what they are without it, `stop()` and the exit stay within their
limits, and once it is well all events arrive, each once.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from afterglow_store import Query, Store, open_store, search_applications
from tests.support.collecting import (
    DIES,
    FAILS,
    HANGS,
    LOSES_ANSWERS,
    REFUSES,
    SLOW,
    WELL,
    CollectorServer,
    running_collector,
    silent_port,
)
from tests.support.shipping import ship_folder
from tests.support.spark import SparkJob, spark_command, spark_environment, spark_submit

pytestmark = [pytest.mark.matrix, pytest.mark.filterwarnings("default")]

JOBS = 40
STOP_S = 3.2  # Spark's own takes 1.2 on an idle machine
EXIT_S = 4.0  # of which the journal's last bytes may take the one of spark.afterglow.flush.timeout
JOB = f"""
import sys, time
from pyspark import SparkContext
context = SparkContext()
print("COUNT", sum(context.parallelize(range(7), 2).count() for _ in range({JOBS})))
time.sleep(3)
began = time.monotonic()
context.stop()
print("STOP", time.monotonic() - began)
print("END", time.time(), flush=True)
sys.exit(3)
"""
HOOK_JOB = """
import sys, time
import mlflow
from pyspark import SparkContext
context = SparkContext()
with mlflow.start_run():
    print("COUNT", context.parallelize(range(7), 2).count())
context.stop()
print("END", time.time(), flush=True)
sys.exit(3)
"""
# What of the bytes is with the collector when the job is over.
ALL, NOTHING, SOME = "all", "nothing", "some"
WAYS = {WELL: ALL, SLOW: SOME, LOSES_ANSWERS: ALL, REFUSES: NOTHING, HANGS: NOTHING, FAILS: NOTHING, DIES: NOTHING}


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    with closing(open_store(sqlite_url)) as opened:
        yield opened


@pytest.fixture
def either_store(store_url: str) -> Iterator[Store]:
    with closing(open_store(store_url)) as opened:
        yield opened


def applications(store: Store) -> list[dict[str, Any]]:
    with store.read() as conn:
        return search_applications(conn, Query()).rows


def run(server: CollectorServer, home: Path) -> float:
    """The job to its end, as if there were no collector, at its exit either; how long its stop() took."""
    conf = {"spark.afterglow.collector.url": server.url, "spark.afterglow.flush.timeout": "1s"}
    job = spark_submit(JOB, home=home, conf=conf)
    over = time.time()
    assert job.returncode == 3, job.stderr
    assert f"COUNT {7 * JOBS}" in job.stdout
    assert job.stderr.count("AfterglowListener:") <= 1, job.stderr
    assert over - said(job, "END") < EXIT_S
    return said(job, "STOP")


def said(job: SparkJob, word: str) -> float:
    return next(float(line.split()[1]) for line in job.stdout.splitlines() if line.startswith(word))


def is_all_there(store: Store, home: Path) -> None:
    [row] = applications(store)
    assert (row["jobs"], row["failed_jobs"], row["lost_events"], row["status"]) == (JOBS, 0, 0, "ENDED")
    assert list((home / "journal").iterdir()) == []


@pytest.mark.parametrize("how", WAYS)
def test_a_job_is_none_the_worse_for_its_collector_and_all_of_it_arrives(
    store: Store, tmp_path: Path, how: str
) -> None:
    with running_collector(store, how=how) as server:
        assert run(server, tmp_path) < STOP_S
        if WAYS[how] != ALL:
            server.take_in()
            assert WAYS[how] == SOME or applications(store) == []
            server.stop()
            server.how = WELL
            server.start()
            assert ship_folder(tmp_path / "journal", server.url).returncode == 0
        server.take_in()
    is_all_there(store, tmp_path)


def test_a_collector_that_never_reads_what_is_sent_holds_nothing_up(sqlite_url: str, tmp_path: Path) -> None:
    with closing(open_store(sqlite_url)) as store, silent_port() as port:
        server = CollectorServer(store)
        server.port = port
        assert run(server, tmp_path) < STOP_S
    assert len(list((tmp_path / "journal").glob("*.jsonl"))) == 1


def test_a_collector_that_comes_and_goes_gets_each_event_once(either_store: Store, tmp_path: Path) -> None:
    store = either_store
    program = tmp_path / "job.py"
    program.write_text(JOB.replace("time.sleep(3)", "time.sleep(12)"))
    with running_collector(store) as server, ExitStack() as stack:
        conf = {"spark.afterglow.collector.url": server.url, "spark.afterglow.heartbeat.interval": "200ms"}
        command, environment = spark_command(program, conf=conf), spark_environment(tmp_path)
        job = stack.enter_context(
            subprocess.Popen(
                command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )
        stack.callback(job.kill)
        while job.poll() is None:
            for how in (FAILS, DIES, WELL, LOSES_ANSWERS):
                server.how = how
                time.sleep(0.7)
                server.take_in()
            server.how = WELL
            time.sleep(1.5)
        assert job.returncode == 3
        ship_folder(tmp_path / "journal", server.url)  # what the last bad moment kept back
        server.take_in()
    is_all_there(store, tmp_path)


def test_the_journal_of_a_jvm_that_was_killed_is_sent_by_hand(store: Store, tmp_path: Path) -> None:
    program = JOB.replace("began =", "os.kill(context._jvm.java.lang.ProcessHandle.current().pid(), 9)\nbegan =")
    spark_submit("import os\n" + program, home=tmp_path)
    with running_collector(store) as server:
        shipped = ship_folder(tmp_path / "journal", server.url)
        assert shipped.stdout.startswith("1 journal sent (")
        server.take_in()
    [row] = applications(store)
    assert (row["jobs"], row["status"]) == (JOBS, "RUNNING")
    assert list((tmp_path / "journal").iterdir()) == []


def test_a_python_driver_without_the_listener_sends_its_own_journal(store: Store, tmp_path: Path) -> None:
    program = """
import mlflow
from pyspark import SparkContext
mlflow.set_tracking_uri("sqlite:///mlflow.db")
context = SparkContext()
with mlflow.start_run():
    context.parallelize(range(7), 2).count()
context.stop()
"""
    with running_collector(store) as server:
        conf = {"spark.afterglow.collector.url": server.url}
        spark_submit(program, home=tmp_path, conf=conf, listener=False).succeeded()
        ship_folder(tmp_path / "journal", server.url)  # what did not go in half a second at the exit
        server.take_in()
    [row] = applications(store)
    assert (row["runs"], row["status"]) == (1, "SUCCEEDED")
    assert list((tmp_path / "journal").iterdir()) == []


@pytest.mark.parametrize("trouble", ["its collector hangs", "its journal folder cannot be written"])
def test_a_python_driver_without_the_listener_is_not_held_up_by(
    trouble: str, store: Store, mlflow_server: str, tmp_path: Path
) -> None:
    with silent_port() as port:
        hangs = {"spark.afterglow.collector.url": f"http://127.0.0.1:{port}"}
        conf = hangs if "collector" in trouble else {"spark.afterglow.journal.dir": "/dev/null/journal"}
        environment = {"MLFLOW_TRACKING_URI": mlflow_server}
        job = spark_submit(HOOK_JOB, home=tmp_path, conf=conf, environment=environment, listener=False)
        over = time.time()
    assert (job.returncode, "COUNT 7" in job.stdout) == (3, True), job.stderr
    assert over - said(job, "END") < EXIT_S
    told = job.stdout + job.stderr  # spark-submit has what Python says among the first
    assert "Traceback" not in told, told
    if "folder" in trouble:
        assert told.count("Afterglow records nothing of this application") == 1, told
        return
    with running_collector(store) as server:
        assert ship_folder(tmp_path / "journal", server.url).returncode == 0
        server.take_in()
    [row] = applications(store)
    assert (row["runs"], row["status"], row["lost_events"]) == (1, "FAILED", 0)  # by its exit code


def test_a_python_driver_that_is_killed_leaves_its_own_journal_for_ship(store: Store, tmp_path: Path) -> None:
    program = """
import os, signal, time
import mlflow
from pathlib import Path
from pyspark import SparkContext
mlflow.set_tracking_uri("sqlite:///mlflow.db")
context = SparkContext()
mlflow.start_run()
while not list(Path("journal").glob("*.lock")):
    time.sleep(0.05)
os.kill(os.getpid(), signal.SIGKILL)
"""
    spark_submit(program, home=tmp_path, listener=False)
    with running_collector(store) as server:
        assert ship_folder(tmp_path / "journal", server.url).stdout.startswith("1 journal sent (")
        server.take_in()
    assert [row["runs"] for row in applications(store)] == [1]
