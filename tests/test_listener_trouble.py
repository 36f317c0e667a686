"""The Spark listener where something goes wrong around it: what is lost is counted, and no job is worse off for it."""

import platform
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from afterglow_store import Query, Store, ingest_file, items, open_store, search_applications
from tests.support.journals import in_spark_s_words
from tests.support.parts import ROOT, require
from tests.support.spark import LISTENER, SparkJob, spark_submit
from tests.test_listener import FIND_LISTENER, named, read, said

sys.path.insert(0, str(ROOT / "listener"))
import build_jar

Event = dict[str, Any]
STOP_S = 4.0  # Spark's own takes 1.2 on an idle machine

JOB = f"""{FIND_LISTENER}
import contextlib, io

def begin(name, **settings):
    conf = SparkConf().setAll((key.replace("_", "."), value) for key, value in settings.items())
    context = SparkContext(conf=conf)
    print("JOURNAL-" + name, listener(context).journal(), flush=True)
    return context, listener(context)

# A bus with room for a hundred events, and a neighbour that holds it up.
context, mine = begin("bus", **{{
    "spark_scheduler_listenerbus_eventqueue_shared_capacity": "100",
    "spark_extraListeners": "io.afterglow.AfterglowListener,io.afterglow.Trouble$Slow",
}})
registry = context._jsc.sc().listenerBus().metrics().metricRegistry()
counter = lambda name: registry.counter(name).getCount()
print("SUM", context.parallelize(range(300), 300).sum())
context._jvm.io.afterglow.Trouble.release()
print("AGAIN", context.parallelize(range(100), 2).sum())
context.stop()
ours = registry.timer("listenerProcessingTime.io.afterglow.AfterglowListener").getCount()
print("BUS", counter("numEventsPosted"), counter("queue.shared.numDroppedEvents"), ours)

# A journal that may not grow beyond a megabyte.
context, mine = begin("cap", spark_afterglow_journal_maxSize="1m", spark_afterglow_heartbeat_interval="200ms")
flood = json.dumps({{"Event": "AfterglowFlood", "Text": "x" * 100_000}})
taken = 0
for _ in range(30):
    taken += mine.record(flood)
    mine.flush(5000)
context.parallelize(range(4), 2).count()
mine.record(json.dumps({{"Event": "AfterglowRunEnd", "Run ID": "abc", "Status": "FINISHED"}}))
time.sleep(0.5)
context.stop()
mine.flush(5000)
print("TAKEN", taken)

# Errors and interrupts out of what the listener calls, on the thread of the bus.
post = lambda kind, times: context._jvm.io.afterglow.Trouble.post(context._jsc.sc(), kind, times)
context, mine = begin("few", spark_afterglow_heartbeat_interval="200ms")
for kind in ("OutOfMemoryError", "StackOverflowError", "NoClassDefFoundError", "interrupt"):
    post(kind, 2)
    print("AFTER", kind, context.parallelize(range(100), 2).sum(), mine.active())
began = time.monotonic()
context.stop()
print("STOPPED", time.monotonic() - began)
context, mine = begin("many")
post("StackOverflowError", 50)
print("MANY", context.parallelize(range(100), 2).sum(), mine.active(), mine.record('{{"Event":"AfterglowX"}}'))
context.stop()
mine.record(json.dumps({{"Event": "AfterglowDriverEnd", "Timestamp": int(time.time() * 1000), "Outcome": "clean"}}))
mine.flush(5000)

# A plan that is larger than the queue.
context, mine = begin("plan", spark_afterglow_queue_bytes="1m", spark_sql_debug_maxToStringFields="100000")
ids = SparkSession(context).range(10)
wide = ids.select(*[(ids.id + i).alias("a_column_with_a_long_name_" + "x" * 200 + str(i)) for i in range(1_500)])
with contextlib.redirect_stdout(io.StringIO()) as plan:
    wide.explain(mode="formatted")
print("PLAN", len(plan.getvalue()), len(wide.collect()))
context.stop()
sys.exit(3)
"""


