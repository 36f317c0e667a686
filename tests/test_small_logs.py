"""Many small event logs in one transaction: nothing may differ from taking them in one by one."""

import shutil
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa

from afterglow_store import Ingested, Store, ingest_event_log, ingest_event_logs, judge, open_store
from afterglow_store.errors import SourceRefused
from afterglow_store.event_logs import EventLog, find
from afterglow_store.schema import application
from tests.support.demo import Demo
from tests.support.ingesting import contents


@pytest.fixture(scope="module")
def small_log(demo: Demo) -> bytes:
    return small(demo)


def small(demo: Demo) -> bytes:
    """A log that Spark wrote, without its SQL executions, whose plans are most of it."""
    smallest = min(demo.event_logs.iterdir(), key=lambda path: path.stat().st_size)
    return b"".join(
        line for line in smallest.read_bytes().splitlines(keepends=True) if b"execution.ui" not in line[:80]
    )


def of_application(log: bytes, number: int) -> bytes:
    """The same log of another application."""
    start = next(line for line in log.splitlines() if line.startswith(b'{"Event":"SparkListenerApplicationStart"'))
    app_id = orjson.loads(start)["App ID"].encode()
    return log.replace(app_id, b"local-%05d" % number)


@pytest.fixture
def folder(small_log: bytes, tmp_path: Path) -> Path:
    """Eight that are alike, and one each of what there may be among them."""
    made = tmp_path / "logs"
    made.mkdir()
    for number in range(8):
        (made / f"local-{number:05}").write_bytes(of_application(small_log, number))
    (made / "local-00003-copy").write_bytes(of_application(small_log, 3))
    half = of_application(small_log, 20)
    (made / "local-00020.inprogress").write_bytes(half[: len(half) // 2])
    (made / "broken.lz4").write_bytes(b"LZ4Blink" * 100)
    (made / "notes").write_text("no log at all\n" * 3)
    return made


def one_by_one(logs: list[EventLog], url: str) -> dict[str, list[tuple[object, ...]]]:
    other = open_store(url)
    for log in logs:
        try:
            ingest_event_log(other, log, now=0)
        except SourceRefused:
            continue
    found = contents(other)
    other.close()
    return found


def test_together_they_leave_what_they_leave_one_by_one(folder: Path, tmp_path: Path, store: Store) -> None:
    logs = list(find([folder]))
    told = {Path(log.name).name: result for log, result in ingest_event_logs(store, logs, now=0)}
    assert isinstance(told["broken.lz4"], SourceRefused)
    assert told["notes"] == Ingested(unnamed=1)
    assert len(told) == len(logs)
    assert contents(store) == one_by_one(logs, f"sqlite:///{tmp_path / 'one-by-one.db'}")
    with store.read() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(application)) == 9
    again = [result for _, result in ingest_event_logs(store, logs, now=1) if isinstance(result, Ingested)]
    assert sum(result.lines for result in again) == 0


def test_a_log_that_grows_goes_on_where_it_was(folder: Path, small_log: bytes, tmp_path: Path, store: Store) -> None:
    logs = list(find([folder]))
    list(ingest_event_logs(store, logs, now=0))
    (folder / "local-00020.inprogress").unlink()
    (folder / "local-00020").write_bytes(of_application(small_log, 20))
    list(ingest_event_logs(store, list(find([folder])), now=0))
    assert contents(store) == one_by_one(list(find([folder])), f"sqlite:///{tmp_path / 'one-by-one.db'}")


def test_what_cannot_be_stored_of_one_costs_the_others_nothing(folder: Path, store: Store, tmp_path: Path) -> None:
    log = folder / "local-00005"
    lines = log.read_bytes().splitlines(keepends=True)
    bad = b'{"Event":"SparkListenerJobEnd","Job ID":0,"Completion Time":18446744073709551615}\n'
    log.write_bytes(b"".join([*lines[:-1], bad, lines[-1]]))
    logs = list(find([folder]))
    told = {Path(each.name).name: result for each, result in ingest_event_logs(store, logs, now=0)}
    assert told["local-00005"] == Ingested(len(lines), 1, log.stat().st_size)
    assert contents(store) == one_by_one(logs, f"sqlite:///{tmp_path / 'one-by-one.db'}")


def test_attempts_of_an_application_are_each_one_of_their_own(small_log: bytes, tmp_path: Path, store: Store) -> None:
    made = tmp_path / "logs"
    made.mkdir()
    for attempt in (b"1", b"2"):
        of_attempt = of_application(small_log, 7).replace(
            b'"App ID":"local-00007"', b'"App ID":"local-00007","App Attempt ID":"%s"' % attempt
        )
        (made / f"local-00007_{attempt.decode()}").write_bytes(of_attempt)
    taken = list(ingest_event_logs(store, list(find([made])), now=0))
    assert len(taken) == 2
    with store.read() as conn:
        found = conn.execute(sa.select(application.c.app_id, application.c.attempt).order_by(application.c.attempt))
        assert [tuple(row) for row in found] == [("local-00007", "1"), ("local-00007", "2")]


def test_an_application_whose_outcome_no_one_saw_has_ended_and_not_succeeded(folder: Path, store: Store) -> None:
    list(ingest_event_logs(store, list(find([folder / "local-00001"])), now=0))
    with store.read() as conn:
        assert conn.scalar(sa.select(application.c.status)) == "ENDED"


def test_an_application_whose_log_just_stops_is_lost_after_a_day_and_back_when_it_goes_on(
    small_log: bytes, tmp_path: Path, store: Store
) -> None:
    log = tmp_path / "local-1.inprogress"
    log.write_bytes(small_log[: len(small_log) // 2])
    list(ingest_event_logs(store, list(find([log])), now=0))
    written, day = int(log.stat().st_mtime * 1_000), judge.LOG_GRACE_MS

    def status_at(now: int) -> object:
        with store.write() as conn:
            judge.give_up_silent_logs(conn, now=now)
            return conn.scalar(sa.select(application.c.status))

    assert status_at(written + day - 60_000) == "RUNNING"
    assert status_at(written + day + 60_000) == "LOST"
    log.write_bytes(small_log[: len(small_log) * 3 // 4])
    list(ingest_event_logs(store, list(find([log])), now=0))
    assert status_at(int(log.stat().st_mtime * 1_000)) == "RUNNING"
    shutil.move(log, tmp_path / "local-1")
    (tmp_path / "local-1").write_bytes(small_log)
    list(ingest_event_logs(store, list(find([tmp_path / "local-1"])), now=0))
    assert status_at(written + 9 * day) == "ENDED"
