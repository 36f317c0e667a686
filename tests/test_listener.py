"""The Spark listener in real drivers: what its journal says, and that no job is worse off for it."""

import json
import os
import signal
import struct
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.journals import in_spark_s_words
from tests.support.parts import ROOT, require
from tests.support.spark import SparkJob, spark_command, spark_environment, spark_submit

sys.path.insert(0, str(ROOT / "listener"))
import build_jar

Event = dict[str, Any]

SQL = "org.apache.spark.sql.execution.ui."
OFF = "Afterglow is off for this application"

# How a job reaches the listener, as the Python hook does.
FIND_LISTENER = """
import json, os, sys, time
from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

def listener(context):
    for candidate in context._jsc.sc().listenerBus().listeners():
        if candidate.getClass().getName() == "io.afterglow.AfterglowListener":
            return candidate
"""

SECRET = "hunter2"
SECRETS = {
    "spark.my.password": SECRET,
    "spark.hadoop.fs.s3a.secret.key": SECRET,
    "spark.some.options": f"--user me --api-token {SECRET} --depth 3",
    "spark.other.url": f"https://me:it/{SECRET}@lake/a",
    "spark.some.url": f"jdbc:postgresql://me:{SECRET}@db/wine?user=me&password={SECRET}&ssl=true",
    "spark.some.urls": f"http://u:{SECRET}@a/,http://u:p,{SECRET}@b/",
    "spark.some.oracle": f"jdbc:oracle:thin:scott/{SECRET}@db:1521",
    "spark.some.json": json.dumps(
        {"name": "x", "password": f'{SECRET}"{SECRET}', "inner": json.dumps({"token": SECRET})}
    ),
    "spark.some.python": f"{{'access_key': 1, 'accessKey': '{SECRET}'}}",
    "spark.some.quoted": f"password = '{SECRET} {SECRET}'",
    "spark.some.list": json.dumps(
        {"passwords": [SECRET, f"]{SECRET}"], "pin_token": 4711, "token": {"a": SECRET}, "b": 1}
    ),
    "spark.some.table": f"CREATE TABLE t USING jdbc OPTIONS (user 'me', password '{SECRET}')",
    "spark.some.map": f"Map(user -> me, password -> {SECRET})",
    "spark.some.argument": f"read(secret => '{SECRET}')",
    "spark.some.long": "x" * 3_990 + f" password={SECRET}",
    "spark.app.name": f"wine --password {SECRET}",
}
INNOCENT = {
    "spark.innocent.class": "org.apache.spark.ml.feature.Tokenizer",
    "spark.innocent.path": "s3://lake/tokenized",
    "spark.innocent.sql": "SELECT token_count FROM t WHERE token = count AND secret_id > 3",
    "spark.innocent.schema": "struct<token: string, credential: int>",
    "spark.innocent.container": "abfss://data@account.dfs.core.windows.net/passwords",
    "spark.innocent.lambda": "SELECT transform(tokens, token -> lower(token)), filter(t, token -> token <> '')",
    "spark.innocent.error": "Unrecognized token 'FROM' of a basic GridSearchCV and a basic LogisticRegression",
    "spark.innocent.config": '{"max_tokens": 512, "has_token": true, "token": null}',
    "spark.innocent.mail": "token@example.org, a=b, --conf x=y",
    "spark.innocent.address": "hdfs://nn:8020/a@b, https://registry/@scope/a@1, zk://a:1,b:2/x@y",
    "spark.innocent.text": 'Grüße, 漢字, "quotes", back\\slash and 🍷',
}

