"""Event logs that Spark 2.1 and 2.4 wrote: what we make of them, held against their lines. tests/spark_2/README.md."""

import gzip
import io
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from afterglow_store import Store, ingest_event_log, ingest_event_logs, open_store
from afterglow_store.event_logs import EventLog, find
from afterglow_store.event_logs.codecs import codec_of
from afterglow_store.event_logs.summing import bin_of
from afterglow_store.event_logs.tasks import TASK_END, task_end, whole_task_end
from afterglow_store.old_sql import tells_how_sql_ended
from afterglow_store.schema import application, executor, job, sql_execution, stage
from tests.support.ingesting import contents

Event = dict[str, Any]
Row = dict[str, Any]
Key = tuple[int, int]

HERE = Path(__file__).parent / "spark_2"
PACKED = {"2.1.3": ["lz4", "lzf", "snappy"], "2.4.8": ["lz4", "lzf", "snappy", "zstd"]}


@dataclass(frozen=True)
class Told:
    """What the plain log of a version says, line by line."""

    version: str
    plain: bytes

    @property
    def events(self) -> list[Event]:
        return [orjson.loads(line) for line in self.plain.splitlines()]

    def of(self, name: str) -> list[Event]:
        return [event for event in self.events if event["Event"].rpartition(".")[2] == f"SparkListener{name}"]

    def one(self, name: str) -> Event:
        [event] = self.of(name)
        return event

    def tasks(self) -> dict[Key, list[Event]]:
        """Of each stage attempt."""
        found = defaultdict(list)
        for event in self.of("TaskEnd"):
            found[event["Stage ID"], event["Stage Attempt ID"]].append(event)
        return found


@pytest.fixture(scope="module", params=sorted(PACKED))
def told(request: pytest.FixtureRequest) -> Told:
    [log] = (HERE / request.param).glob("*.gz")
    return Told(request.param, gzip.decompress(log.read_bytes()))


