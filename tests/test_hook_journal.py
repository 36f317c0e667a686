"""The hook's own journal, by the listener's rules: its size, its lines, the disk, secrets, and what is lost of it."""

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from afterglow.events import RunEvent, application_end, driver_end, heartbeat, public_tracking_uri
from afterglow.heartbeats import Heartbeats
from afterglow.journal import FileJournal, ListenerJournal
from afterglow.journal_rules import MAX_LINE_BYTES, JournalRules
from afterglow.recorder import Recorder
from afterglow.redaction import REDACTED
from afterglow.run_records import RunRecords
from afterglow.sessions import Session
from afterglow.settings import Settings, read_settings
from afterglow.spark import Application
from afterglow_store import Query, Store, ingest_file, search_applications
from tests.test_listener import INNOCENT, SECRET
from tests.test_redaction import SHAPES, TOKENS

START = 1_790_000_000_000
APPLICATION = Application("app-1", "", "train", START, "ada", "local[2]", "h", "4.2.0")


def run_end(run_id: str = "a" * 32, **params: str) -> dict[str, Any]:
    run: dict[str, Any] = {"run_id": run_id, "experiment_id": "1", "status": "FINISHED", "start_time": START}
    run |= {"tags": {}, "params": params}
    event = RunEvent("AfterglowRunEnd", run_id, "http://mlflow:5000", "tag", "FINISHED")
    return event.to_json(APPLICATION, run)  # type: ignore[arg-type]


def lines(journal: FileJournal) -> list[dict[str, Any]]:
    return [json.loads(line) for line in journal.path.read_text(encoding="utf-8").splitlines()]


def session_of(journal: FileJournal, listener: Any = None) -> Session:
    settings = Settings(True, journal.path.parent)
    return Session(None, APPLICATION, settings, None, journal, listener and ListenerJournal(listener))


# -- its size ----------------------------------------------------------------------------------------------------------


def test_a_journal_that_has_reached_its_size_leaves_out_details_then_runs_and_has_room_for_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limit = 64_000
    journal = FileJournal(tmp_path, APPLICATION, rules=JournalRules(max_bytes=limit))
    taken = [journal.record(run_end(depth="5" * 2_000)) for _ in range(200)]
    beats = [journal.record(heartbeat(0)) for _ in range(100)]
    assert journal.record(driver_end(APPLICATION, "clean", None))
    assert taken == sorted(taken, reverse=True)
    assert beats == sorted(beats, reverse=True)
    assert (True in taken, False in taken, True in beats, False in beats) == (True, True, True, True)
    runs = [line for line in lines(journal) if line["Event"] == "AfterglowRunEnd"]
    assert ["Run" in run for run in runs] == sorted(("Run" in run for run in runs), reverse=True)
    assert "Run" not in runs[-1]
    assert limit < journal.path.stat().st_size < limit * 17 / 16
    last = lines(journal)[-1]
    assert last["Seq"] + 1 - len(lines(journal)) == taken.count(False)  # the gap; a beat that is left out is no loss
    assert len(caplog.records) == 1
    assert "spark.afterglow.journal.maxSize" in caplog.text


def test_the_size_is_read_as_the_listener_reads_it(caplog: pytest.LogCaptureFixture) -> None:
    def size(said: str) -> int:
        return read_settings({"spark.afterglow.journal.maxSize": said}.get).journal_rules.max_bytes

    assert read_settings(lambda key: None).journal_rules == JournalRules(256 << 20)
    assert [size(said) for said in ("1m", "2MB", " 3g ", "1048576", "2048k")] == [
        1 << 20, 2 << 20, 3 << 30, 1 << 20, 2 << 20,
    ]  # fmt: skip
    for bad in ("1023k", "much", "1.5g", "5x", "m"):
        assert not read_settings({"spark.afterglow.journal.maxSize": bad}.get).enabled
        assert f"spark.afterglow.journal.maxSize={bad} is not a size of at least 1m" in caplog.text


