"""`afterglow ship`, and how it knows whose writer is dead. What real drivers leave: matrix/test_collector_faults.py."""

import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from afterglow.collector import BadCollector, NotSent, make_collector, read_collector
from afterglow.journal import FileJournal
from afterglow.journal_lock import JournalLock
from afterglow.ship import ship, wait_before
from afterglow.spark import Application
from afterglow.uploader import Uploader
from afterglow_monitor.settings import CollectorSettings
from afterglow_store import Query, Store, open_store, search_applications
from tests.support.collecting import FAILS, FOREIGN, LOSES_ANSWERS, CollectorServer, running_collector
from tests.support.journals import Journal
from tests.support.shipping import ship_folder
from tests.support.tracking import free_port

START = 1_790_000_000_000
SECRET = "what-the-driver-shows-0123456789"


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    with closing(open_store(sqlite_url)) as opened:
        yield opened


@pytest.fixture
def server(store: Store) -> Iterator[CollectorServer]:
    with running_collector(store) as running:
        yield running


@pytest.fixture
def dead(tmp_path: Path) -> Path:
    """The journal of a writer that held its lock until it was killed."""
    path = Journal(tmp_path / "journal", "local-1", name="train", start=START).job().end()
    program = "import sys, time\nfrom pathlib import Path\nfrom afterglow.journal_lock import JournalLock\n"
    program += "print(JournalLock.take(Path(sys.argv[1])), flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert b"JournalLock" in writer.stdout.readline()
        assert JournalLock.of_dead(path) is None
        writer.send_signal(signal.SIGKILL)
    return path


def applications(server: CollectorServer) -> int:
    server.take_in()
    with server.store.read() as conn:
        return search_applications(conn, Query()).total


def test_the_journal_of_a_dead_writer_is_sent_and_deleted(server: CollectorServer, dead: Path) -> None:
    shipped = ship_folder(dead.parent, server.url)
    assert (shipped.returncode, shipped.stderr) == (0, "")
    assert shipped.stdout.startswith("1 journal sent (")
    assert applications(server) == 1
    assert list(dead.parent.iterdir()) == []


def test_the_journal_of_a_living_writer_is_left_alone(server: CollectorServer, dead: Path) -> None:
    lock = JournalLock.take(dead)
    assert lock is not None
    shipped = ship_folder(dead.parent, server.url)
    assert shipped.stdout.endswith("1 left to their drivers, which live\n")
    assert ship(dead.parent, make_collector(server.url, "")).alive == 1  # … in this very process, too
    lock.release()
    assert applications(server) == 0
    assert ship(dead.parent, make_collector(server.url, "")).journals == 1


def test_a_journal_of_which_nobody_knows_whether_its_writer_lives_is_sent_and_kept(
    server: CollectorServer, dead: Path
) -> None:
    dead.with_suffix(".lock").unlink()
    assert "1 sent and kept" in ship_folder(dead.parent, server.url).stdout
    assert dead.exists()
    again = ship(dead.parent, make_collector(server.url, ""))
    assert (again.kept, again.bytes) == (1, 0)
    assert applications(server) == 1