@pytest.fixture(scope="module")
def store(told: Told, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """With that log in it."""
    folder = tmp_path_factory.mktemp(told.version)
    log = folder / told.one("ApplicationStart")["App ID"]
    log.write_bytes(told.plain)
    with closing(open_store(f"sqlite:///{folder / 'store.db'}")) as opened:
        assert ingest_event_log(opened, only(log), now=0).bad_lines == 0
        yield opened


def only(path: Path) -> EventLog:
    return next(iter(find([path])))


def rows_of(store: Store, table: sa.Table) -> list[Row]:
    with store.read() as conn:
        return [dict(row._mapping) for row in conn.execute(sa.select(table).order_by(*table.primary_key))]


def rows(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """All but which files they came from."""
    return {table: found for table, found in contents(store).items() if table != "source"}


def test_the_application_is_as_its_log_says(told: Told, store: Store) -> None:
    [row] = rows_of(store, application)
    start, end = told.one("ApplicationStart"), told.one("ApplicationEnd")
    assert (row["app_id"], row["name"], row["user_name"]) == (start["App ID"], "much of Spark 2", "ada")
    assert (row["start_time"], row["end_time"]) == (start["Timestamp"], end["Timestamp"])
    assert (row["spark_version"], row["master"], row["driver_host"]) == (told.version, "local[2,3]", "localhost")
    assert row["status"] == "ENDED"
    [host] = rows_of(store, executor)
    assert (host["executor_id"], host["host"], host["cores"]) == ("driver", "localhost", 2)
    assert row["core_ms"] == sum(each["core_ms"] for each in rows_of(store, stage))


def test_each_job_is_as_its_lines_say(told: Told, store: Store) -> None:
    found = {row["job_id"]: row for row in rows_of(store, job)}
    starts, ends = ({event["Job ID"]: event for event in told.of(name)} for name in ("JobStart", "JobEnd"))
    assert found.keys() == starts.keys() == ends.keys()
    for job_id, row in found.items():
        start, end = starts[job_id], ends[job_id]
        said = start["Properties"]
        assert (row["start_time"], row["end_time"]) == (start["Submission Time"], end["Completion Time"])
        assert row["stage_ids"] == start["Stage IDs"]
        assert row["tasks"] == sum(info["Number of Tasks"] for info in start["Stage Infos"])
        assert (row["job_group"], row["description"]) == (
            said.get("spark.jobGroup.id"),
            said.get("spark.job.description"),
        )
        assert row["execution_id"] == (
            int(said["spark.sql.execution.id"]) if "spark.sql.execution.id" in said else None
        )
        assert row["error"] == end["Job Result"].get("Exception", {}).get("Message")
        assert row["status"] == {"JobSucceeded": "SUCCEEDED", "JobFailed": "FAILED"}[end["Job Result"]["Result"]]
    assert sum(row["status"] == "FAILED" for row in found.values()) == 3
    assert {row["job_group"] for row in found.values()} == {None, "group a", "group b"}


def test_each_stage_is_as_its_line_says(told: Told, store: Store) -> None:
    found = {(row["stage_id"], row["attempt"]): row for row in rows_of(store, stage)}
    infos = [event["Stage Info"] for event in told.of("StageCompleted")]
    assert found.keys() == {(info["Stage ID"], info["Stage Attempt ID"]) for info in infos}
    for info in infos:
        row = found[info["Stage ID"], info["Stage Attempt ID"]]
        assert (row["name"], row["tasks"]) == (info["Stage Name"], info["Number of Tasks"])
        assert (row["start_time"], row["end_time"]) == (info["Submission Time"], info["Completion Time"])
        assert row["error"] == info.get("Failure Reason")
        assert row["status"] == ("FAILED" if "Failure Reason" in info else "COMPLETE")
    assert sum(row["status"] == "FAILED" for row in found.values()) == 4
    assert any(row["attempt"] for row in found.values())
    skipped = {each for event in told.of("JobStart") for each in event["Stage IDs"]} - {key[0] for key in found}
    assert len(skipped) == 2


METRICS: dict[str, list[tuple[str, ...]]] = {
    "executor_run_ms": [("Executor Run Time",)],
    "executor_cpu_ns": [("Executor CPU Time",)],
    "gc_ms": [("JVM GC Time",)],
    "memory_spilled_bytes": [("Memory Bytes Spilled",)],
    "disk_spilled_bytes": [("Disk Bytes Spilled",)],
    "input_bytes": [("Input Metrics", "Bytes Read")],
    "input_records": [("Input Metrics", "Records Read")],
    "output_bytes": [("Output Metrics", "Bytes Written")],
    "output_records": [("Output Metrics", "Records Written")],
    "shuffle_read_bytes": [("Shuffle Read Metrics", "Remote Bytes Read"), ("Shuffle Read Metrics", "Local Bytes Read")],
    "shuffle_read_records": [("Shuffle Read Metrics", "Total Records Read")],
    "shuffle_write_bytes": [("Shuffle Write Metrics", "Shuffle Bytes Written")],
    "shuffle_write_records": [("Shuffle Write Metrics", "Shuffle Records Written")],
}


def metric(task: Event, path: tuple[str, ...]) -> int:
    found: Any = task.get("Task Metrics", {})
    for name in path:
        found = found.get(name, 0 if name == path[-1] else {})
    return int(found)


def test_what_a_stage_used_is_what_the_lines_of_its_tasks_add_up_to(told: Told, store: Store) -> None:
    tasks, of = told.tasks(), rows_of(store, stage)
    outcomes = {"Success": "succeeded_tasks", "TaskKilled": "killed_tasks"}
    for row in of:
        of_it = tasks[row["stage_id"], row["attempt"]]
        for column, paths in METRICS.items():
            assert row[column] == sum(metric(task, path) for task in of_it for path in paths), (row["stage_id"], column)
        for column in ("succeeded_tasks", "failed_tasks", "killed_tasks"):
            ended = [outcomes.get(task["Task End Reason"]["Reason"], "failed_tasks") for task in of_it]
            assert row[column] == ended.count(column), (row["stage_id"], column)
    in_all = {column: sum(row[column] for row in of) for column in (*METRICS, "failed_tasks", "killed_tasks")}
    not_met = {"memory_spilled_bytes", "disk_spilled_bytes"}
    if told.version == "2.1.3":  # it does not count what SQL writes
        not_met |= {"output_bytes", "output_records"}
    assert {column for column, sum_ in in_all.items() if not sum_} == not_met
    assert (in_all["failed_tasks"], in_all["killed_tasks"]) == (9, 2)
    [whole] = rows_of(store, application)
    assert {column: whole[column] for column in in_all} == in_all


def test_how_unequal_tasks_were_is_what_their_lines_say(told: Told, store: Store) -> None:
    over: set[Key] = set()
    took = defaultdict(list)  # of those that ended before their stage
    for event in told.events:
        if event["Event"] == "SparkListenerStageCompleted":
            over.add((event["Stage Info"]["Stage ID"], event["Stage Info"]["Stage Attempt ID"]))
        elif event["Event"] == "SparkListenerTaskEnd":
            key, info = (event["Stage ID"], event["Stage Attempt ID"]), event["Task Info"]
            if key not in over:
                took[key].append(info["Finish Time"] - info["Launch Time"])
    compared = 0
    for row in rows_of(store, stage):
        lasted = sorted(took[row["stage_id"], row["attempt"]])
        if len(lasted) < 2:
            assert row["skew"] is None
            continue
        said = row["skew"]["duration_ms"]
        assert (said["min"], said["max"]) == (lasted[0], lasted[-1])
        if len(lasted) > 2:
            assert bin_of(said["p50"]) == bin_of(lasted[-(-len(lasted) // 2) - 1])
            compared += 1
    assert compared >= 8


def test_a_task_that_is_read_by_the_ends_of_its_line_says_what_all_of_it_does(told: Told) -> None:
    lines = [line for line in told.plain.splitlines() if line.startswith(TASK_END)]
    assert len(lines) == 46
    for line in lines:
        assert task_end(line, 0, len(line)) == whole_task_end(orjson.loads(line))


def test_sql_failed_whose_job_did(told: Told, store: Store) -> None:
    """A Spark before 3.4 says of an execution only that it is over."""
    found = {row["execution_id"]: row for row in rows_of(store, sql_execution)}
    starts, ends = (
        {event["executionId"]: event for event in told.of(f"SQLExecution{name}")} for name in ("Start", "End")
    )
    assert found.keys() == starts.keys() == ends.keys()
    jobs = {event["Job ID"]: event["Job Result"]["Result"] for event in told.of("JobEnd")}
    of_failed = {
        event["Properties"].get("spark.sql.execution.id")
        for event in told.of("JobStart")
        if jobs[event["Job ID"]] == "JobFailed"
    }
    for execution_id, row in found.items():
        start, end = starts[execution_id], ends[execution_id]
        assert (row["start_time"], row["end_time"]) == (start["time"], end["time"])
        assert row["description"] == start["description"]
        assert row["plan"].startswith("== Parsed Logical Plan ==")
        failed = str(execution_id) in of_failed
        assert row["status"] == ("FAILED" if failed else "COMPLETED")
        assert (row["error"] or "").startswith("Job aborted due to stage failure: ") == failed
    assert {row["status"] for row in found.values()} == {"COMPLETED", "FAILED"}


@pytest.mark.parametrize("swapped", [False, True], ids=["as written", "swapped"])
def test_a_log_that_grows_event_by_event_gives_the_same_rows(
    told: Told, store: Store, store_url: str, tmp_path: Path, *, swapped: bool
) -> None:
    """Spark tells of a job's end before that of the SQL that it failed, or after it."""
    lines = told.plain.splitlines(keepends=True)
    [job_end] = [at for at, line in enumerate(lines) if b"JobEnd" in line and b"no number will do" in line]
    sql_end = [at for at, line in enumerate(lines) if b"SQLExecutionEnd" in line][-1]
    assert abs(job_end - sql_end) == 1
    if swapped:
        lines[job_end], lines[sql_end] = lines[sql_end], lines[job_end]
    growing = tmp_path / "log"
    with closing(open_store(store_url)) as other:
        for line in lines:
            with growing.open("ab") as file:
                file.write(line)
            if b"JobEnd" in line or b"SQLExecution" in line:
                ingest_event_log(other, only(growing), now=0)
        ingest_event_log(other, only(growing), now=0)
        assert rows(other) == rows(store)


def test_each_codec_as_spark_2_writes_it_gives_the_same_rows(told: Told, store: Store, tmp_path: Path) -> None:
    packed = {path.suffix[1:]: path for path in (HERE / told.version).iterdir() if path.suffix != ".gz"}
    assert sorted(packed) == PACKED[told.version]
    for codec, log in packed.items():
        assert b"".join(piece for piece, _ in codec_of(log.name)(io.BytesIO(log.read_bytes()))) == told.plain
        with closing(open_store(f"sqlite:///{tmp_path / codec}.db")) as other:
            [(_, taken)] = ingest_event_logs(other, [only(log)], now=0)
            assert not isinstance(taken, Exception), taken
            assert (taken.lines, taken.bad_lines) == (told.plain.count(b"\n"), 0)
            assert rows(other) == rows(store)


@pytest.mark.parametrize(
    ("version", "tells"),
    [("1.6.3", False), ("2.4.8", False), ("3.3.4", False), ("3.4.0", True), ("3.10.0", True), ("4.2.0", True),
     ("3.3.2-amzn-0", False), ("unheard of", True), (None, True)],
)  # fmt: skip
def test_since_spark_3_4_sql_itself_says_how_it_ended(version: str | None, tells: bool) -> None:
    assert tells_how_sql_ended(version) is tells
