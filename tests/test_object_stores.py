"""Event logs in S3: a real server on this machine, asked through fsspec and s3fs as Amazon's is."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import zstandard
from moto.server import ThreadedMotoServer

from afterglow_monitor.collecting.journals import EventLogTail
from afterglow_store import Store, ingest_event_log, ingest_event_logs, open_store
from afterglow_store.errors import SourceRefused
from afterglow_store.event_logs import find, place
from tests.support.demo import Demo
from tests.support.ingesting import contents
from tests.test_event_logs import only, rows
from tests.test_small_logs import of_application, one_by_one, small

KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Any]:
    for name, value in (KEYS | {"AWS_ENDPOINT_URL": s3_server}).items():
        monkeypatch.setenv(name, value)
    service = boto3.resource("s3", endpoint_url=s3_server)
    made = service.create_bucket(Bucket=f"logs-{abs(hash(request.node.name))}")
    yield made
    service.meta.client.close()


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url)
    yield opened
    opened.close()


def put(bucket: Any, key: str, data: bytes) -> None:
    bucket.put_object(Key=key, Body=data)


def folder_of(bucket: Any) -> str:
    return f"s3://{bucket.name}/spark/events"


def test_logs_in_s3_give_the_rows_that_they_give_on_a_disk(
    demo: Demo, bucket: Any, store: Store, tmp_path: Path
) -> None:
    """A large one, read by ranges; small ones; a rolling one; one that is packed; one that is broken."""
    folder = tmp_path / "logs"
    (folder / "eventlog_v2_local-00009").mkdir(parents=True)
    lines = of_application(small(demo), 9).splitlines(keepends=True)
    for number, first in enumerate(range(0, len(lines), 100), start=1):
        part = folder / "eventlog_v2_local-00009" / f"events_{number}_local-00009"
        part.write_bytes(b"".join(lines[first : first + 100]))
    for number in range(3):
        (folder / f"local-{number:05}").write_bytes(of_application(small(demo), number))
    (folder / "large").write_bytes(max(demo.event_logs.iterdir(), key=lambda path: path.stat().st_size).read_bytes())
    (folder / "broken.lz4").write_bytes(b"LZ4Blink" * 100)
    for path in folder.rglob("*"):
        if path.is_file():
            put(bucket, f"spark/events/{path.relative_to(folder)}", path.read_bytes())
    put(bucket, "spark/events/", b"")  # so the console makes a folder
    results = ingest_event_logs(store, list(find([place(folder_of(bucket))])), now=0)
    told = {Path(log.name).name: result for log, result in results}
    assert isinstance(told["broken.lz4"], SourceRefused)
    assert str(told["broken.lz4"]) == f"{folder_of(bucket)}/broken.lz4: no LZ4Block at byte 0"
    assert len(told) == 6
    assert contents(store) == one_by_one(list(find([folder])), f"sqlite:///{tmp_path / 'disk.db'}")


def test_a_packed_log_in_s3_is_unpacked_as_it_comes(demo: Demo, bucket: Any, store: Store, tmp_path: Path) -> None:
    log = min(demo.event_logs.iterdir(), key=lambda path: path.stat().st_size)
    put(bucket, "spark/events/log.zstd", zstandard.compress(log.read_bytes()))
    for each in find([place(folder_of(bucket))]):
        ingest_event_log(store, each, now=0)
    other = open_store(f"sqlite:///{tmp_path / 'disk.db'}")
    ingest_event_log(other, only(log), now=0)
    assert rows(store) == rows(other)
    other.close()


def test_the_server_follows_a_folder_in_s3(demo: Demo, bucket: Any, store: Store) -> None:
    tail = EventLogTail(store, [folder_of(bucket)])
    assert tail.poll(now=1).lines == 0
    put(bucket, "spark/events/local-00001", of_application(small(demo), 1))
    first = tail.poll(now=2).lines
    assert first > 0
    assert tail.poll(now=3).lines == 0
    put(bucket, "spark/events/local-00002", of_application(small(demo), 2))
    assert tail.poll(now=4).lines == first


def test_the_command_says_what_a_store_answered(bucket: Any, s3_server: str, tmp_path: Path) -> None:
    put(bucket, "spark/events/notes", b"no log\n")
    environment = {**os.environ, "AFTERGLOW_HOME": str(tmp_path)}

    def ingest(url: str) -> "subprocess.CompletedProcess[str]":
        words = [sys.executable, "-m", "afterglow_monitor.cli", "ingest", url]
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=120)

    missing = ingest(f"{folder_of(bucket)}/nothing")
    assert missing.returncode == 2
    assert f"'{folder_of(bucket)}/nothing' does not exist" in missing.stderr
    assert "Left alone: " in ingest(folder_of(bucket)).stderr
    unknown = ingest("nowhere://bucket/logs")
    assert unknown.returncode == 1
    assert unknown.stderr.startswith("Error: nowhere://bucket/logs: ")
