"""Whatever is sent: no 5xx, no good line lost, nothing outside of the store. AFTERGLOW_EXAMPLES=20 tries 100,000."""

import gzip
import json
import logging
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from afterglow_monitor.clock import now_ms
from afterglow_monitor.collecting.collector import Collector, routes
from afterglow_monitor.collecting.journals import ReceivedTail
from afterglow_monitor.settings import CollectorSettings
from afterglow_store import Store, open_store
from afterglow_store.events import HANDLERS
from afterglow_store.received import Chunk, receive
from afterglow_store.schema import bad_line, job, received_journal, source
from afterglow_store.sources import JOURNAL
from tests.support.asgi import Asgi

MORE = int(os.environ.get("AFTERGLOW_EXAMPLES", "1"))
TOGETHER = 50  # requests, or lines, in one example: 2,500 of each
START = 1_790_000_000_000
NAMES = [f"0b5e8c0e-8f5b-4f5e-9d57-{number:012}" for number in range(3)]


def tried(examples: int) -> settings:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
    phases = [Phase.explicit, Phase.generate]  # to make a failing example of fifty things small takes minutes
    return settings(
        phases=phases, max_examples=examples * MORE, deadline=None, database=None, suppress_health_check=checks
    )


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    with closing(open_store(sqlite_url)) as opened:
        yield opened


# Requests ----------------------------------------------------------------------------------------------------

names = st.one_of(
    st.sampled_from(NAMES),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass").hex("%", 1).join(("%", ""))),
    st.sampled_from(
        ["../../../etc/passwd", "..%2f..%2fx", "%00", "%2e%2e", "a/b/c", ".", "~root", NAMES[0] + ".jsonl"]
    ),
)
offsets = st.one_of(
    st.integers(-5, 300).map(str), st.integers().map(str), st.text("0123456789+-.eE_ %&=x", max_size=30), st.just("0")
)
plain = st.one_of(st.binary(max_size=300), st.just(b'{"Event":"X"}\n'))
packed = plain.map(gzip.compress)
torn = st.tuples(packed, st.integers(0, 40), st.binary(max_size=5)).map(lambda each: each[0][: each[1]] + each[2])
bodies = st.one_of(plain, packed, torn, st.just(gzip.compress(bytes(3 << 20))))
tokens = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=20)
headers = st.dictionaries(
    st.sampled_from(["content-encoding", "content-length", "authorization", "transfer-encoding", "host2", "range"]),
    st.one_of(st.sampled_from(["gzip", "identity", "GZIP ", "br", "0", "-1", "9" * 30, "Bearer x"]), tokens),
    max_size=3,
)
requests = st.tuples(st.sampled_from(["PUT", "PUT", "PUT", "GET", "HEAD", "POST"]), names, offsets, bodies, headers)


@tried(50)
@given(st.lists(requests, min_size=TOGETHER, max_size=TOGETHER))
def test_no_request_gets_a_5xx_or_leaves_anything_but_a_chunk_of_a_journal(
    store: Store, tmp_path: Path, sent: list[tuple[str, str, str, bytes, dict[str, str]]]
) -> None:
    collector = Collector(store, CollectorSettings(requests_per_second=1e9, megabytes_per_second=1e9))
    asgi = Asgi(Starlette(routes=routes(lambda: collector)))
    files = sorted(tmp_path.rglob("*"))
    for method, name, offset, body, said in sent:
        raw = [(key.encode(), value.encode("latin-1")) for key, value in said.items()]
        answer = asgi.ask(method, f"/api/v1/journals/{name}?offset={offset}", [body[:50], body[50:]], raw)
        assert answer.status_code < 500, (method, name, offset, body, said, answer)
        if answer.status_code in (400, 409, 413, 415):
            assert method != "PUT" or answer.json()["error"]
    assert sorted(tmp_path.rglob("*")) == files
    with store.read() as conn:
        assert all(JOURNAL.fullmatch(each) for each in conn.scalars(sa.select(received_journal.c.journal)))


# Lines -------------------------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(st.text(max_size=10), deeper, max_size=3),
    max_leaves=6,
)
FIELDS = ["Job ID", "Stage ID", "Stage IDs", "Stage Info", "Stage Infos", "Properties", "Timestamp", "Run", "Run ID",
          "Application", "Spark Properties", "Executor ID", "Executor Info", "Metrics", "Job Result", "executionId",
          "time", "jobTags", "description", "Seq", "Dropped", "Outcome", "Error", "Submission Time", "Tracking URI",
          "Source", "Heartbeat Interval", "Completion Time", "App Name", "User"]  # fmt: skip
known_events = st.builds(
    lambda event, fields: json.dumps({"Event": event, **fields}).encode(),
    st.sampled_from([*HANDLERS, "AfterglowJournalStart", "SparkListenerFromTheFuture"]),
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=6),
)
lines = st.one_of(
    known_events,
    st.binary(max_size=80).map(lambda line: line.replace(b"\n", b"")),
    values.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [b"", b"   ", b"{", b'{"Event":', b"\xff\xfe", b'{"Event":"X","x":"\\ud800"}', b"[" * 500, b"nul\x00"]
    ),
)
HEAD = {
    "Event": "SparkListenerApplicationStart", "App ID": "local-1", "App Name": "x", "Timestamp": START, "User": "ada",
}  # fmt: skip


@tried(50)
@given(
    garbage=st.lists(lines, min_size=TOGETHER, max_size=TOGETHER), number=st.integers(0, 1 << 40), cut=st.integers(1)
)
def test_no_good_line_is_lost_among_bad_ones(store: Store, garbage: list[bytes], number: int, cut: int) -> None:
    logging.getLogger("afterglow_store").setLevel(logging.CRITICAL)
    name = f"{number & 0xFFFFFFFF:08x}-8f5b-4f5e-9d57-{number >> 32:012x}"
    good = [{"Event": "SparkListenerJobStart", "Job ID": 1_000_000 + each, "Stage IDs": []} for each in range(TOGETHER)]
    mixed = [HEAD | {"Timestamp": START + number}]
    text = json.dumps(mixed[0]).encode() + b"\n"
    text += b"".join(json.dumps(one).encode() + b"\n" + bad + b"\n" for one, bad in zip(good, garbage, strict=True))
    with store.write() as conn:
        forget(conn, name)
    at = 0
    tail = ReceivedTail(store)
    while at < len(text):
        piece = text[at : at + 300 + cut % 4_000]
        assert receive(store, name, Chunk(at, len(piece), "identity", piece), now=now_ms()).taken
        at += len(piece)
        if cut % 3 == 0:
            tail.poll(now_ms())
    tail.poll(now_ms())
    with store.read() as conn:
        of_it = conn.execute(sa.select(source).where(source.c.journal == name)).one()
        ids = set(conn.scalars(sa.select(job.c.job_id).where(job.c.application_id == of_it.application_id)))
    assert of_it.position == len(text)
    assert ids >= {each["Job ID"] for each in good}
    assert of_it.lines + of_it.bad_lines == 1 + TOGETHER + sum(bool(each.strip()) for each in garbage)


def forget(conn: sa.Connection, name: str) -> None:
    """hypothesis tries the same again."""
    of_it = sa.select(source.c.id).where(source.c.journal == name)
    conn.execute(sa.delete(bad_line).where(bad_line.c.source_id.in_(of_it)))
    conn.execute(sa.delete(source).where(source.c.journal == name))
    conn.execute(sa.delete(received_journal).where(received_journal.c.journal == name))
