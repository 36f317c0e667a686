"""Drivers that meet SIGKILL at random moments, many of them, on each version of Spark: `make matrix`.

Half of the time the whole driver is killed, else only its JVM. The moments are drawn from a seed, which is printed:
AFTERGLOW_SEED=<it> draws the same ones. What makes so many cheap: short jobs, several drivers at once, and a JVM
that compiles little.
"""

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from afterglow_store import Store, open_store
from tests.support.drivers import PYTHON, Monitor, start
from tests.support.journals import in_spark_s_words
from tests.support.sparks import LOCKED, OTHERS, Spark, spark_of

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(1_200), pytest.mark.filterwarnings("default")]

KILLS = {LOCKED.name: 50, **dict.fromkeys(OTHERS, 5)}
AT_ONCE = 4
LONGEST_S = 3.0  # events wait for up to a second until they are written
ALL, JVM = "the whole driver", "its JVM"
STATUSES = {ALL: ("LOST", "ORPHANED"), JVM: ("FAILED", "SUSPECT")}  # of the application, and of its run
CONTEXT, FLUSHED = "context", "flushed"

# Says how many jobs were over when all that was offered before was on the disk.
PROGRAM = """
mlflow.set_registry_uri(os.environ["MLFLOW_TRACKING_URI"])  # else MLflow asks Spark for it, also at the end
tell("app", context.applicationId)
tell("context")
note(mlflow.start_run())
for done in range(1, 100_000):
    context._jsc.parallelize(context._jvm.java.util.ArrayList(), 2).count()  # needs no Python workers
    time.sleep(0.02)
    if done % 3 == 0 and listener().flush(60_000):
        tell("flushed", done)
"""


@dataclass(frozen=True)
class Kill:
    """What is to die, and how many seconds after what."""

    which: str
    since: str
    after_s: float


@dataclass(frozen=True)
class Killed:
    """A driver that is over. `flushed`: so many jobs were on the disk for sure."""

    kill: Kill
    home: Path
    code: int
    app_id: str
    run_id: str | None
    flushed: int
    log: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """What the listener's journal says, up to the last whole line. It is all there is, without a gap."""
        listener_s = [each for each in self._journals() if each[0]["Writer"] == "listener"]
        [lines] = listener_s or [[]]
        assert [each["Seq"] for each in lines] == list(range(len(lines)))
        return list(in_spark_s_words(lines))

    def _journals(self) -> Iterator[list[dict[str, Any]]]:
        for path in (self.home / "journal").glob("*.jsonl"):
            whole = path.read_bytes().rpartition(b"\n")[0]
            if whole:
                yield [json.loads(line) for line in whole.split(b"\n")]


@pytest.fixture(scope="module", params=KILLS)
def spark(request: pytest.FixtureRequest) -> Spark:
    return spark_of(request.param)


@pytest.fixture(scope="module")
def killed(spark: Spark, mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> list[Killed]:
    folder = tmp_path_factory.mktemp(f"killed-{spark.name}")
    seed = int(os.environ.get("AFTERGLOW_SEED") or random.randrange(1 << 32))
    print(f"AFTERGLOW_SEED={seed}")
    draw = random.Random(seed)
    kills = [
        Kill((ALL, JVM)[n % 2], (CONTEXT, FLUSHED)[n // 2 % 2], draw.uniform(0, LONGEST_S))
        for n in range(KILLS[spark.name])
    ]
    conf = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda n: kill(spark, folder / str(n), kills[n], conf, mlflow_server), range(len(kills))))


def kill(spark: Spark, home: Path, kill: Kill, conf: dict[str, str], mlflow_server: str) -> Killed:
    # Those of the same millisecond would share an id. Spark 3.5 knows no such setting, but there are only five of it.
    with_id = {**conf, "spark.test.appId": f"local-{spark.name}-{home.name}"}
    process = start(home, PROGRAM, PYTHON, tracking_uri=mlflow_server, conf=with_id, spark=spark)
    try:
        process.told(kill.since)
        time.sleep(kill.after_s)
        if kill.which == ALL:
            process.kill_all()
        else:
            process.kill("jvm", signal.SIGKILL)
        code = process.ended()
    finally:
        process.kill_all()
    run, flushed = home / "run", home / "flushed"
    return Killed(kill, home, code, process.told("app"), run.read_text() if run.exists() else None,
                  int(flushed.read_text()) if flushed.exists() else 0, process.log)  # fmt: skip


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    with closing(open_store(sqlite_url)) as opened:
        yield opened


def named(each: Killed, name: str) -> list[dict[str, Any]]:
    return [event for event in each.events if event["Event"] == name]


def test_the_journal_has_all_that_was_on_the_disk_before(killed: list[Killed]) -> None:
    for each in killed:
        assert len(named(each, "SparkListenerJobEnd")) >= each.flushed, each
        assert not named(each, "SparkListenerApplicationEnd")
        assert all(beat["Dropped"] == 0 for beat in named(each, "AfterglowHeartbeat"))
        assert each.flushed > 0 or each.kill.since == CONTEXT


def test_python_ends_as_it_does_when_its_jvm_is_gone(killed: list[Killed]) -> None:
    assert {(each.kill.which, each.code) for each in killed} == {(ALL, -signal.SIGKILL), (JVM, 1)}


def test_what_is_shown_in_the_end_is_what_was_killed(killed: list[Killed], store: Store, mlflow_server: str) -> None:
    monitor = Monitor(store, mlflow_server, *(each.home for each in killed))
    monitor.look(later_s=121)
    for each in killed:
        if each.kill.which == JVM or named(each, "SparkListenerApplicationStart"):
            assert monitor.application(each.app_id)["status"] == STATUSES[each.kill.which][0], each
        if each.run_id is not None:
            # Whose run it is the journal says, within a tenth of a second.
            owned = each.kill.which == JVM or named(each, "AfterglowRunStart")
            status = monitor.run(each.run_id)["effective_status"]
            assert status == (STATUSES[each.kill.which][1] if owned else "RUNNING"), each