MAIN_JOB = f"""{FIND_LISTENER}
spark = SparkSession.builder.getOrCreate()
context = spark.sparkContext
mine = listener(context)
print("JOURNAL", mine.journal(), mine.instance(), mine.active())

context.addJobTag("mlflow.run_id=abc")
context.setJobDescription("count --password {SECRET}")
context.setLocalProperty("my.private.note", "not for the journal")
spark.range(0, 10_000, 1, 4).selectExpr("id % 7 AS k").groupBy("k").count().collect()
context.removeJobTag("mlflow.run_id=abc")
wide = spark.range(10)
wide.select(*[(wide.id + i).alias(f"a_column_{{i}}") for i in range(150)]).collect()
for _ in range(5):
    context.parallelize(range(4), 2).count()
def fail(n):
    raise ValueError("no good: password={SECRET}")
try:
    context.parallelize(range(3), 3).map(fail).collect()
except Exception:
    pass

run = {{"run_id": "abc", "params": {{"text": "ü\\n🍷", "token": "kept=as it is"}},
        "artifact_uri": "https://me:{SECRET}@lake/a", "source_name": "https://{SECRET}@git/wine.git"}}
print("RECORDED", mine.record(json.dumps({{"Event": "AfterglowRunStart", "Run ID": "abc", "Run": run}})))
bad = ["", "{{}}", "[]", "null", '{{"Event":"SparkListenerJobEnd"}}', '{{"Event":"AfterglowX"}} {{}}',
       '{{"Event":"AfterglowX","a":"b', '{{"Event":"AfterglowX",\\n"a":"line\\nbreak"}}', "garbage", '{{"Event":1}}',
       '{{"Event":"AfterglowX","a":{{\\n"b":1}}}}', '{{"Event":"AfterglowX","a":[\\r1]}}']
print("REFUSED", [mine.record(text) for text in bad])
print("FLUSHED", mine.flush(5000), len(open(mine.journal()).readlines()))
spark.stop()
after = {{"Event": "AfterglowRunEnd", "Run ID": "abc", "Status": "FINISHED"}}
print("AFTER STOP", mine.record(json.dumps(after)), mine.flush(5000))

second = SparkContext(conf=SparkConf().set("spark.extraListeners", "io.afterglow.AfterglowListener"))
print("SECOND", listener(second).journal())
second.parallelize(range(10), 2).count()
sys.exit(3)
"""


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> SparkJob:
    """One driver for most of this file: an application that is stopped, then one that is not; exit code 3."""
    home = tmp_path_factory.mktemp("listener") / "a home"
    event_log = home / "event log"
    event_log.mkdir(parents=True)
    conf = {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": event_log.as_uri(),
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
        "spark.driver.extraJavaOptions": f"-Dmy.token={SECRET} -Dmy.color=red",
        **SECRETS,
        **INNOCENT,
    }
    return spark_submit(MAIN_JOB, home=home, conf=conf)


def said(job: SparkJob, word: str) -> str:
    """What the job printed after `word`."""
    return next(line for line in job.stdout.splitlines() if line.startswith(word + " "))[len(word) + 1 :]


def read(path: Path) -> list[Event]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def lines(job: SparkJob) -> list[Event]:
    return read(Path(said(job, "JOURNAL").rsplit(" ", 2)[0]))


@pytest.fixture(scope="module")
def events(lines: list[Event]) -> list[Event]:
    return list(in_spark_s_words(lines))


@pytest.fixture(scope="module")
def spark_events(job: SparkJob, events: list[Event]) -> list[Event]:
    """Spark's own event log of the same application."""
    app_id = only(named(events, "SparkListenerApplicationStart"))["App ID"]
    return read(job.home / "event log" / app_id)


def named(events: Iterable[Event], name: str) -> list[Event]:
    return [event for event in events if event["Event"] == name]


def only(events: list[Event]) -> Event:
    assert len(events) == 1, events
    return events[0]


def picked(value: Event, *keys: str) -> Event:
    return {key: value[key] for key in keys if key in value}


def test_every_class_in_the_jar_loads_on_java_8() -> None:
    with zipfile.ZipFile(require("jar")) as jar:
        classes = [name for name in jar.namelist() if name.endswith(".class")]
        versions = {struct.unpack(">4xHH", jar.read(name)[:8])[1] for name in classes}
    assert len(classes) > 10
    assert versions == {52}


def test_the_listener_names_no_class_of_scala_s_collections() -> None:
    """Their names differ between Scala 2.12 and 2.13; one jar serves both."""
    with zipfile.ZipFile(require("jar")) as jar:
        assert not [name for name in jar.namelist() if b"scala/collection" in jar.read(name)]


def test_no_callback_makes_a_lambda() -> None:
    """It would be made before any try: where memory has run out that throws, and stops the context."""
    with zipfile.ZipFile(require("jar")) as jar:
        assert b"BootstrapMethods" in jar.read("io/afterglow/Intake.class")
        assert b"BootstrapMethods" not in jar.read("io/afterglow/AfterglowListener.class")


