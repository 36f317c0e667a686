"""The true status of what real drivers leave behind, by the way in which they end: `make matrix`.

Each way is a program, started by spark-submit and in plain Python, with a real MLflow server over HTTP. Then the real
worker looks at what it left: at once, and once more when the grace is over.
"""

import json
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from afterglow_store import Store, open_store
from tests.support.drivers import HOOK, PYTHON, SUBMIT, Monitor, Process, start
from tests.support.journals import in_spark_s_words

pytestmark = [pytest.mark.matrix, pytest.mark.filterwarnings("default")]

AT_ONCE = 2  # drivers side by side
JVM_DIED = "its JVM died under its Python driver"
DIED = "its (JVM died|Spark context was stopped) under its Python driver"  # whichever was seen first
UNSEEN = "It is over, but nothing saw how: .*"
Status = tuple[str, str]  # what is shown, and a pattern of its reason


@dataclass(frozen=True)
class Way:
    """A way to end, and what has to be shown after it."""

    program: str
    codes: tuple[int, int]  # the exit codes under spark-submit and in plain Python
    application: Status
    run: Status
    mlflow: str
    at_once: Status | None = None  # the run before the grace is over, where that differs
    kill: tuple[str, int] | None = None
    hows: tuple[str, ...] = (SUBMIT, PYTHON)


OPEN = "note(mlflow.start_run())\ncount()\n"
INSIDE = "with mlflow.start_run() as run:\n    note(run)\n    count()\n"
ON_A_WORKER = "    context.parallelize([1], 1).foreach(too_much)\n"
UNTIL_THE_JVM_IS_GONE = """
recorded()
tell("ready")
try:
    while True:
        count()
        time.sleep(0.05)
except Exception:
    pass
"""
# What outliving the JVM takes: MLflow asks the Spark session for its registry in each call where no other is set, and
# spark-submit's JVM is what Python prints to.
COPING = """
mlflow.set_registry_uri(os.environ["MLFLOW_TRACKING_URI"])
sys.stdout = sys.stderr = open("out", "w")
"""
EVERYWHERE = (SUBMIT, PYTHON, HOOK)
RUNS = ("RUNNING", "")

WAYS = {
    "normal end": Way(INSIDE, (0, 0), ("SUCCEEDED", ""), ("FINISHED", ""), "FINISHED", hows=EVERYWHERE),
    "normal end with the run left open": Way(
        OPEN + "spark.stop()", (0, 0), ("SUCCEEDED", ""), ("FINISHED", ""), "FINISHED"
    ),
    "exception inside with": Way(
        INSIDE + "    raise ValueError('no more')", (1, 1),
        ("FAILED", "ValueError: no more"), ("FAILED", ""), "FAILED",
    ),
    "exception without with": Way(
        OPEN + "raise ValueError('no more')", (1, 1),
        ("FAILED", "ValueError: no more"), ("SUSPECT", "open until its driver died of ValueError: no more"),
        "FINISHED", hows=EVERYWHERE,
    ),
    "sys.exit(1)": Way(
        OPEN + "sys.exit(1)", (1, 1),
        ("FAILED", "SystemExit: 1"), ("SUSPECT", "open until its driver died of SystemExit: 1"), "FINISHED",
    ),
    "sys.exit(1) inside with": Way(
        INSIDE + "    sys.exit(1)", (1, 1), ("FAILED", "SystemExit: 1"), ("FAILED", ""), "FAILED"
    ),
    "SIGTERM": Way(
        OPEN + "wait()", (143, -15), ("ENDED", UNSEEN), ("ORPHANED", "its driver is gone: .* is ENDED"), "RUNNING",
        at_once=RUNS, kill=("python", signal.SIGTERM),
    ),
    "SIGKILL": Way(
        OPEN + "wait()", (137, -9), ("ENDED", UNSEEN), ("ORPHANED", "its driver is gone: .* is ENDED"), "RUNNING",
        at_once=RUNS, kill=("python", signal.SIGKILL),
    ),
    "os._exit": Way(
        OPEN + "recorded()\nos._exit(3)", (3, 3),
        ("ENDED", UNSEEN), ("ORPHANED", "its driver is gone: .* is ENDED"), "RUNNING", at_once=RUNS,
    ),
    "Python worker killed for its memory": Way(
        "def too_much(_):\n    os.kill(os.getpid(), signal.SIGKILL)\n" + INSIDE + ON_A_WORKER, (1, 1),
        ("FAILED", "Py4JJavaError: .*"), ("FAILED", "Job aborted .*Python worker exited unexpectedly.*"), "FAILED",
    ),
    "Python worker out of memory": Way(
        "def too_much(_):\n    resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28))\n    bytearray(1 << 30)\n"
        + INSIDE + ON_A_WORKER, (1, 1),
        ("FAILED", "PythonException: .*MemoryError.*"), ("FAILED", r"\[PYTHON_EXCEPTION\] .*MemoryError"), "FAILED",
    ),
    "JVM killed under a driver that copes": Way(
        COPING + OPEN + UNTIL_THE_JVM_IS_GONE + "mlflow.log_param('coped', True)\nmlflow.end_run()", (-9, 0),
        ("FAILED", JVM_DIED), ("FINISHED", ""), "FINISHED", kill=("jvm", signal.SIGKILL), hows=EVERYWHERE,
    ),
    "JVM killed under a driver that dies of it": Way(
        COPING + OPEN + UNTIL_THE_JVM_IS_GONE + "raise ValueError('no JVM')", (-9, 1),
        ("FAILED", JVM_DIED), ("SUSPECT", "open until its driver died of ValueError: no JVM"), "FINISHED",
        kill=("jvm", signal.SIGKILL),
    ),
    "JVM killed, and MLflow cannot end the run without it": Way(
        OPEN + UNTIL_THE_JVM_IS_GONE + "raise ValueError('no JVM')", (-9, 1),
        ("FAILED", JVM_DIED), ("ORPHANED", "its driver is gone: .* is FAILED"), "RUNNING",
        kill=("jvm", signal.SIGKILL),
    ),
    "JVM killed under a driver that stops Spark": Way(
        COPING + OPEN + UNTIL_THE_JVM_IS_GONE + "mlflow.end_run()\nspark.stop()", (-9, 1),
        ("FAILED", JVM_DIED), ("FINISHED", ""), "FINISHED", kill=("jvm", signal.SIGKILL),
    ),
    "JVM told to end under a living driver": Way(
        COPING + OPEN + UNTIL_THE_JVM_IS_GONE + "mlflow.end_run()", (143, 0),
        ("FAILED", DIED), ("FINISHED", ""), "FINISHED", kill=("jvm", signal.SIGTERM),
    ),
}  # fmt: skip
CASES = [pytest.param(name, how, id=f"{name}, {how}") for name, way in WAYS.items() for how in way.hows]


