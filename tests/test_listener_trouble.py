"""The Spark listener where something goes wrong around it: what is lost is counted, and no job is worse off for it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.journals import in_spark_s_words
from tests.support.parts import ROOT, require
from tests.support.spark import LISTENER, SparkJob, spark_submit
from tests.test_listener import FIND_LISTENER, named, read, said

sys.path.insert(0, str(ROOT / "listener"))
import build_jar

Event = dict[str, Any]

OFF = "Afterglow is off for this application"

JOB = f"""{FIND_LISTENER}
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
context.stop()
context, mine = begin("many")
post("StackOverflowError", 50)
print("MANY", context.parallelize(range(100), 2).sum(), mine.active(), mine.record('{{"Event":"AfterglowX"}}'))
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


def journal(job: SparkJob, name: str) -> list[Event]:
    return read(Path(said(job, f"JOURNAL-{name}")))


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


def test_after_many_errors_it_is_off_and_says_so_once(job: SparkJob) -> None:
    assert said(job, "MANY") == "4950 False False"
    warnings = [line for line in job.stderr.splitlines() if OFF in line]
    assert len(warnings) == 1
    assert "10 errors, the last one java.lang.StackOverflowError: made up" in warnings[0]


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