def test_the_job_s_exit_code_is_its_own(job: SparkJob) -> None:
    assert job.returncode == 3, job.stderr


def test_the_driver_log_has_no_word_of_a_listener_that_is_well(job: SparkJob) -> None:
    assert "fterglow is off" not in job.stderr
    assert "AfterglowListener:" not in job.stderr


def test_two_contexts_in_one_process_have_a_journal_each(job: SparkJob) -> None:
    assert {str(path) for path in job.journals} == {said(job, "JOURNAL").rsplit(" ", 2)[0], said(job, "SECOND")}


def test_the_file_is_its_owner_s_alone_and_named_after_the_instance(job: SparkJob) -> None:
    path, instance, active = said(job, "JOURNAL").rsplit(" ", 2)
    assert active == "True"
    assert Path(path).stem == instance
    assert Path(path).stat().st_mode & 0o777 == 0o600
    assert Path(path).parent.stat().st_mode & 0o777 == 0o700


def test_each_line_is_an_event_first_and_its_number_last_without_a_gap(job: SparkJob) -> None:
    for path in job.journals:
        assert path.read_bytes().endswith(b"}\n")
        events = read(path)
        assert all(next(iter(event)) == "Event" and list(event)[-1] == "Seq" for event in events)
        assert [event["Seq"] for event in events] == list(range(len(events)))


def test_the_journal_begins_with_itself_and_the_version_of_spark(job: SparkJob, events: list[Event]) -> None:
    start, log = events[:2]
    assert picked(start, "Event", "Version", "Writer") == {
        "Event": "AfterglowJournalStart",
        "Version": 1,
        "Writer": "listener",
    }
    assert start["Instance"] == said(job, "JOURNAL").split()[-2]
    assert start["Host"]
    assert start["Heartbeat Interval"] == 10_000
    assert abs(start["Timestamp"] - only(named(events, "SparkListenerApplicationStart"))["Timestamp"]) < 60_000
    assert log["Event"] == "SparkListenerLogStart"
    assert log["Spark Version"][:2] in ("3.", "4.")


def test_spark_s_own_event_log_has_the_same_events(events: list[Event], spark_events: list[Event]) -> None:
    ours = Counter(event["Event"] for event in events if not event["Event"].startswith("Afterglow"))
    assert ours == Counter(event["Event"] for event in spark_events if event["Event"] in ours)


def test_what_lines_there_are_begin_in_the_order_of_spark_s_own_event_log(
    lines: list[Event], spark_events: list[Event]
) -> None:
    ours = [event["Event"] for event in lines if event["Event"].startswith(("Spark", "org.apache"))]
    theirs = iter(event["Event"] for event in spark_events)
    assert all(name in theirs for name in ours)


def test_a_job_that_is_soon_over_is_one_line_and_its_stages_are_rows_of_it(lines: list[Event]) -> None:
    whole = named(lines, "AfterglowJob")
    assert whole
    assert all(len(json.dumps(job)) < 700 for job in whole)
    told = {row[0] for job in whole for row in job["Stages"]}
    assert not told & {event["Stage Info"]["Stage ID"] for event in lines if "Stage Info" in event}


def test_a_job_that_is_not_soon_over_is_said_to_run_first(lines: list[Event], events: list[Event]) -> None:
    running = {event["Job ID"] for event in named(lines, "SparkListenerJobStart")}
    assert running
    assert running <= {event["Job ID"] for event in named(lines, "SparkListenerJobEnd")}
    assert running.isdisjoint(event["Job ID"] for event in named(lines, "AfterglowJob"))


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("SparkListenerApplicationStart", ["App ID", "Timestamp", "User"]),
        ("SparkListenerApplicationEnd", ["Timestamp"]),
        ("SparkListenerExecutorAdded", ["Timestamp", "Executor ID"]),
        (
            "SparkListenerResourceProfileAdded",
            ["Resource Profile Id", "Executor Resource Requests", "Task Resource Requests"],
        ),
        ("SparkListenerJobStart", ["Job ID", "Submission Time", "Stage IDs"]),
        ("SparkListenerJobEnd", ["Job ID", "Completion Time"]),
        (SQL + "SparkListenerSQLExecutionStart", ["executionId", "time"]),
        (SQL + "SparkListenerSQLExecutionEnd", ["executionId", "time"]),
    ],
)
def test_ids_and_times_are_those_of_spark_s_own_event_log(
    events: list[Event], spark_events: list[Event], name: str, keys: list[str]
) -> None:
    ours, theirs = named(events, name), named(spark_events, name)
    assert ours
    assert in_order(picked(event, *keys) for event in ours) == in_order(picked(event, *keys) for event in theirs)


