"""What event logs say of single tasks, added up by stage: held against the lines themselves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from afterglow_store import Store, ingest_event_log, ingest_file, lines, open_store, portions
from afterglow_store.event_logs import EventLog, find
from afterglow_store.event_logs.summing import Spread, bin_of, middle
from afterglow_store.event_logs.tasks import KILLED, METRICS, TASK_END, TaskEnd, task_end, whole_task_end
from afterglow_store.schema import stage, task_sums
from tests.support.demo import Demo

Event = dict[str, Any]


@pytest.fixture(scope="module")
def log(demo: Demo) -> Path:
    """What Spark wrote of an application with failed tasks."""
    return max(demo.event_logs.iterdir(), key=lambda path: path.read_bytes().count(b'"Reason":"ExceptionFailure"'))


@pytest.fixture(scope="module")
def task_lines(log: Path) -> list[bytes]:
    return [line for line in log.read_bytes().splitlines() if line.startswith(TASK_END)]


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url)
    yield opened
    opened.close()


def only(path: Path) -> EventLog:
    return next(iter(find([path])))


def stages(store: Store) -> list[Event]:
    with store.read() as conn:
        return [dict(row._mapping) for row in conn.execute(sa.select(stage).order_by(*stage.primary_key))]


def read(line: bytes) -> TaskEnd:
    """Between two others."""
    return task_end(line + b"\n" + line + b"\n" + line, len(line) + 1, 2 * len(line) + 1)


def test_a_line_that_is_read_by_its_ends_says_what_all_of_it_does(task_lines: list[bytes]) -> None:
    assert any(b'"Reason":"Success"' not in line for line in task_lines)
    for line in task_lines:
        assert read(line) == whole_task_end(orjson.loads(line))


def test_a_text_that_looks_like_metrics_is_not_read_as_such(task_lines: list[bytes]) -> None:
    event = orjson.loads(task_lines[0])
    event["Task Info"]["Host"] = 'a"},"Task Metrics":{"Executor Run Time":7}}'
    assert read(orjson.dumps(event)) == whole_task_end(event)


def test_a_task_that_was_lost_with_its_executor_has_no_metrics(task_lines: list[bytes]) -> None:
    event = orjson.loads(task_lines[0])
    del event["Task Metrics"], event["Task Executor Metrics"]
    event["Task End Reason"] = {"Reason": "TaskKilled", "Kill Reason": "another attempt succeeded"}
    found = read(orjson.dumps(event))
    assert (found.outcome, found.metrics, found.peak_heap) == (KILLED, (0,) * len(METRICS), 0)


def test_a_task_line_that_does_not_say_what_it_has_to_is_left_out(log: Path, tmp_path: Path, store: Store) -> None:
    bad = [b'{"Event":"SparkListenerTaskEnd","Stage ID":0}\n', b'{"Event":"SparkListenerTaskEnd","Sta\n']
    whole = log.read_bytes().splitlines(keepends=True)
    copy = tmp_path / "log"
    copy.write_bytes(b"".join([*whole[:-1], *bad, whole[-1]]))
    taken = ingest_file(store, copy, now=0)
    assert (taken.lines, taken.bad_lines) == (len(whole), 2)


def test_the_sums_are_those_of_all_task_lines(task_lines: list[bytes], log: Path, store: Store) -> None:
    ingest_file(store, log, now=0)
    tasks = [orjson.loads(line) for line in task_lines]
    for row in stages(store):
        mine = [task for task in tasks if _key(task) == (row["stage_id"], row["attempt"])]
        ran = sum(task["Task Metrics"]["Executor Run Time"] for task in mine)
        failed = sum(task["Task End Reason"]["Reason"] not in ("Success", "TaskKilled") for task in mine)
        assert row["succeeded_tasks"] + row["failed_tasks"] + row["killed_tasks"] == len(mine)
        assert (row["executor_run_ms"], row["failed_tasks"]) == (ran, failed)
    complete = {(row["stage_id"], row["attempt"]) for row in stages(store) if row["status"] == "COMPLETE"}
    with store.read() as conn:
        assert {(row.stage_id, row.attempt) for row in conn.execute(sa.select(task_sums))}.isdisjoint(complete)


def _key(task: Event) -> tuple[int, int]:
    return task["Stage ID"], task["Stage Attempt ID"]


def test_tasks_that_end_after_their_stage_are_summed_and_do_not_change_its_skew(
    log: Path, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest_file(store, log, now=0)
    before = stages(store)
    late = _with_late_task(log)
    found = []
    for size in (portions.LOG_BYTES, 20_000):  # in one transaction, and in many
        monkeypatch.setattr(portions, "LOG_BYTES", size)
        monkeypatch.setattr(lines, "LOG_CHUNK_BYTES", min(size, lines.LOG_CHUNK_BYTES))
        copy = tmp_path / f"late-{size}"
        copy.write_bytes(late)
        other = open_store(f"sqlite:///{copy}.db")
        ingest_event_log(other, only(copy), now=0)
        found.append(stages(other))
        other.close()
    assert found[0] == found[1]
    changed = [(old, new) for old, new in zip(before, found[0], strict=True) if old != new]
    assert len(changed) == 1
    [(old, new)] = changed
    assert new["killed_tasks"] == old["killed_tasks"] + 1
    assert new["executor_run_ms"] == old["executor_run_ms"] + 5_000
    assert new["skew"] == old["skew"] is not None


def _with_late_task(log: Path) -> bytes:
    """The log with one more task, that was killed after the end of its stage, which had several."""
    whole = log.read_bytes().splitlines(keepends=True)
    ends = [
        event["Stage Info"] for line in whole if (event := orjson.loads(line))["Event"] == "SparkListenerStageCompleted"
    ]
    info = next(info for info in ends if info["Number of Tasks"] > 1)
    tasks = [orjson.loads(line) for line in whole if line.startswith(TASK_END)]
    late = next(task for task in tasks if task["Stage ID"] == info["Stage ID"])
    late["Task End Reason"] = {"Reason": "TaskKilled", "Kill Reason": "another attempt succeeded"}
    late["Task Metrics"]["Executor Run Time"] = 5_000
    late["Task Info"]["Finish Time"] += 1_000_000
    return b"".join([*whole[:-1], orjson.dumps(late) + b"\n", whole[-1]])


def test_a_bin_s_middle_is_at_most_a_thirty_second_off() -> None:
    for value in [*range(70), 1_000, 123_456_789, 2**62 + 12_345]:
        assert abs(middle(bin_of(value)) - value) <= value / 32
    spread = Spread()
    spread.add([3, 900, 900, 7])
    spread.add([0])
    assert (spread.quantiles()[0], spread.quantiles()[2], spread.quantiles()[-1]) == (0, 7, 900)