def test_a_line_has_no_more_than_256_kilobytes_of_utf_8(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path, APPLICATION)
    assert journal.record(run_end(text="漢" * 80_000))
    assert journal.record(run_end(text="漢" * 100_000))  # … characters, which are three times as many bytes
    assert not journal.record(run_end() | {"Thread": "漢" * 100_000})
    assert journal.record(heartbeat(1))
    assert max(map(len, journal.path.read_bytes().splitlines(keepends=True))) <= MAX_LINE_BYTES
    assert [("Run" in line, line["Seq"]) for line in lines(journal)[1:]] == [(True, 1), (False, 2), (False, 4)]


# -- the disk ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Disk":
    disk = Disk(tmp_path)
    monkeypatch.setattr(os, "fsync", disk.sync)
    return disk


class Disk:
    """In place of the real one, of which nobody could tell what is on it. Journals of other tests may still be synced:
    `threads` are those that sync a file in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.threads: list[str] = []
        self.answers = threading.Event()
        self.answers.set()
        self.fails = False

    def sync(self, file: int) -> None:
        if not Path(os.readlink(f"/proc/self/fd/{file}")).is_relative_to(self.folder):
            return
        self.threads.append(threading.current_thread().name)
        self.answers.wait(10)
        if self.fails:
            raise OSError(5, "Input/output error")


def soon(condition: Callable[[], bool], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_what_is_recorded_is_on_the_disk_some_seconds_later_by_a_thread_of_its_own(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afterglow.disk_sync.SYNC_SECONDS", 0.3)
    journal = FileJournal(tmp_path, APPLICATION)
    began = time.monotonic()
    for _ in range(50):
        journal.record(heartbeat(0))
    took = time.monotonic() - began
    assert soon(lambda: bool(disk.threads))
    time.sleep(0.5)
    times = len(disk.threads)
    assert disk.threads == ["afterglow-disk"] * times
    assert times <= 2 + took / 0.3
    time.sleep(0.5)
    assert len(disk.threads) == times  # nothing new: nothing to do


def test_flush_and_close_wait_until_it_is_on_the_disk(tmp_path: Path, disk: Disk) -> None:
    journal = FileJournal(tmp_path, APPLICATION)
    assert journal.flush(0)  # nothing to do
    journal.record(heartbeat(0))
    assert journal.flush(5)
    assert len(disk.threads) == 1
    journal.record(heartbeat(0))
    journal.close(5)
    assert disk.threads == ["afterglow-disk"] * 2


def test_a_disk_that_hangs_holds_up_neither_an_event_nor_the_exit(tmp_path: Path, disk: Disk) -> None:
    disk.answers.clear()
    journal = FileJournal(tmp_path, APPLICATION)
    began = time.monotonic()
    assert journal.record(heartbeat(0))
    assert not journal.flush(0.2)
    assert journal.record(heartbeat(0))
    journal.close(0.2)
    assert time.monotonic() - began < 2
    disk.answers.set()
    assert journal.flush(5)


def test_a_disk_that_cannot_say_is_said_once(tmp_path: Path, disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    disk.fails = True
    journal = FileJournal(tmp_path, APPLICATION)
    journal.record(heartbeat(0))
    assert not journal.flush(5)
    assert journal.record(heartbeat(0))
    assert not journal.flush(5)
    assert len(caplog.records) == 1


# -- secrets -----------------------------------------------------------------------------------------------------------

EVERYTHING = "  ".join((*SHAPES.values(), *INNOCENT.values()))


def test_no_secret_is_on_the_disk_and_what_only_looks_like_one_is(tmp_path: Path) -> None:
    application = Application("app-1", "", f"train {EVERYTHING}", START, "ada", f"spark://u:{SECRET}@h", "h", "4.2.0")
    journal = FileJournal(tmp_path, application)
    error = f"ValueError: {EVERYTHING}"
    journal.record(driver_end(application, "exception", error))
    journal.record(run_end() | {"Tracking URI": f"http://mlflow:5000/?token={SECRET}", "Error": error})
    text = journal.path.read_text(encoding="utf-8")
    assert not [secret for secret in (SECRET, *TOKENS.values()) if secret in text]
    end = lines(journal)[1]
    assert end["Application"]["Master"] == f"spark://{REDACTED}@h"
    assert end["Application"]["App Name"].startswith("train Authorization: Bearer *")
    assert all(innocent in end["Error"] for innocent in INNOCENT.values())
    assert lines(journal)[2]["Tracking URI"] == f"http://mlflow:5000/?token={REDACTED}"


def test_what_mlflow_has_of_a_run_stays_as_it_is(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path, APPLICATION)
    event = run_end(token="kept=as it is", url="http://u:p@h")
    event["Run"]["artifact_uri"] = f"https://me:{SECRET}@lake/a"
    journal.record(event)
    run = lines(journal)[1]["Run"]
    assert run["params"] == {"token": "kept=as it is", "url": "http://u:p@h"}
    assert run["artifact_uri"] == f"https://{REDACTED}@lake/a"


def test_keys_that_the_user_calls_secret_are_so_here_and_no_other_becomes_public(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules = read_settings({"spark.redaction.regex": "(?i)colou?r"}.get).journal_rules
    journal = FileJournal(tmp_path, APPLICATION, rules=rules)
    journal.record(driver_end(APPLICATION, "exception", "--my.Color=red --password=hush depth=5"))
    assert lines(journal)[1]["Error"] == f"--my.Color={REDACTED} --password={REDACTED} depth=5"
    assert not caplog.records
    assert read_settings({"spark.redaction.regex": "(?i"}.get).journal_rules.more_keys is None
    assert "spark.redaction.regex" in caplog.text


@pytest.mark.parametrize(
    ("uri", "public"),
    [
        ("http://u:p@ss@h:5000/a", "http://h:5000/a"),
        ("http://u@example.org:p@h", "http://h"),
        ("postgresql://u:p@s@db/mlflow?x=a@b", "postgresql://db/mlflow?x=a@b"),
        ("http://h/a@b", "http://h/a@b"),
        ("sqlite:////a@b/mlflow.db", "sqlite:////a@b/mlflow.db"),
    ],
)
def test_a_password_with_an_at_sign_leaves_nothing_of_itself(uri: str, public: str) -> None:
    assert public_tracking_uri(uri) == public


# -- what is lost ------------------------------------------------------------------------------------------------------


def test_every_event_is_in_the_rows_or_counted_as_lost(store: Store, tmp_path: Path) -> None:
    session = session_of(FileJournal(tmp_path, APPLICATION, rules=JournalRules(max_bytes=20_000)))
    records = RunRecords(Recorder(max_queued=0), Heartbeats(lambda session: False))
    for _ in range(3):  # of which no step is taken
        records.end(RunEvent("AfterglowRunEnd", "b" * 32, "", "tag", "FINISHED"), [session])
    taken = [session.record(run_end(f"{number:032}")) for number in range(100)]
    session.record_in_file(application_end())
    session.record_in_file(driver_end(APPLICATION, "clean", None) | {"Outcome": "x" * MAX_LINE_BYTES})
    session.beat()
    session.record(driver_end(APPLICATION, "clean", None))
    assert session.lost == 3 + taken.count(False) + 1
    ingest_file(store, session.file_journal.path, now=START)
    with store.read() as conn:
        [row] = search_applications(conn, Query()).rows
    assert (row["lost_events"], row["status"]) == (session.lost, "SUCCEEDED")
    assert [line["Event"] for line in lines(session.file_journal)].count("AfterglowRunEnd") == taken.count(True) > 0


class Listener:
    """Takes what the hook hands over, as the one in the JVM does."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.takes = True

    def record(self, line: str) -> bool:
        self.events += [json.loads(line)] if self.takes else []
        return self.takes


def test_what_the_hook_lost_is_in_the_listener_s_journal_until_it_has_one_of_its_own(tmp_path: Path) -> None:
    listener = Listener()
    session = session_of(FileJournal(tmp_path, APPLICATION), listener)
    session.beat()
    assert listener.events == []  # the listener beats
    session.count_loss()
    session.count_loss()
    session.beat()
    session.beat()
    assert [event.get("Hook Dropped") for event in listener.events] == [2]
    session.beat_alone()
    assert [event.get("Hook Dropped") for event in listener.events] == [2, 2]
    listener.takes = False
    session.count_loss()
    session.beat_alone()
    assert lines(session.file_journal)[-1]["Dropped"] == 1  # … of three: two are told already
    listener.takes = True
    session.count_loss()
    session.beat_alone()
    session.beat()
    assert listener.events[-1]["Hook Dropped"] == 2
    assert lines(session.file_journal)[-1]["Dropped"] == 2