def in_order(picks: Iterable[Event]) -> list[str]:
    """Lists inside sorted, too: in what order Spark names a job's stages means nothing."""
    plain = [{key: sorted(each) if isinstance(each, list) else each for key, each in pick.items()} for pick in picks]
    return sorted(json.dumps(pick, sort_keys=True) for pick in plain)


METRICS: dict[str, Callable[[Event], int]] = {
    "executorRunTime": lambda task: task["Executor Run Time"],
    "executorCpuTime": lambda task: task["Executor CPU Time"],
    "jvmGCTime": lambda task: task["JVM GC Time"],
    "memoryBytesSpilled": lambda task: task["Memory Bytes Spilled"],
    "diskBytesSpilled": lambda task: task["Disk Bytes Spilled"],
    "input.bytesRead": lambda task: task["Input Metrics"]["Bytes Read"],
    "input.recordsRead": lambda task: task["Input Metrics"]["Records Read"],
    "output.bytesWritten": lambda task: task["Output Metrics"]["Bytes Written"],
    "output.recordsWritten": lambda task: task["Output Metrics"]["Records Written"],
    "shuffle.read.remoteBytesRead": lambda task: task["Shuffle Read Metrics"]["Remote Bytes Read"],
    "shuffle.read.localBytesRead": lambda task: task["Shuffle Read Metrics"]["Local Bytes Read"],
    "shuffle.read.recordsRead": lambda task: task["Shuffle Read Metrics"]["Total Records Read"],
    "shuffle.write.bytesWritten": lambda task: task["Shuffle Write Metrics"]["Shuffle Bytes Written"],
    "shuffle.write.recordsWritten": lambda task: task["Shuffle Write Metrics"]["Shuffle Records Written"],
}


def test_stages_are_those_of_spark_s_own_event_log(events: list[Event], spark_events: list[Event]) -> None:
    assert stages(events)
    assert stages(events) == stages(spark_events)


def stages(events: list[Event]) -> dict[tuple[int, int], Event]:
    """What is said of each, at its beginning and its end."""
    keys = ("Stage Name", "Number of Tasks", "Submission Time", "Completion Time")
    said: dict[tuple[int, int], Event] = {}
    for event in named(events, "SparkListenerStageSubmitted") + named(events, "SparkListenerStageCompleted"):
        info = event["Stage Info"]
        said.setdefault((info["Stage ID"], info["Stage Attempt ID"]), {}).update(picked(info, *keys))
    return said


def test_what_the_tasks_of_a_stage_add_up_to_is_what_spark_s_own_event_log_does(
    events: list[Event], spark_events: list[Event]
) -> None:
    expected: dict[int, Counter[str]] = {}
    for event in named(spark_events, "SparkListenerTaskEnd"):
        sums = expected.setdefault(event["Stage ID"], Counter())
        sums[OUTCOMES.get(event["Task End Reason"]["Reason"], "Failed")] += 1
        for name, metric in METRICS.items():
            sums[name] += metric(event["Task Metrics"]) if event.get("Task Metrics") else 0
    peaks: Counter[int] = Counter()
    for event in named(spark_events, "SparkListenerTaskEnd"):
        held = (event.get("Task Metrics") or {}).get("Peak Execution Memory", 0)
        peaks[event["Stage ID"]] = max(peaks[event["Stage ID"]], held)
    ours = {event["Stage Info"]["Stage ID"]: event["Tasks"] for event in named(events, "SparkListenerStageCompleted")}
    ours |= {event["Stage ID"]: event for event in named(events, "AfterglowStageTasks")}  # a stage's last line counts
    assert set(ours) == set(expected)
    for stage, sums in expected.items():
        assert +Counter(ours[stage]["Metrics"]) + picked_counts(ours[stage]) == +sums, stage
        assert ours[stage]["Peak Execution Memory"] == peaks[stage]
    assert max(peaks.values()) > 0
    assert sum(sums["executorRunTime"] for sums in expected.values()) > 0