def test_who_was_interrupted_by_its_own_journal_still_sends_those_of_the_dead(
    server: CollectorServer, dead: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = FileJournal(dead.parent, Application("app-2", "", "train", START, "ada", "local[2]", "h", "4.2.0"))
    own.record({"Event": "AfterglowRunStart"})
    answers = iter([False, False])
    monkeypatch.setattr("afterglow.uploader.INTERVAL_SECONDS", 0.05)
    monkeypatch.setattr(Uploader, "_may_ship_others", lambda self: next(answers, True))
    uploader = Uploader(own.path, make_collector(server.url, ""))
    uploader.start()
    deadline = time.monotonic() + 20
    while dead.exists():
        assert time.monotonic() < deadline, "it was not sent"
        time.sleep(0.05)
    assert uploader.finish(5) is not None
    assert applications(server) == 2


def test_what_the_collector_does_not_take_stays_and_the_next_call_goes_on_there(
    server: CollectorServer, dead: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.how = FAILS
    failed = ship_folder(dead.parent, server.url)
    assert failed.returncode == 1
    assert f"{server.url}: it answered 500. What is left stays in {dead.parent}" in failed.stderr
    assert dead.exists()
    server.how = LOSES_ANSWERS
    monkeypatch.setattr("afterglow.ship.CHUNK_BYTES", 1_000)
    for _ in range(30):
        if not ship(dead.parent, make_collector(server.url, "")).failed:
            break
    assert list(dead.parent.iterdir()) == []
    assert applications(server) == 1


def test_journals_that_are_refused_or_cannot_be_read_are_named_and_hold_up_no_other(
    server: CollectorServer, dead: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("afterglow_store.lines.MAX_HEAD_BYTES", 5_000)
    monkeypatch.setattr("afterglow_store.lines.CHUNK_BYTES", 1_000)
    refused, unreadable = (dead.with_name(f"{n:08}-0000-4000-8000-{n:012}.jsonl") for n in range(2))
    told = b'{"Event":"Other"}\n' * 500
    make_collector(server.url, "").put(refused.stem, 0, told)
    server.take_in()
    refused.write_bytes(told + b"more")
    assert "no SparkListenerApplicationStart" in caplog.text
    unreadable.mkdir()  # root could read any file
    shipped = ship_folder(dead.parent, server.url)
    assert (shipped.returncode, shipped.stdout[:16]) == (1, "1 journal sent (")
    assert "2 not sent" in shipped.stdout
    assert f"{refused} was not sent: it answered 422" in shipped.stderr
    assert f"{unreadable} was not sent: it cannot be read: Is a directory" in shipped.stderr
    assert sorted(dead.parent.glob("*.jsonl")) == [refused, unreadable]
    assert applications(server) == 1


@contextmanager
def speaks_no_http(port: int) -> Iterator[list[bytes]]:
    """Something else than a web server, and what it was told."""
    told: list[bytes] = []

    class Greeting(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            told.append(self.rfile.readline())
            self.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")
            self.rfile.read()  # a connection that is closed over what was sent is reset

    class Listening(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True

    with Listening(("127.0.0.1", port), Greeting) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        yield told
        listening.shutdown()
        thread.join()


def test_a_port_that_speaks_no_http_is_said_and_nothing_breaks(server: CollectorServer, dead: Path) -> None:
    port = free_port()
    with speaks_no_http(port) as told:
        shipped = ship_folder(dead.parent, f"http://127.0.0.1:{port}")
    assert told
    assert (shipped.returncode, "Traceback" in shipped.stderr) == (1, False), shipped.stderr
    assert "it does not speak HTTP: BadStatusLine('SSH-2.0-OpenSSH_9.6" in shipped.stderr
    assert ship(dead.parent, make_collector(server.url, "")).journals == 1


def test_a_secret_goes_to_the_collector_and_into_no_message(
    store: Store, dead: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_SECRET", SECRET)
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "wrong").write_text("another-one-of-some-length")
    with running_collector(store, CollectorSettings(secrets=("env:THE_SECRET",))) as server:
        refused = ship_folder(dead.parent, server.url, "--secret-file", str(tmp_path / "wrong"))
        assert (refused.returncode, "it answered 401" in refused.stderr) == (1, True)
        assert "another-one" not in refused.stdout + refused.stderr
        environment = {**os.environ, "AFTERGLOW_COLLECTOR_SECRET": SECRET, "AFTERGLOW_COLLECTOR_URL": server.url}
        assert ship_folder(dead.parent, environment=environment).returncode == 0
    assert SECRET not in repr(make_collector("http://h", SECRET))


@pytest.mark.parametrize(
    ("url", "secret"),
    [("ftp://h", ""), ("http://", ""), ("http://me:hush@h", ""), ("h:80", ""), ("http://h/?x=1", ""), ("http://[", ""),
     ("http://h", "two words"), ("http://h", "line\nhush")],
)  # fmt: skip
def test_a_collector_that_cannot_be_meant_is_refused_without_telling_a_secret(url: str, secret: str) -> None:
    with pytest.raises(BadCollector) as raised:
        make_collector(url, secret)
    assert "hush" not in str(raised.value)


def test_a_file_without_a_secret_is_said_and_no_collector_is_none() -> None:
    said = {"spark.afterglow.collector.url": "http://h", "spark.afterglow.collector.secretFile": "/nowhere"}
    with pytest.raises(BadCollector, match=r"secretFile=/nowhere is not a file"):
        read_collector(said.get, {})
    assert read_collector(lambda key: None, {}) is None


def test_something_else_that_answers_is_not_taken_for_a_collector(server: CollectorServer) -> None:
    server.how = FOREIGN
    with pytest.raises(NotSent, match="no Afterglow collector"):
        make_collector(server.url, "").put("0b5e8c0e-8f5b-4f5e-9d57-3f2f3c7e1a55", 0, b"x")


def test_tries_come_rarer_and_rarer_and_never_rarer_than_once_a_minute() -> None:
    assert [wait_before(failures, 1) for failures in (0, 1, 2, 5, 6, 99)] == [1, 2, 4, 32, 60, 60]
    assert wait_before(6, 0) == 30


def test_the_hooks_own_journal_is_sent_while_it_grows_and_gone_once_it_is_closed(
    server: CollectorServer, tmp_path: Path
) -> None:
    application = Application("app-1", "", "x", START, "ada", "local", "h", "4.2.0")
    journal = FileJournal(tmp_path / "journal", application, collector=make_collector(server.url, ""))
    assert journal.record({"Event": "AfterglowHeartbeat", "Timestamp": START})
    for _ in range(100):
        if applications(server):
            break
    assert applications(server) == 1
    assert journal.record({"Event": "SparkListenerApplicationEnd", "Timestamp": START + 1})
    journal.close(5)
    assert not journal.record({"Event": "AfterglowHeartbeat", "Timestamp": START})
    assert list((tmp_path / "journal").iterdir()) == []
    server.take_in()
    with server.store.read() as conn:
        assert search_applications(conn, Query()).rows[0]["status"] == "ENDED"


def test_the_hooks_own_journal_is_sent_after_whatever_went_wrong_before(store: Store, tmp_path: Path) -> None:
    server = CollectorServer(store)
    application = Application("app-1", "", "x", START, "ada", "local", "h", "4.2.0")
    with speaks_no_http(server.port) as told:
        journal = FileJournal(tmp_path / "journal", application, collector=make_collector(server.url, ""))
        journal.record({"Event": "AfterglowHeartbeat", "Timestamp": START})
        while not told:
            time.sleep(0.01)
    elsewhere = journal.path.rename(tmp_path / "elsewhere")
    server.start()
    try:
        time.sleep(1.2)  # the next try comes within a second, and finds no file
        assert server.requests == 0
        elsewhere.rename(journal.path)
        deadline = time.monotonic() + 20
        while not applications(server) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert applications(server) == 1
    finally:
        server.stop()


def test_the_hooks_own_journal_says_which_of_the_others_it_could_not_send(
    server: CollectorServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    left = tmp_path / "00000000-0000-4000-8000-000000000000.jsonl"
    left.mkdir()
    application = Application("app-1", "", "x", START, "ada", "local", "h", "4.2.0")
    journal = FileJournal(tmp_path, application, collector=make_collector(server.url, ""))
    journal.record({"Event": "AfterglowHeartbeat", "Timestamp": START})
    deadline = time.monotonic() + 20
    while left.name not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.05)
    assert f"such as {left.name}: it cannot be read: Is a directory" in caplog.text
    journal.close(5)
    assert list(tmp_path.glob("*.jsonl")) == [left]


def test_the_hooks_own_journal_stays_where_the_collector_is_away(tmp_path: Path) -> None:
    application = Application("app-1", "", "x", START, "ada", "local", "h", "4.2.0")
    journal = FileJournal(tmp_path / "journal", application, collector=make_collector("http://127.0.0.1:1", ""))
    journal.record({"Event": "AfterglowHeartbeat", "Timestamp": START})
    journal.close(0.2)
    assert journal.path.read_bytes().count(b"\n") == 2