@dataclass(frozen=True)
class Ended:
    """A driver that is over."""

    home: Path
    code: int
    run_id: str
    log: str


class Drivers:
    """The drivers of this table that were asked for, two at a time, whichever test comes first."""

    def __init__(self, cases: list[tuple[str, str]], run: Callable[[str, str], Ended]) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._ended: dict[tuple[str, str], Future[Ended]] = {case: self._pool.submit(run, *case) for case in cases}

    def of(self, name: str, how: str) -> Ended:
        return self._ended[name, how].result()

    def stop(self) -> None:
        self._pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def drivers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, mlflow_server: str
) -> Iterator[Drivers]:
    chosen = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    asked_for = [(each["name"], each["how"]) for each in chosen if each.get("name") in WAYS]
    cases = list(dict.fromkeys(asked_for))
    homes = {case: tmp_path_factory.mktemp("driver") for case in cases}
    made = Drivers(cases, lambda name, how: end(WAYS[name], homes[name, how], how, mlflow_server))
    yield made
    made.stop()


def end(way: Way, home: Path, how: str, mlflow_server: str) -> Ended:
    process: Process = start(home, way.program, how, tracking_uri=mlflow_server)
    try:
        if way.kill is not None:
            process.told("ready")
            process.kill(*way.kill)
        code = process.ended()
        return Ended(home, code, process.told("run"), process.log)
    finally:
        process.kill_all()


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url)
    yield opened
    opened.close()


@pytest.mark.parametrize(("name", "how"), CASES)
def test_what_is_shown_after(name: str, how: str, drivers: Drivers, store: Store, mlflow_server: str) -> None:
    way, ended = WAYS[name], drivers.of(name, how)
    assert ended.code == way.codes[how != SUBMIT], ended.log
    monitor = Monitor(store, mlflow_server, ended.home)
    assert MlflowClient(mlflow_server).get_run(ended.run_id).info.status == way.mlflow
    shown(monitor.run(ended.run_id), way.at_once or way.run)
    monitor.look(later_s=monitor.grace_s + 1)
    shown(monitor.run(ended.run_id), way.run)
    shown(monitor.application(), way.application)


@pytest.mark.parametrize("how", [SUBMIT, PYTHON])
@pytest.mark.parametrize("name", ["SIGKILL", "os._exit"])
def test_every_event_of_a_python_that_was_gone_at_once_is_there(name: str, how: str, drivers: Drivers) -> None:
    ended = drivers.of(name, how)
    [path] = (ended.home / "journal").glob("*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [each["Seq"] for each in lines] == list(range(len(lines)))
    beats = [each for each in lines if each["Event"] == "AfterglowHeartbeat"]
    assert {(each["Dropped"], each.get("Bus Dropped") or 0) for each in beats if "Dropped" in each} == {(0, 0)}
    events = list(in_spark_s_words(lines))
    names = [each["Event"] for each in events]
    assert names.count("SparkListenerJobEnd") == names.count("SparkListenerApplicationEnd") == 1
    assert [each["Run ID"] for each in events if each["Event"].startswith("AfterglowRun")] == [ended.run_id]
    [job] = [each for each in events if each["Event"] == "SparkListenerJobStart"]
    assert job["Properties"]["spark.job.tags"] == f"mlflow.run_id={ended.run_id}"


def shown(row: dict[str, Any], expected: Status) -> None:
    """Check a row's status and reason."""
    status, pattern = expected
    reason = row["status_reason"] or ""
    assert row.get("effective_status", row["status"]) == status, reason
    assert re.fullmatch(pattern, reason, re.DOTALL), reason