OUTCOMES = {"Success": "Succeeded", "TaskKilled": "Killed", "TaskCommitDenied": "Killed"}


def picked_counts(event: Event) -> Counter[str]:
    return Counter({name: event[name] for name in ("Succeeded", "Failed", "Killed")})


def test_jobs_carry_the_run_s_tag_and_nothing_private(events: list[Event]) -> None:
    properties = [event["Properties"] for event in named(events, "SparkListenerJobStart")]
    tagged = [p for p in properties if "mlflow.run_id=abc" in p.get("spark.job.tags", "").split(",")]
    assert 0 < len(tagged) < len(properties)
    assert tagged[0]["spark.job.description"] == "count --password *********(redacted)"
    kept = {"spark.job.tags", "spark.jobGroup.id", "spark.job.description", "mlflow.run_id"}
    kept |= {"spark.sql.execution.id"}
    assert not any("spark-session-" in each.get("spark.job.tags", "") for each in properties)
    assert not set().union(*properties) - kept


def test_a_failed_job_and_its_stage_say_why(events: list[Event]) -> None:
    failed = [e for e in named(events, "SparkListenerJobEnd") if e["Job Result"]["Result"] == "JobFailed"]
    message = only(failed)["Job Result"]["Exception"]["Message"]
    reason = only([e for e in named(events, "SparkListenerStageCompleted") if "Failure Reason" in e["Stage Info"]])
    assert "no good: password=*********(redacted)" in message
    assert "no good: password=*********(redacted)" in reason["Stage Info"]["Failure Reason"]


def test_of_a_plan_the_operators_are_kept_and_a_hash(events: list[Event], spark_events: list[Event]) -> None:
    name = SQL + "SparkListenerSQLExecutionStart"
    ours, theirs = named(events, name)[1], named(spark_events, name)[1]
    assert len(theirs["physicalPlanDescription"]) > 4_000
    assert "== Physical Plan ==\n" + ours["physicalPlanDescription"] in theirs["physicalPlanDescription"]
    assert len(ours["physicalPlanDescription"]) < 500
    assert len(ours["Plan Hash"]) == 16
    assert "sparkPlanInfo" not in ours


def test_no_planted_secret_is_in_the_file(job: SparkJob) -> None:
    for path in job.journals:
        assert SECRET not in path.read_text()


def test_what_only_looks_like_a_secret_survives(events: list[Event]) -> None:
    properties = named(events, "SparkListenerEnvironmentUpdate")[0]["Spark Properties"]
    assert picked(properties, *INNOCENT) == INNOCENT


def test_what_stands_around_a_secret_survives(events: list[Event]) -> None:
    properties = named(events, "SparkListenerEnvironmentUpdate")[0]["Spark Properties"]
    gone = "*********(redacted)"
    assert properties["spark.my.password"] == gone
    assert properties["spark.some.options"] == f"--user me --api-token {gone} --depth 3"
    assert properties["spark.other.url"] == f"https://{gone}@lake/a"
    assert properties["spark.some.url"] == f"jdbc:postgresql://{gone}@db/wine?user=me&password={gone}&ssl=true"
    assert properties["spark.some.urls"] == f"http://{gone}@a/,http://{gone}@b/"
    assert properties["spark.some.oracle"] == f"jdbc:oracle:thin:{gone}@db:1521"
    assert json.loads(json.loads(properties["spark.some.json"])["inner"]) == {"token": gone}
    assert properties["spark.some.python"] == f"{{'access_key': '{gone}', 'accessKey': '{gone}'}}"
    assert properties["spark.some.quoted"] == f"password = '{gone}'"
    assert json.loads(properties["spark.some.list"]) == {"passwords": gone, "pin_token": gone, "token": gone, "b": 1}
    assert properties["spark.some.table"] == f"CREATE TABLE t USING jdbc OPTIONS (user 'me', password '{gone}')"
    assert properties["spark.some.map"] == f"Map(user -> me, password -> {gone})"
    assert properties["spark.some.argument"] == f"read(secret => '{gone}')"
    assert properties["spark.app.name"] == f"wine --password {gone}"
    assert f"-Dmy.token={gone} -Dmy.color=red" in properties["spark.driver.extraJavaOptions"]
    assert only(named(events, "SparkListenerApplicationStart"))["App Name"] == f"wine --password {gone}"


