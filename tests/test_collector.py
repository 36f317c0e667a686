"""The collector: takes each byte of a journal once, whichever server it comes to, and nothing that it should not."""

from __future__ import annotations

import gzip
import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
import sqlalchemy as sa
from starlette.applications import Starlette

from afterglow_monitor.clock import now_ms
from afterglow_monitor.collecting.admission import Rates
from afterglow_monitor.collecting.bodies import Refused
from afterglow_monitor.collecting.collector import Collector, routes
from afterglow_monitor.collecting.journals import ReceivedTail, Tail
from afterglow_monitor.settings import CollectorSettings
from afterglow_store import Query, Store, ingest_file, ingest_received, open_store, received, search_applications
from afterglow_store.errors import SourceRefused, TooFarAhead
from afterglow_store.received import Chunk, drop_stale, receive
from afterglow_store.schema import bad_line, journal_chunk, source
from afterglow_store.sources import IDENTITY
from tests.support.asgi import Answer, Asgi
from tests.support.ingesting import contents
from tests.support.journals import Journal

START = 1_790_000_000_000
SECRET = "a-secret-that-is-long-enough"
NAME = "0b5e8c0e-8f5b-4f5e-9d57-3f2f3c7e1a55"
FAST = {"requests_per_second": 1e6, "megabytes_per_second": 1e6}


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with closing(open_store(store_url)) as opened:
        yield opened


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    made = Journal(tmp_path / "journal", "local-1", name="train", start=START)
    run = made.run_start("a" * 32, "first")
    made.job("a" * 32).job("a" * 32, error="no more room")
    made.run_end(run, status="FAILED")
    return made.end()


class Sender:
    """A client of one server on `store`."""

    def __init__(self, store: Store, *, peer: str = "127.0.0.1", host: str = "127.0.0.1", **said: Any) -> None:
        collector = Collector(store, CollectorSettings(**(FAST | said)))
        self._asgi = Asgi(Starlette(routes=routes(lambda: collector)), peer, host)

    def ask(self, method: str, name: str, **headers: str) -> Answer:
        return self._asgi.ask(method, f"/api/v1/journals/{name}", headers=_raw(headers))

    def put(self, name: str, offset: object, body: bytes = b"", **headers: str) -> Answer:
        target = f"/api/v1/journals/{quote(name, safe='/%')}?offset={quote(str(offset), safe='&=%')}"
        return self._asgi.ask("PUT", target, [body[:1_000], body[1_000:]], _raw(headers))

    def send(self, name: str, data: bytes, *, offset: int = 0) -> int:
        answer = self.put(name, offset, gzip.compress(data), Content_Encoding="gzip")
        assert answer.status_code == 200, answer.text
        return int(answer.json()["offset"])


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.replace("_", "-").lower().encode(), value.encode("latin-1")) for name, value in headers.items()]


def take_in(store: Store) -> int:
    return ReceivedTail(store).poll(now_ms()).lines


def applications(store: Store) -> list[dict[str, Any]]:
    with store.read() as conn:
        return search_applications(conn, Query()).rows


def count(store: Store, table: sa.Table) -> int:
    with store.read() as conn:
        return int(conn.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


def from_a_folder(journal: Path, tmp_path: Path) -> dict[str, Any]:
    with closing(open_store(f"sqlite:///{tmp_path / 'folder.db'}")) as store:
        ingest_file(store, journal, now=now_ms())
        return contents(store)


def without_the_way(found: dict[str, Any]) -> dict[str, Any]:
    """All but what says how it came."""
    return {name: rows for name, rows in found.items() if name not in ("source", "received_journal")}


# What is taken -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_journal_that_is_sent_in_pieces_leaves_what_one_in_a_folder_does(
    store: Store, journal: Path, tmp_path: Path, encoding: str
) -> None:
    sender, data, chance, at = Sender(store), journal.read_bytes(), random.Random(3), 0
    tail = ReceivedTail(store)
    while at < len(data):
        piece = data[at : at + chance.randrange(1, 1_500)]
        body = gzip.compress(piece) if encoding == "gzip" else piece
        answer = sender.put(journal.stem, at, body, Content_Encoding=encoding)
        at += len(piece)
        assert (answer.status_code, answer.json(), answer.headers["Afterglow-Offset"]) == (200, {"offset": at}, str(at))
        if chance.random() < 0.5:
            tail.poll(now_ms())
    tail.poll(now_ms())
    assert without_the_way(contents(store)) == without_the_way(from_a_folder(journal, tmp_path))
    assert count(store, journal_chunk) == 0


