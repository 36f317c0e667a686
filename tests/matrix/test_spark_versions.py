"""The listener and the hook on other versions of Spark, where all is well and where something is wrong: `make matrix`.

Each has an environment of its own, kept in .tools; tests/matrix/test_killed_drivers.py kills drivers of all of them.
"""

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from afterglow_store import Store, open_store
from tests.support.collecting import silent_port
from tests.support.drivers import Monitor
from tests.support.journals import SQL, in_spark_s_words
from tests.support.parts import ROOT, require
from tests.support.spark import LISTENER, SparkJob, spark_submit
from tests.support.sparks import OTHERS, Spark, spark_of
from tests.support.tracking import free_port
from tests.test_listener import OFF, said

pytestmark = [pytest.mark.matrix, pytest.mark.filterwarnings("default")]

ADDED_TO_STOP_S = 2.0  # as long as the machine is busy with the other driver, Spark's own part varies by as much
TASKS = 300
MADE_UP = 1_000_000  # the job of which Trouble.java tells
KEPT = {"SparkListenerApplicationStart", "SparkListenerApplicationEnd", "SparkListenerExecutorAdded",
        "SparkListenerJobStart", "SparkListenerJobEnd", "SparkListenerStageCompleted",
        f"{SQL}SparkListenerSQLExecutionStart", f"{SQL}SparkListenerSQLExecutionEnd"}  # fmt: skip
Event = dict[str, Any]

BEGIN = """
import json, sys, time
import mlflow
from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

def fail(n):
    raise ValueError("no good")

def work(context, name):
    with mlflow.start_run(run_name=name) as run:
        [[total]] = SparkSession(context).range(0, 300, 1, 300).selectExpr("sum(id)").collect()
        context.parallelize(range(4), 2).count()
    return run.info.run_id, total
"""
WELL = (
    BEGIN
    + """
context = SparkContext()
print("ROW", json.dumps([context.applicationId, *work(context, "well")]))
"""
)
FAILING = (
    BEGIN
    + """
context = SparkContext()
print("ROW", json.dumps([context.applicationId, *work(context, "before")]), flush=True)
with mlflow.start_run(run_name="doomed") as run:
    print("DOOMED", run.info.run_id, flush=True)
    context.parallelize(range(3), 3).map(fail).collect()
"""
)
# Of which the runs cannot be told apart by their threads.
UNPINNED = (
    BEGIN
    + """
context = SparkContext()
print("ROW", json.dumps([context.applicationId, *work(context, "unpinned")]))
"""
)
# One context after the other in one JVM, each with its trouble; then an exit code of the program's own.
IN_TURN = (
    BEGIN
    + """
troubles, thrown = map(json.loads, sys.argv[1:])
for name, settings in troubles.items():
    context = SparkContext(conf=SparkConf().setAll(settings.items()))
    registry = context._jsc.sc().listenerBus().metrics().metricRegistry()
    app_id = context.applicationId
    run_id, total = work(context, name)
    if "Slow" in settings.get("spark.extraListeners", ""):
        context._jvm.io.afterglow.Trouble.release()
    for kind in thrown.get(name, ()):
        context._jvm.io.afterglow.Trouble.post(context._jsc.sc(), kind, 2)
        total = work(context, name)[1]
    try:
        context.parallelize(range(3), 3).map(fail).collect()
    except Exception:
        failed = True
    jvm, began = context._jvm, time.monotonic()
    context.stop()
    took = time.monotonic() - began
    count = lambda name: registry.counter(name).getCount()
    received = registry.timer("listenerProcessingTime.io.afterglow.AfterglowListener").getCount()
    print("CONTEXT", name, json.dumps({
        "app_id": app_id, "run_id": run_id, "total": total, "failed": failed, "stop_s": took, "received": received,
        "posted": count("numEventsPosted"), "dropped": count("queue.shared.numDroppedEvents"),
    }), flush=True)
sys.exit(3)
"""
)


@dataclass(frozen=True)
class Drivers:
    """The drivers of a version, over."""

    well: SparkJob
    failing: SparkJob
    unpinned: SparkJob
    in_turn: SparkJob

    def context(self, name: str) -> dict[str, Any]:
        """What the last one said of the context of this name."""
        return dict(json.loads(said(self.in_turn, f"CONTEXT {name}")))


COLLECTOR = "spark.afterglow.collector.url"
TROUBLES = {
    "switched off": {"spark.afterglow.enabled": "false"},
    "well": {},
    "collector down": {COLLECTOR: "http://127.0.0.1:{closed}"},
    "collector hangs": {COLLECTOR: "http://127.0.0.1:{silent}"},
    "bus of 100": {
        "spark.scheduler.listenerbus.eventqueue.shared.capacity": "100",
        "spark.extraListeners": f"{LISTENER},io.afterglow.Trouble$Slow",
    },
    "journal unwritable": {"spark.afterglow.journal.dir": "/dev/null/journal"},
    "bad setting": {"spark.afterglow.heartbeat.interval": "now and then"},
    "errors": {},
    "interrupts": {},
}
# Out of what the listener calls, on the thread of the bus, twice each.
THROWN = {
    "errors": ["OutOfMemoryError", "StackOverflowError", "NoClassDefFoundError"],
    "interrupts": ["interrupt"],
}
LOST = {"errors": 2 * len(THROWN["errors"]), "interrupts": 0}