def test_the_hook_s_events_are_taken_whole_and_numbered(job: SparkJob, events: list[Event]) -> None:
    assert said(job, "RECORDED") == "True"
    run = only(named(events, "AfterglowRunStart"))["Run"]
    assert run["params"] == {"text": "ü\n🍷", "token": "kept=as it is"}
    assert run["artifact_uri"] == "https://*********(redacted)@lake/a"
    assert run["source_name"] == "https://*********(redacted)@git/wine.git"


def test_what_is_not_an_event_of_afterglow_s_own_is_refused(job: SparkJob) -> None:
    assert set(json.loads(said(job, "REFUSED").lower())) == {False}


def test_a_flush_returns_when_all_is_in_the_file(job: SparkJob, lines: list[Event]) -> None:
    flushed, count = said(job, "FLUSHED").split()
    assert flushed == "True"
    assert lines[int(count) - 1]["Event"] == "AfterglowRunStart"


def test_the_journal_takes_events_after_the_application_s_end(job: SparkJob, events: list[Event]) -> None:
    assert said(job, "AFTER STOP") == "True True"
    assert [event["Event"] for event in events[-2:]] == ["SparkListenerApplicationEnd", "AfterglowRunEnd"]


def test_an_application_that_is_never_stopped_has_its_end_in_the_journal(job: SparkJob) -> None:
    assert read(Path(said(job, "SECOND")))[-1]["Event"] == "SparkListenerApplicationEnd"


TROUBLE = {
    "unwritable": {"spark.afterglow.journal.dir": "a file/journal"},
    "remote": {"spark.afterglow.journal.dir": "s3a://lake/journal"},
    "enabled": {"spark.afterglow.enabled": "maybe"},
    "timeout": {"spark.afterglow.flush.timeout": "soon"},
    "queue": {"spark.afterglow.queue.bytes": "1k"},
    "heartbeat": {"spark.afterglow.heartbeat.interval": "0s"},
    "disabled": {"spark.afterglow.enabled": "false"},
    # Spark itself uses this regex, only later, when somebody looks at its configuration.
    "regex": {"spark.redaction.regex": "(secret"},
}

TROUBLED_JOB = f"""{FIND_LISTENER}
for name, settings in json.loads(sys.argv[1]).items():
    conf = SparkConf().setAll(settings.items())
    context = SparkContext(conf=conf)
    total = context.parallelize(range(100), 2).sum()
    mine = listener(context)
    record, flush = mine.record('{{"Event":"AfterglowX"}}'), mine.flush(1)
    print("CASE", name, total, mine.active(), repr(mine.journal()), record, flush)
    context.stop()
"""


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> SparkJob:
    """One driver with an application for each trouble."""
    home = tmp_path_factory.mktemp("troubled")
    (home / "a file").touch()
    return spark_submit(TROUBLED_JOB, json.dumps(TROUBLE), home=home).succeeded()


@pytest.mark.parametrize("name", TROUBLE)
def test_a_job_has_the_right_result_whatever_is_wrong_with_the_listener(troubled: SparkJob, name: str) -> None:
    assert said(troubled, f"CASE {name}") == "4950 False '' False False"


@pytest.mark.parametrize("name", [name for name in TROUBLE if name != "disabled"])
def test_a_setting_that_cannot_be_used_is_one_clear_warning(troubled: SparkJob, name: str) -> None:
    key, value = next(iter(TROUBLE[name].items()))
    warnings = [line for line in troubled.stderr.splitlines() if OFF in line and value in line]
    assert len(warnings) == 1, troubled.stderr
    assert "WARN" in warnings[0]
    assert key in warnings[0]


def test_there_is_no_other_warning_and_no_journal(troubled: SparkJob) -> None:
    assert troubled.stderr.count("fterglow is off") == len(TROUBLE) - 1
    assert "io.afterglow" not in troubled.stderr.replace("io.afterglow.AfterglowListener\n", "")
    assert troubled.journals == []


def test_the_kill_switch_in_the_environment_switches_all_off_without_a_word(tmp_path: Path) -> None:
    script = f"{FIND_LISTENER}\nSparkContext().parallelize([1], 1).map(lambda n: n / 0).count()"
    job = spark_submit(script, home=tmp_path / "home", environment={"AFTERGLOW_DISABLED": "1"})
    assert job.returncode == 1
    assert "ZeroDivisionError" in job.stderr
    assert "fterglow is" not in job.stderr
    assert not (tmp_path / "home" / "journal").exists()