def test_a_chunk_that_begins_elsewhere_is_told_where_to_begin(store: Store, journal: Path) -> None:
    sender, name, data = Sender(store), journal.stem, journal.read_bytes()
    assert sender.put(name, 7, data).status_code == 409
    assert sender.put(name, 7, data).json()["offset"] == 0
    sender.send(name, data[:100])
    for offset in (0, 99, 101):
        answer = sender.put(name, offset, data[100:])
        assert (answer.status_code, answer.json()["offset"], answer.headers["Afterglow-Offset"]) == (409, 100, "100")
    assert sender.send(name, data[100:], offset=100) == len(data)
    assert sender.put(name, len(data)).status_code == 200  # nothing, at the right place


def test_a_new_uploader_asks_how_far_it_was(store: Store, journal: Path) -> None:
    sender, name = Sender(store), journal.stem
    assert sender.ask("GET", name).json() == {"offset": 0}
    sender.send(name, journal.read_bytes()[:50])
    assert sender.ask("GET", name).json() == {"offset": 50}
    assert sender.ask("HEAD", name).headers["Afterglow-Offset"] == "50"


def test_two_servers_on_one_store_take_chunks_in_turns(store: Store, store_url: str, journal: Path) -> None:
    with closing(open_store(store_url)) as other:
        servers, data, at = [Sender(store), Sender(other)], journal.read_bytes(), 0
        for number in range(0, len(data), 500):
            at = servers[number // 500 % 2].send(journal.stem, data[number : number + 500], offset=at)
            take_in(other if number % 3 else store)
    assert at == len(data)
    assert applications(store)[0]["jobs"] == 2


def test_of_eight_that_send_the_same_place_one_is_taken(store: Store, journal: Path) -> None:
    data, begin, taken = journal.read_bytes(), threading.Barrier(8), []

    def race(number: int) -> None:
        for at in range(0, len(data), 900):
            chunk = Chunk(at, len(data[at : at + 900]), IDENTITY, data[at : at + 900])
            begin.wait(30)
            if receive(store, journal.stem, chunk, now=number).taken:
                taken.append(at)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert taken == list(range(0, len(data), 900))
    take_in(store)
    assert applications(store)[0]["jobs"] == 2


def test_a_journal_in_a_folder_and_in_chunks_gives_its_rows_once(store: Store, journal: Path, tmp_path: Path) -> None:
    sender, data, tail = Sender(store), journal.read_bytes(), Tail(store, [journal.parent])
    chance, at, received = random.Random(5), 0, 0
    while received < len(data):
        at = max(at, received + chance.randrange(300, 900))
        journal.write_bytes(data[:at])
        if chance.random() < 0.5:
            tail.poll(now_ms())
        answer = sender.put(journal.stem, received, data[received:at])
        received = answer.json()["offset"]  # further than it had sent, where the folder was quicker
        if chance.random() < 0.5:
            take_in(store)
    journal.write_bytes(data)
    tail.poll(now_ms())
    take_in(store)
    assert without_the_way(contents(store)) == without_the_way(from_a_folder(journal, tmp_path))
    assert count(store, source) == 1
    assert count(store, journal_chunk) == 0


def test_a_copy_in_a_folder_that_is_behind_what_was_sent_has_not_shrunk(store: Store, journal: Path) -> None:
    Sender(store).send(journal.stem, journal.read_bytes())
    take_in(store)
    journal.write_bytes(journal.read_bytes()[:200])
    assert ingest_file(store, journal, now=0).lines == 0


def with_a_hole(journal: Path) -> bytes:
    """The listener drops what the collector has: what is left of the journal. It has the first half of the lines as
    zeros, but for the first five."""
    data = journal.read_bytes()
    lines = data.splitlines(keepends=True)
    head, tail = len(b"".join(lines[:5])), len(b"".join(lines[: len(lines) // 2]))
    return data[:head] + bytes(tail - 1 - head) + data[tail - 1 :]


def test_what_a_file_no_longer_has_is_taken_from_what_was_received(store: Store, journal: Path, tmp_path: Path) -> None:
    data, left = journal.read_bytes(), with_a_hole(journal)
    Sender(store).send(journal.stem, data)
    journal.write_bytes(left)
    assert ingest_file(store, journal, now=now_ms()).lines == 0
    take_in(store)
    journal.write_bytes(data)
    assert without_the_way(contents(store)) == without_the_way(from_a_folder(journal, tmp_path))


@pytest.mark.parametrize("received", [True, False])
def test_a_store_that_never_had_it_takes_what_a_journal_still_has(store: Store, journal: Path, received: bool) -> None:
    left = with_a_hole(journal)
    journal.write_bytes(left)
    if received:
        Sender(store).send(journal.stem, left)
        take_in(store)
    else:
        ingest_file(store, journal, now=now_ms())
    [row] = applications(store)
    assert row["status"] == "SUCCEEDED"
    with store.read() as conn:
        assert conn.execute(sa.select(source.c.position, source.c.bad_lines)).one() == (len(left), 1)


def test_bad_lines_are_kept_aside_and_a_line_without_end_is_left_out(
    store: Store, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afterglow_store.sources.ReceivedSource.__init__.__defaults__", (20_000, (), None))
    sender, data = Sender(store), journal.read_bytes()
    at = sender.send(journal.stem, data + b"garbage, password=hunter2\n")
    for _ in range(5):
        at = sender.send(journal.stem, b"x" * 9_000, offset=at)
        take_in(store)
    sender.send(journal.stem, b'\n{"Event":"SparkListenerJobStart","Job ID":7,"Stage IDs":[]}\n', offset=at)
    take_in(store)
    assert applications(store)[0]["jobs"] == 3
    with store.read() as conn:
        kept = [row.text for row in conn.execute(sa.select(bad_line).order_by(bad_line.c.position))]
        assert conn.scalar(sa.select(source.c.bad_lines)) == 2
    assert kept == ["garbage, password=*********(redacted)", "x" * 1_000]


def test_what_is_no_journal_is_dropped_and_no_more_of_it_taken(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afterglow_store.lines.MAX_HEAD_BYTES", 5_000)
    monkeypatch.setattr("afterglow_store.lines.CHUNK_BYTES", 1_000)
    sender, name = Sender(store), str(uuid4())
    sender.send(name, b'{"Event":"Other"}\n' * 500)
    with pytest.raises(SourceRefused, match="no SparkListenerApplicationStart"):
        ingest_received(store, name, now=0)
    assert count(store, journal_chunk) == 0
    answer = sender.put(name, 9_000, b"more")
    assert answer.status_code == 422
    assert "this is no journal" in answer.json()["error"]


def test_a_journal_may_be_so_far_ahead_of_its_rows_and_no_further(
    store: Store, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(received, "MAX_AHEAD_BYTES", 3_000)
    sender, data = Sender(store), journal.read_bytes()
    at = sender.send(journal.stem, data[:2_900])
    answer = sender.put(journal.stem, at, data[2_900:5_000])
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "10")
    with pytest.raises(TooFarAhead):
        receive(store, journal.stem, Chunk(at, 101, IDENTITY, data[at : at + 101]), now=0)
    take_in(store)
    sender.send(journal.stem, data[2_900:5_000], offset=at)


def test_the_torn_end_of_a_dead_journal_goes_after_a_week_and_may_be_sent_again(store: Store, journal: Path) -> None:
    data = journal.read_bytes()
    sender, line = Sender(store), data.rindex(b"\n", 0, -1) + 1
    sender.send(journal.stem, data[:-5])
    take_in(store)
    now = now_ms()
    assert drop_stale(store, now=now + received.STALE_MS - 10_000) == 0
    assert drop_stale(store, now=now + received.STALE_MS + 10_000) == 1
    assert count(store, journal_chunk) == 0
    answer = sender.put(journal.stem, len(data) - 5, data[-5:])
    assert (answer.status_code, answer.json()["offset"]) == (409, line)
    sender.send(journal.stem, data[line:], offset=line)
    take_in(store)
    assert applications(store)[0]["status"] == "SUCCEEDED"


# What is not taken -------------------------------------------------------------------------------------------


def test_a_secret_has_to_be_shown_and_any_of_them_will_do(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLD_SECRET", SECRET)
    (tmp_path / "new").write_text("another-secret,which-is-newer\n")
    sender = Sender(sqlite_store, peer="10.0.0.7", secrets=("env:OLD_SECRET", f"file:{tmp_path / 'new'}"))
    name = str(uuid4())
    for shown in (SECRET, "another-secret,which-is-newer"):
        assert sender.put(name, 0, Authorization=f"Bearer {shown}").status_code == 200
    headers: list[dict[str, Any]] = [
        {},
        {"Authorization": SECRET},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {SECRET}"},
    ]
    for header in headers:
        assert sender.put(name, 0, **header).status_code == 401
    wrong = sender.ask("GET", name, Authorization="Bearer \xff\x80" + SECRET)
    assert (wrong.status_code, SECRET in wrong.text) == (401, False)
    (tmp_path / "new").write_text("the-third-one-of-these-secrets")
    assert sender.put(name, 0, Authorization="Bearer the-third-one-of-these-secrets").status_code == 200
    (tmp_path / "new").unlink()
    assert sender.put(name, 0, Authorization=f"Bearer {SECRET}").status_code == 503  # nobody is let in by half a list


@pytest.mark.parametrize(
    ("peer", "host", "headers", "status"),
    [
        ("127.0.0.1", "localhost:8501", {}, 200),
        ("::1", "[::1]", {}, 200),
        ("10.0.0.7", "127.0.0.1", {}, 403),  # from elsewhere
        ("127.0.0.1", "afterglow.example.com", {}, 403),  # a page in a browser here, or a proxy
        ("127.0.0.1", "127.0.0.1", {"X_Forwarded_For": "10.0.0.7"}, 403),
        ("127.0.0.1", "127.0.0.1", {"Forwarded": "for=10.0.0.7"}, 403),
    ],
)
def test_without_a_secret_only_this_machine_is_let_in(
    sqlite_store: Store, peer: str, host: str, headers: dict[str, Any], status: int
) -> None:
    answer = Sender(sqlite_store, peer=peer, host=host).put(str(uuid4()), 0, **headers)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    "name",
    ["x", "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/" + "a" * 36, NAME.upper(), NAME + "%00", NAME + "/..",
     "{}", "a" * 5_000],
)  # fmt: skip
def test_a_name_that_is_no_journals_is_refused(sqlite_store: Store, name: str) -> None:
    answer = Sender(sqlite_store).put(name, 0, b"x")
    assert (answer.status_code, answer.json()["error"]) == (400, "a journal's name is a UUID in lower case")
    assert count(sqlite_store, journal_chunk) == 0


@pytest.mark.parametrize("offset", ["", "-1", "1.5", "x", "٣", "1" * 16, "9" * 5_000, "0&offset=1", "%00"])
def test_an_offset_that_is_no_number_of_bytes_is_refused(sqlite_store: Store, offset: str) -> None:
    answer = Sender(sqlite_store).put(str(uuid4()), offset, b"x")
    assert (answer.status_code, answer.json()["error"]) == (400, "say where the chunk begins: ?offset=BYTES")


def bomb(megabytes: int) -> bytes:
    return gzip.compress(bytes(megabytes << 20), mtime=0)


@pytest.mark.parametrize(
    ("body", "encoding", "status", "why"),
    [
        (b"no gzip", "gzip", 400, "no gzip"),
        (gzip.compress(b"cut" * 999, mtime=0)[:-9], "gzip", 400, "cut off"),
        (gzip.compress(b"one", mtime=0) + gzip.compress(b"two", mtime=0), "gzip", 400, "follows"),
        (b"x", "br", 415, "gzip or identity"),
        (bomb(7), "gzip", 413, "unpacks to"),
        (bomb(50), "gzip", 413, "unpacks to"),
        (bytes((8 << 20) + 1), "identity", 413, "8 MiB"),
    ],
)
def test_a_body_that_is_wrong_or_too_large_is_refused(
    sqlite_store: Store, body: bytes, encoding: str, status: int, why: str
) -> None:
    answer = Sender(sqlite_store).put(str(uuid4()), 0, body, Content_Encoding=encoding)
    assert (answer.status_code, why in answer.json()["error"]) == (status, True), answer.text
    assert count(sqlite_store, journal_chunk) == 0


def test_who_sends_too_often_or_too_much_has_to_wait(sqlite_store: Store) -> None:
    rates = Rates(10, seconds=2)
    for _ in range(20):
        rates.take("a", 1, now=0)
    with pytest.raises(Refused) as raised:
        rates.take("a", 1, now=0)
    assert raised.value.headers["Retry-After"] == "1"
    rates.take("b", 500, now=0)
    rates.take("a", 1, now=0.2)
    with pytest.raises(Refused, match="Retry-After"):
        rates.take("b", 1, now=40)
    rates.take("b", 1, now=50)
    sender, name = Sender(sqlite_store, requests_per_second=0.2), str(uuid4())
    assert [sender.put(name, 0).status_code for _ in range(3)] == [200, 200, 429]
    assert sender.put(str(uuid4()), 0).status_code == 200


def test_a_store_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'gone.db'}")
    with store.write() as conn:
        conn.execute(sa.text("DROP TABLE received_journal"))
    answer = Sender(store).put(str(uuid4()), 0, b"x")
    store.close()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "received_journal" not in answer.text


@pytest.fixture
def sqlite_store(sqlite_url: str) -> Iterator[Store]:
    with closing(open_store(sqlite_url)) as opened:
        yield opened


# Whatever is sent --------------------------------------------------------------------------------------------