@pytest.fixture(scope="module", params=OTHERS)
def spark(request: pytest.FixtureRequest) -> Spark:
    return spark_of(request.param)


@pytest.fixture(scope="module")
def drivers(spark: Spark, mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> Drivers:
    """The drivers, two at a time."""
    home = tmp_path_factory.mktemp(f"spark-{spark.name}")
    with silent_port() as silent, ThreadPoolExecutor(2) as pool:

        def start(name: str, program: str, *arguments: str, **set_: str) -> "Future[SparkJob]":
            logs = home / name / "event logs"
            logs.mkdir(parents=True)
            conf = {
                "spark.extraListeners": LISTENER,
                "spark.driver.extraClassPath": f"{require('jar')}:{compiled(spark, home / 'classes')}",
                "spark.eventLog.enabled": "true",
                "spark.eventLog.dir": logs.as_uri(),
                "spark.eventLog.compress": "false",
                "spark.eventLog.rolling.enabled": "false",
                "spark.afterglow.flush.timeout": "1s",
            }
            environment = {"MLFLOW_TRACKING_URI": mlflow_server, **set_}
            return pool.submit(
                spark_submit, program, *arguments,
                home=home / name, conf=conf, environment=environment, listener=False, spark=spark,
            )  # fmt: skip

        troubles = json.dumps(TROUBLES).replace("{closed}", str(free_port())).replace("{silent}", str(silent))
        in_turn = start("in turn", IN_TURN, troubles, json.dumps(THROWN))
        well, failing = start("well", WELL), start("failing", FAILING)
        unpinned = start("unpinned", UNPINNED, PYSPARK_PIN_THREAD="false")
        return Drivers(well.result(), failing.result(), unpinned.result(), in_turn.result())


def compiled(spark: Spark, folder: Path) -> Path:
    """Trouble.java, once."""
    if not folder.exists():
        source = ROOT / "tests" / "listener" / "Trouble.java"
        class_path = f"{require('jar')}:{spark.jars}/*"
        subprocess.run([require("javac"), "-cp", class_path, "-d", str(folder), str(source)], check=True)
    return folder


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    with closing(open_store(sqlite_url)) as opened:
        yield opened


def journal_of(job: SparkJob, app_id: str) -> list[Event]:
    """The listener's journal of an application, line by line."""
    for path in job.journals:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        if any(each.get("App ID") == app_id for each in lines):
            return lines
    raise AssertionError(f"no journal of {app_id}\n{job.stderr}")


def events_of(job: SparkJob, app_id: str) -> list[Event]:
    """What Spark said, by the listener's journal, from which none is lost."""
    lines = journal_of(job, app_id)
    assert [each["Seq"] for each in lines] == list(range(len(lines)))
    return list(in_spark_s_words(lines))


def counted(events: list[Event]) -> "Counter[str]":
    return Counter(each["Event"] for each in events if each["Event"] in KEPT)


def posted(job: SparkJob, app_id: str) -> "Counter[str]":
    """What Spark's own event log has of it, on a queue of its own."""
    lines = (job.home / "event logs" / app_id).read_text().splitlines()
    return counted([json.loads(line) for line in lines])


def test_a_job_that_is_well_is_linked_with_its_jobs_and_has_succeeded(
    drivers: Drivers, spark: Spark, store: Store, mlflow_server: str
) -> None:
    job = drivers.well.succeeded()
    app_id, run_id, total = json.loads(said(job, "ROW"))
    assert total == sum(range(TASKS))
    events = events_of(job, app_id)
    assert next(each for each in events if "Spark Version" in each)["Spark Version"].startswith(f"{spark.name}.")
    assert counted(events) == posted(job, app_id)
    monitor = Monitor(store, mlflow_server, job.home)
    run = monitor.run(run_id)
    assert [each["app_id"] for each in run["applications"]] == [app_id]
    assert (run["effective_status"], run["jobs"], run["failed_jobs"]) == ("FINISHED", monitor.application()["jobs"], 0)
    assert run["jobs"] >= 2
    assert run["core_seconds"] > 0
    assert monitor.application()["status"] == "SUCCEEDED"
    assert "AfterglowListener:" not in job.stderr


def test_a_job_that_fails_does_so_with_its_own_exit_code_and_error(
    drivers: Drivers, store: Store, mlflow_server: str
) -> None:
    job = drivers.failing
    assert job.returncode == 1, job.stderr
    app_id, run_id, _ = json.loads(said(job, "ROW"))
    assert counted(events_of(job, app_id)) == posted(job, app_id)
    monitor = Monitor(store, mlflow_server, job.home)
    assert (monitor.application()["status"], monitor.application()["failed_jobs"]) == ("FAILED", 1)
    assert monitor.run(run_id)["effective_status"] == "FINISHED"
    doomed = monitor.run(said(job, "DOOMED"))
    assert (doomed["effective_status"], doomed["failed_jobs"]) == ("FAILED", 1)
    assert "no good" in doomed["status_reason"]


def test_a_job_without_pinned_threads_is_told_so_and_its_run_is_linked(
    drivers: Drivers, store: Store, mlflow_server: str
) -> None:
    job = drivers.unpinned.succeeded()
    app_id, run_id, total = json.loads(said(job, "ROW"))
    assert total == sum(range(TASKS))
    assert (job.stdout + job.stderr).count("PYSPARK_PIN_THREAD=false") == 1
    assert counted(events_of(job, app_id)) == posted(job, app_id)
    monitor = Monitor(store, mlflow_server, job.home)
    run, application = monitor.run(run_id), monitor.application()
    assert [each["app_id"] for each in run["applications"]] == [app_id]
    assert (run["effective_status"], application["status"]) == ("FINISHED", "SUCCEEDED")


def test_its_exit_code_is_its_own_after_a_trouble_in_each_of_its_contexts(drivers: Drivers) -> None:
    assert drivers.in_turn.returncode == 3, drivers.in_turn.stderr


@pytest.mark.parametrize("name", TROUBLES)
def test_no_trouble_changes_a_result_or_holds_up_the_stop(drivers: Drivers, name: str) -> None:
    context, without = drivers.context(name), drivers.context("switched off")
    assert (context["total"], context["failed"]) == (sum(range(TASKS)), True)
    assert context["stop_s"] < without["stop_s"] + ADDED_TO_STOP_S
    assert context["posted"] == context["received"] + context["dropped"] > 0


@pytest.mark.parametrize("name", ["well", "collector down", "collector hangs"])
def test_no_event_is_lost_in_a_trouble_around_the_listener(drivers: Drivers, name: str) -> None:
    app_id = drivers.context(name)["app_id"]
    assert counted(events_of(drivers.in_turn, app_id)) == posted(drivers.in_turn, app_id)


def test_what_spark_s_bus_drops_is_counted_to_the_event(drivers: Drivers) -> None:
    context = drivers.context("bus of 100")
    events = events_of(drivers.in_turn, context["app_id"])
    beat = [each for each in events if each["Event"] == "AfterglowHeartbeat"][-1]
    assert context["dropped"] >= 2 * (TASKS - 200)
    assert (beat["Bus Dropped"], beat["Dropped"]) == (context["dropped"], 0)
    assert not counted(events) - posted(drivers.in_turn, context["app_id"])


@pytest.mark.parametrize("name", THROWN)
def test_an_error_in_a_callback_costs_the_event_that_it_came_with_at_most(drivers: Drivers, name: str) -> None:
    app_id = drivers.context(name)["app_id"]
    lines = journal_of(drivers.in_turn, app_id)
    dropped = [each for each in lines if each["Event"] == "AfterglowHeartbeat"][-1]["Dropped"]
    assert lines[-1]["Seq"] + 1 - len(lines) == dropped == LOST[name]
    ends = [each for each in in_spark_s_words(lines) if each.get("Job ID") == MADE_UP]
    assert len(ends) == 2 * (name == "interrupts")
    log = (drivers.in_turn.home / "event logs" / app_id).read_text().splitlines()
    real = [each for each in map(json.loads, log) if each.get("Job ID") != MADE_UP]
    told = [each for each in in_spark_s_words(lines) if each.get("Job ID") != MADE_UP]
    assert counted(told) == counted(real)


@pytest.mark.parametrize(("name", "key"), [("journal unwritable", "spark.afterglow.journal.dir"),
                                           ("bad setting", "spark.afterglow.heartbeat.interval")])  # fmt: skip
def test_a_setting_that_cannot_be_used_is_one_line_and_no_journal(drivers: Drivers, name: str, key: str) -> None:
    lines = [line for line in drivers.in_turn.stderr.splitlines() if OFF in line and key in line]
    assert len(lines) == 1, drivers.in_turn.stderr
    with pytest.raises(AssertionError, match="no journal of"):
        events_of(drivers.in_turn, drivers.context(name)["app_id"])


def test_each_context_s_run_and_application_show_what_became_of_them(
    drivers: Drivers, store: Store, mlflow_server: str
) -> None:
    monitor = Monitor(store, mlflow_server, drivers.in_turn.home)
    monitor.look(later_s=121)
    for name in ("well", "collector down", "collector hangs", "bus of 100", *THROWN):
        context = drivers.context(name)
        run, application = monitor.run(context["run_id"]), monitor.application(context["app_id"])
        lost = context["dropped"] + LOST.get(name, 0)
        assert (run["effective_status"], run["applications"][0]["app_id"]) == ("FINISHED", context["app_id"]), name
        assert (application["status"], application["lost_events"]) == ("FAILED", lost), name