BUSY_JOB = f"""{FIND_LISTENER}
context = SparkContext()
mine = listener(context)
line = json.dumps({{"Event": "AfterglowFlood", "Text": "x" * 200_000}})
large = json.dumps({{"Event": "AfterglowFlood", "Text": "x" * 800_000}})
taken = sum(mine.record(line) for _ in range(30))
print("TAKEN", taken, mine.record(large), flush=True)
while True:
    context.parallelize(range(2), 2).count()
    now = time.time()
    mine.record(json.dumps({{"Event": "AfterglowTick", "Timestamp": now}}))
    print(now, flush=True)
"""


@dataclass
class Killed:
    """A driver that met SIGKILL: what it had said, when (seconds) it recorded a tick, and when it died."""

    taken: str
    ticks: list[float]
    died: float
    journal: Path


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """A busy driver with a small queue, killed three seconds after its first job."""
    home = tmp_path_factory.mktemp("killed")
    program = home / "job.py"
    program.write_text(BUSY_JOB)
    conf = {"spark.afterglow.queue.bytes": "1m", "spark.afterglow.heartbeat.interval": "500ms"}
    with subprocess.Popen(
        spark_command(program, conf=conf),
        env=spark_environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as driver:
        try:
            assert driver.stdout is not None
            taken = driver.stdout.readline()
            ticks = [float(driver.stdout.readline())]
            while ticks[-1] < ticks[0] + 3:
                ticks.append(float(driver.stdout.readline()))
        finally:
            died = time.time()
            os.killpg(driver.pid, signal.SIGKILL)
    [path] = (home / "journal").glob("*.jsonl")
    return Killed(taken, ticks, died, path)


def test_a_killed_driver_s_journal_has_all_but_its_last_one_and_a_half_seconds(killed: Killed) -> None:
    text = killed.journal.read_text()
    events = list(in_spark_s_words(json.loads(line) for line in text.splitlines()))
    before = [tick for tick in killed.ticks if tick < killed.died - 1.5]
    assert text.endswith("\n")
    assert [event["Timestamp"] for event in named(events, "AfterglowTick")][: len(before)] == before
    assert len(named(events, "SparkListenerJobEnd")) >= len(before) > 0
    assert not named(events, "SparkListenerApplicationEnd")


def test_what_finds_no_room_in_the_queue_is_refused_and_left_to_the_hook(killed: Killed) -> None:
    events = read(killed.journal)
    _, taken, large = killed.taken.split()
    assert (int(taken) < 30, large) == (True, "False")
    assert len(named(events, "AfterglowFlood")) == int(taken)
    assert named(events, "AfterglowHeartbeat")[-1]["Dropped"] == 0
    assert events[-1]["Seq"] + 1 == len(events)


def test_the_listener_s_own_parts_keep_their_promises(tmp_path: Path) -> None:
    """Queue, JSON reader and redaction, where a driver cannot be brought to show it: tests/listener/Checks.java."""
    javac, spark_jars = require("javac"), build_jar.find_spark_jars()
    class_path = f"{tmp_path}:{require('jar')}:{spark_jars}/*"
    checks = ROOT / "tests" / "listener" / "Checks.java"
    subprocess.run([javac, "-cp", class_path, "-d", str(tmp_path), str(checks)], check=True)
    subprocess.run([str(require("java")), "-cp", class_path, "io.afterglow.Checks"], check=True)


def test_the_jar_is_the_same_to_the_byte_when_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = require("jar").read_bytes()
    monkeypatch.setattr(build_jar, "JAR", tmp_path / "again.jar")
    assert not build_jar.jar_is_current()
    assert build_jar.main(["--check"]) == 1
    require("javac")
    assert build_jar.main([]) == 0
    assert (tmp_path / "again.jar").read_bytes() == old


def test_without_a_java_compiler_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(build_jar, "JAR", tmp_path / "none.jar")
    monkeypatch.setattr(build_jar, "find_javac", lambda: None)
    assert build_jar.main([]) == 1
    assert capsys.readouterr().err == (
        "no Java compiler was found; install one: apt-get install openjdk-17-jdk-headless\n"
    )