@pytest.fixture(scope="module")
def trouble(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trouble.java, compiled."""
    folder = tmp_path_factory.mktemp("classes")
    class_path = f"{require('jar')}:{build_jar.find_spark_jars()}/*"
    source = ROOT / "tests" / "listener" / "Trouble.java"
    subprocess.run([require("javac"), "-cp", class_path, "-d", str(folder), str(source)], check=True)
    return folder


@pytest.fixture(scope="module")
def job(trouble: Path, tmp_path_factory: pytest.TempPathFactory) -> SparkJob:
    """One driver with an application for each trouble; exit code 3."""
    conf = {"spark.extraListeners": LISTENER, "spark.driver.extraClassPath": f"{trouble}:{require('jar')}"}
    job = spark_submit(JOB, home=tmp_path_factory.mktemp("trouble"), conf=conf, listener=False)
    assert job.returncode == 3, job.stdout + job.stderr
    return job


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    with closing(open_store(sqlite_url)) as opened:
        yield opened


def journal(job: SparkJob, name: str) -> list[Event]:
    return read(Path(said(job, f"JOURNAL-{name}")))


def application(job: SparkJob, name: str, store: Store) -> dict[str, Any]:
    """As its journal alone tells of it."""
    path = Path(said(job, f"JOURNAL-{name}"))
    ingest_file(store, path, now=int(path.stat().st_mtime * 1000))
    with store.read() as conn:
        [row] = search_applications(conn, Query()).rows
    return row


def lost(events: list[Event]) -> int:
    """How many lines the journal lacks, by its own numbers."""
    return int(events[-1]["Seq"]) + 1 - len(events)


def test_what_spark_s_bus_drops_is_counted_to_the_event(job: SparkJob) -> None:
    posted, dropped, received = map(int, said(job, "BUS").split())
    events = journal(job, "bus")
    beat = named(events, "AfterglowHeartbeat")[-1]
    assert said(job, "SUM") == str(sum(range(300)))
    assert dropped >= 400
    assert posted == received + dropped
    # The application's end comes after the last beat; nothing is posted after it that could be dropped.
    assert beat["Bus Dropped"] == dropped
    assert beat["Dropped"] == lost(events) == 0


def test_a_journal_that_has_reached_its_size_counts_what_it_leaves_out(job: SparkJob) -> None:
    events = journal(job, "cap")
    size = Path(said(job, "JOURNAL-cap")).stat().st_size
    assert (1 << 20) <= size < (1 << 20) + 120_000
    assert said(job, "TAKEN") == "30"
    assert len(named(events, "AfterglowFlood")) == 11
    assert not list(in_spark_s_words(named(events, "AfterglowJob")))
    assert named(events, "AfterglowHeartbeat")[-1]["Dropped"] == lost(events) >= 20


def test_the_ends_still_go_into_a_journal_that_has_reached_its_size(job: SparkJob) -> None:
    names = [event["Event"] for event in journal(job, "cap")]
    assert names[-1] == "SparkListenerApplicationEnd"
    assert "AfterglowRunEnd" in names
    assert names.count("AfterglowHeartbeat") >= 2


def test_a_full_journal_is_one_line_in_the_driver_s_log(job: SparkJob) -> None:
    assert job.stderr.count("spark.afterglow.journal.maxSize") == 1


@pytest.mark.parametrize("kind", ["OutOfMemoryError", "StackOverflowError", "NoClassDefFoundError", "interrupt"])
def test_no_error_in_a_callback_stops_the_context_or_the_listener(job: SparkJob, kind: str) -> None:
    assert said(job, f"AFTER {kind}") == "4950 True"


def test_after_errors_the_journal_goes_on(job: SparkJob) -> None:
    events = list(in_spark_s_words(journal(job, "few")))
    assert {event["Job ID"] for event in named(events, "SparkListenerJobEnd")} >= {0, 1, 2, 3}
    assert events[-1]["Event"] == "SparkListenerApplicationEnd"
    assert "Removing that listener" not in job.stderr
    assert float(said(job, "STOPPED")) < STOP_S


def test_how_an_application_ended_is_known_though_callbacks_threw_and_were_interrupted(
    job: SparkJob, store: Store
) -> None:
    row = application(job, "few", store)
    assert (row["status"], row["lost_events"]) == ("ENDED", 6)


def test_each_event_that_an_error_costs_is_counted(job: SparkJob) -> None:
    events = journal(job, "few")
    assert named(events, "AfterglowHeartbeat")[-1]["Dropped"] == lost(events) == 6


def test_after_many_errors_it_only_counts_and_says_so_once(job: SparkJob) -> None:
    assert said(job, "MANY") == "4950 True True"
    warnings = [line for line in job.stderr.splitlines() if "no longer looks at them" in line]
    assert len(warnings) == 1
    assert "10 errors, the last one java.lang.StackOverflowError: made up" in warnings[0]
    events = journal(job, "many")
    beat = named(events, "AfterglowHeartbeat")[-1]
    assert beat["Trouble"] == "10 errors within an hour, the last one java.lang.StackOverflowError"
    assert 50 < beat["Dropped"] <= lost(events)
    assert beat["Running Jobs"] == []
    assert not named(events, "AfterglowJob")


def test_an_application_whose_listener_only_counts_still_ends_well(job: SparkJob, store: Store) -> None:
    row = application(job, "many", store)
    beat = named(journal(job, "many"), "AfterglowHeartbeat")[-1]
    assert (row["status"], row["lost_events"]) == ("SUCCEEDED", beat["Dropped"])
    with store.read() as conn:
        [writer] = items.writers_in_trouble(conn, row["id"])
    assert (writer["writer"], writer["trouble"]) == ("listener", beat["Trouble"])


def test_a_plan_that_is_larger_than_the_queue_costs_its_execution_nothing_else(job: SparkJob) -> None:
    characters, rows = map(int, said(job, "PLAN").split())
    assert characters > (1 << 20) / 4
    assert rows == 10
    events = journal(job, "plan")
    start = [event for event in events if event["Event"].endswith("SQLExecutionStart")][-1]
    assert start["description"].startswith("collect")
    assert "Plan Hash" not in start
    assert lost(events) == 0


def test_where_spark_has_no_json_of_its_events_it_is_off_and_says_so_once(trouble: Path, tmp_path: Path) -> None:
    fake = tmp_path / "JsonProtocol.java"
    fake.write_text("package org.apache.spark.util; public final class JsonProtocol {}")
    subprocess.run([require("javac"), "-d", str(tmp_path), str(fake)], check=True)
    class_path = f"{tmp_path}:{trouble}:{require('jar')}:{build_jar.find_spark_jars()}/*"
    done = subprocess.run(
        [require("java"), "-cp", class_path, "io.afterglow.Trouble"],
        env={"AFTERGLOW_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "ACTIVE false false []\n"
    [line] = [line for line in (done.stdout + done.stderr).splitlines() if "fterglow is off" in line]
    assert "this Spark has no JsonProtocol.sparkEventToJsonString" in line
    assert not (tmp_path / "home" / "journal").exists()


@pytest.fixture(scope="module")
def no_room(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Event]]:
    """What NoRoom.java prints, and the journal that it leaves: no file of its process grows beyond 64 KB. It knows no
    host's address either, as where no name server answers."""
    folder = tmp_path_factory.mktemp("no room")
    class_path = f"{folder}:{require('jar')}:{build_jar.find_spark_jars()}/*"
    source = ROOT / "tests" / "listener" / "NoRoom.java"
    subprocess.run([require("javac"), "-cp", class_path, "-d", str(folder), str(source)], check=True)
    (folder / "hosts").touch()
    options = ["-XX:-UsePerfData", f"-Djdk.net.hosts.file={folder}/hosts", "-XX:TieredStopAtLevel=1"]
    done = subprocess.run(
        [require("java"), *options, "-cp", class_path, "io.afterglow.NoRoom"],
        env={"AFTERGLOW_HOME": str(folder / "home"), "SPARK_LOCAL_HOSTNAME": "localhost"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16)),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    [path] = (folder / "home" / "journal").glob("*.jsonl")
    return done.stdout, read(path)


def test_what_a_full_disk_has_cost_is_told_once_there_is_room(no_room: tuple[str, list[Event]]) -> None:
    """A plan and the name of a stage are told once: that once must not be the line that was lost."""
    said, events = no_room
    assert said.splitlines()[:3] == ["OPEN true true", "NO ROOM false", "ROOM true"]
    [query] = [event for event in events if event["Event"].endswith("SQLExecutionStart")]
    assert query["executionId"] == 2
    assert query["physicalPlanDescription"] == "Project (1)"
    [stage] = named(in_spark_s_words(named(events, "AfterglowStage")), "SparkListenerStageCompleted")
    assert stage["Stage Info"]["Stage Name"] == "count at job.py:7"
    assert lost(events) >= 3


def test_the_journal_names_its_host_without_asking_a_name_server(no_room: tuple[str, list[Event]]) -> None:
    assert no_room[1][0]["Host"] == platform.node()
