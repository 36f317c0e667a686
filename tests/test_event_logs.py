"""Spark's own event logs: every codec and form that Spark writes, from real logs."""

from __future__ import annotations

import errno
import io
import itertools
import os
import pickle
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyspark
import pytest
import sqlalchemy as sa
import zstandard

from afterglow_monitor.cli.ingest import Done, progress
from afterglow_monitor.collecting.journals import EventLogTail
from afterglow_store import Ingested, Store, by_file, ingest_event_log, ingest_event_logs, open_store
from afterglow_store.event_logs import BrokenLog, EventLog, LogFile, find
from afterglow_store.event_logs.codecs import codec_of
from afterglow_store.lines import read_lines
from afterglow_store.schema import source, stage
from tests.support.demo import Demo
from tests.support.ingesting import contents
from tests.support.parts import require

CODECS = ("zstd", "lz4", "snappy", "lzf")
PACK = Path(__file__).parent / "support" / "java" / "Pack.java"


@pytest.fixture(scope="module")
def plain_log(demo: Demo) -> Path:
    """What Spark wrote of an application with failed stages and MLflow runs."""
    return max(demo.event_logs.iterdir(), key=lambda path: path.stat().st_size)


@pytest.fixture(scope="module")
def packed(plain_log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with that log as each of Spark's codecs packs it."""
    folder = tmp_path_factory.mktemp("packed")
    jars = str(Path(pyspark.__file__).parent / "jars" / "*")
    subprocess.run([require("java"), "-cp", jars, PACK, plain_log, folder], check=True, capture_output=True)
    return folder


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url)
    yield opened
    opened.close()


@pytest.fixture
def expected(plain_log: Path, tmp_path: Path) -> Iterator[dict[str, list[tuple[object, ...]]]]:
    """The rows of that log, read as one plain file."""
    opened = open_store(f"sqlite:///{tmp_path / 'expected.db'}")
    ingest_event_log(opened, only(plain_log), now=0)
    yield rows(opened)
    opened.close()


def only(path: Path) -> EventLog:
    return next(iter(find([path])))


def rows(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """All but which files they came from."""
    return {table: found for table, found in contents(store).items() if table != "source"}


def unpacked(data: bytes, name: str) -> bytes:
    return b"".join(piece for piece, _ in codec_of(name)(io.BytesIO(data)))


@pytest.mark.parametrize("codec", CODECS)
class TestACodec:
    def test_gives_back_what_spark_packed(self, packed: Path, plain_log: Path, codec: str) -> None:
        file = packed / f"log.{codec}"
        assert file.stat().st_size < plain_log.stat().st_size / 3
        assert unpacked(file.read_bytes(), file.name) == plain_log.read_bytes()

    def test_gives_what_is_complete_of_a_log_that_ends_anywhere(
        self, packed: Path, plain_log: Path, codec: str
    ) -> None:
        data, plain = (packed / f"log.{codec}").read_bytes(), plain_log.read_bytes()
        whole = 0
        for end in sorted(random.Random(7).sample(range(len(data)), 12)):
            found = unpacked(data[:end], f"log.{codec}.inprogress")
            assert plain.startswith(found)
            assert len(found) >= whole
            whole = len(found)
        assert whole > len(plain) / 4

    def test_says_where_a_file_is_damaged(self, packed: Path, tmp_path: Path, codec: str) -> None:
        data = bytearray((packed / f"log.{codec}").read_bytes())
        data[:40] = data[40:80]
        broken = tmp_path / f"broken.{codec}"
        broken.write_bytes(data)
        with pytest.raises(BrokenLog, match=rf"broken\.{codec}: .* byte "):
            LogFile(broken).read(0, 1_000)

    def test_gives_the_same_rows_as_the_plain_log(
        self, packed: Path, store: Store, expected: dict[str, object], codec: str
    ) -> None:
        log = only(packed / f"log.{codec}")
        assert ingest_event_log(store, log, now=0).bad_lines == 0
        assert rows(store) == expected
        assert ingest_event_log(store, log, now=1).lines == 0


def test_what_cannot_be_read_is_named_and_the_others_go_on(plain_log: Path, store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    shutil.copy(plain_log, folder / "local-9")
    (folder / "local-1").symlink_to("/proc/self/mem")  # not even who may read the files of others can read that
    (folder / "eventlog_v2_local-2").symlink_to("eventlog_v2_local-2")
    (folder / "eventlog_v2_local-3").mkdir()
    told = {log.name: result for log, result in ingest_event_logs(store, list(find([folder])), now=0)}
    refused = {Path(name).name: str(result) for name, result in told.items() if not isinstance(result, Ingested)}
    assert refused == {
        "local-1": f"{folder}/local-1 cannot be read: {os.strerror(errno.EIO)}",
        "eventlog_v2_local-2": f"{folder}/eventlog_v2_local-2 cannot be read: Too many levels of symbolic links",
    }
    with store.read() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(stage))
    tail = EventLogTail(store, [folder])
    assert tail.poll(now=1).lines == 0
    (folder / "local-1").unlink()
    shutil.copy(plain_log, folder / "local-1")
    (folder / "local-9").unlink()
    assert tail.poll(now=2).bytes > 0  # it is tried again


def test_what_comes_before_the_damage_is_taken_in_and_stays(packed: Path, tmp_path: Path, store: Store) -> None:
    data = (packed / "log.lz4").read_bytes()
    half = data.index(b"LZ4Block", len(data) // 2)
    broken = tmp_path / "log.lz4"
    broken.write_bytes(data[:half] + b"LZ4Blink" + data[half + 8 :])
    for _ in range(2):
        with pytest.raises(BrokenLog, match=f"no LZ4Block at byte {half:,}"):
            ingest_event_log(store, only(broken), now=0)
    plain = unpacked(data[:half], "log.lz4")
    with store.read() as conn:
        taken = conn.execute(sa.select(source.c.lines, source.c.position)).one()
    assert taken == (plain.count(b"\n"), plain.rindex(b"\n") + 1)


def test_without_tasks_stages_have_what_spark_adds_up_itself(
    plain_log: Path, tmp_path: Path, store: Store, expected: dict[str, object]
) -> None:
    ingest_event_log(store, only(plain_log), now=0, with_tasks=False)
    with closing(open_store(f"sqlite:///{tmp_path / 'expected.db'}")) as other:
        both = [stages_of(each) for each in (store, other)]
    assert len(both[0]) == len(both[1]) > 0
    for skipped, whole in zip(*both, strict=True):
        assert (skipped["skew"], skipped["succeeded_tasks"], skipped["failed_tasks"]) == (None, None, None)
        for column in ("status", "start_time", "end_time", "tasks", "error"):
            assert skipped[column] == whole[column]
        if not whole["failed_tasks"] and not whole["killed_tasks"]:
            assert skipped["executor_run_ms"] == whole["executor_run_ms"]
    assert {name: found for name, found in rows(store).items() if name in ("executor", "sql_execution")} == {
        name: expected[name] for name in ("executor", "sql_execution")
    }


def stages_of(store: Store) -> list[dict[str, object]]:
    with store.read() as conn:
        return [dict(row._mapping) for row in conn.execute(sa.select(stage).order_by(*stage.primary_key))]


def test_a_length_out_of_all_bounds_is_damage_and_takes_no_memory(tmp_path: Path) -> None:
    log = tmp_path / "log.lz4"
    log.write_bytes(b"LZ4Block\x26" + (2**31 - 1).to_bytes(4, "little") + bytes(8))
    with pytest.raises(BrokenLog, match="a block of 2,147,483,647 bytes at byte 21"):
        LogFile(log).read(0, 10)


def test_a_packed_log_is_read_on_from_anywhere(packed: Path, plain_log: Path) -> None:
    plain, file = plain_log.read_bytes(), LogFile(packed / "log.zstd")
    for position in (0, 5, len(plain) // 2, len(plain) - 3, 1_000, len(plain)):
        assert file.read(position, 70_000)[:70_000] == plain[position : position + 70_000]
    assert LogFile(packed / "log.zstd").read(len(plain) - 10, 100) == plain[-10:]


def test_a_log_that_grows_is_read_on_and_keeps_its_place_when_its_driver_renames_it(
    plain_log: Path, packed: Path, tmp_path: Path, store: Store, expected: dict[str, object]
) -> None:
    data = (packed / "log.lz4").read_bytes()
    growing = tmp_path / "log.lz4.inprogress"
    lines = 0
    for part in (0.3, 0.35, 0.8, 1.0):
        growing.write_bytes(data[: int(len(data) * part)])
        lines += ingest_event_log(store, only(growing), now=0).lines
    renamed = growing.rename(tmp_path / "log.lz4")
    lines += ingest_event_log(store, only(renamed), now=0).lines
    assert lines == plain_log.read_bytes().count(b"\n")
    assert rows(store) == expected


@pytest.mark.parametrize("codec", CODECS)
def test_a_packed_log_that_grows_is_unpacked_on_from_a_mark(
    packed: Path, plain_log: Path, tmp_path: Path, store: Store, expected: dict[str, object], codec: str
) -> None:
    data = (packed / f"log.{codec}").read_bytes()
    if codec == "zstd":  # in frames, as a driver writes it that flushes after each job; Pack writes one
        data = b"".join(zstandard.compress(line) for line in plain_log.read_bytes().splitlines(keepends=True))
    growing = tmp_path / f"log.{codec}"
    marks = []
    for part in (0.5, 0.9, 1.0):
        growing.write_bytes(data[: int(len(data) * part)])
        ingest_event_log(store, only(growing), now=0)
        with store.read() as conn:
            marks.append(conn.execute(sa.select(source.c.resume_packed, source.c.position)).one())
    assert rows(store) == expected
    assert [mark > len(data) * part * 0.7 for (mark, _), part in zip(marks, (0.5, 0.9, 1.0), strict=True)] == [True] * 3
    opened = LogFile(growing, resume=(marks[1][0], _plain_at(data, marks[1][0], codec)))
    assert opened.read(marks[1][1], 1_000_000)[:1_000_000] == plain_log.read_bytes()[marks[1][1] :][:1_000_000]


def _plain_at(data: bytes, packed_bytes: int, codec: str) -> int:
    return len(unpacked(data[:packed_bytes], f"log.{codec}"))


class TestARollingLog:
    @pytest.fixture
    def folder(self, plain_log: Path, tmp_path: Path) -> Path:
        """That log in eleven files, as Spark names and numbers them."""
        made = tmp_path / "logs" / "eventlog_v2_local-1"
        made.mkdir(parents=True)
        lines = plain_log.read_bytes().splitlines(keepends=True)
        size = len(lines) // 11 + 1
        for number in range(11):
            (made / f"events_{number + 1}_local-1").write_bytes(b"".join(lines[number * size : (number + 1) * size]))
        (made / "appstatus_local-1.inprogress").touch()
        (made / ".appstatus_local-1.crc").write_bytes(b"crc")
        return made

    def test_gives_the_same_rows_as_one_file(self, folder: Path, store: Store, expected: dict[str, object]) -> None:
        log = only(folder.parent)
        assert [part.name.split("_")[1] for part in log.parts] == [str(number) for number in range(1, 12)]
        ingest_event_log(store, log, now=0)
        assert rows(store) == expected

    def test_gives_the_same_rows_when_its_files_are_read_apart(
        self, folder: Path, store: Store, expected: dict[str, object]
    ) -> None:
        """As on Spark: by whoever, in any order, and sent to who takes them in."""
        log = only(folder)
        ingest_event_log(store, EventLog(str(folder), log.parts[:2]), now=0)
        read = {file: list(by_file.read_file(store, log, file)) for file in reversed(range(11))}
        assert [bool(read[file]) for file in range(11)] == [False] * 2 + [True] * 9
        sent = pickle.loads(pickle.dumps([portion for file in range(11) for portion in read[file]]))
        by_file.take_in(store, log, sent, now=0)
        assert rows(store) == expected
        assert [portion for file in range(11) for portion in by_file.read_file(store, log, file)] == []

    def test_is_taken_in_once_when_another_one_was_quicker(
        self, folder: Path, store: Store, expected: dict[str, object]
    ) -> None:
        log = only(folder)
        read = [portion for file in range(11) for portion in by_file.read_file(store, log, file)]
        ingest_event_log(store, EventLog(str(folder), log.parts[:6]), now=0)
        by_file.take_in(store, log, read, now=0)
        assert rows(store) == expected

    def test_goes_on_with_the_next_file(self, folder: Path, store: Store, expected: dict[str, object]) -> None:
        last = (folder / "events_11_local-1").rename(folder.parent / ".later")
        taken = ingest_event_log(store, only(folder), now=0).lines
        last.rename(folder / "events_11_local-1")
        assert 0 < ingest_event_log(store, only(folder), now=0).lines < taken
        assert rows(store) == expected

    def test_is_read_from_its_compacted_file_on(self, folder: Path, store: Store, expected: dict[str, object]) -> None:
        ingest_event_log(store, EventLog(str(folder), only(folder).parts[:3]), now=0)
        together = b"".join((folder / f"events_{number}_local-1").read_bytes() for number in range(1, 6))
        (folder / "events_5_local-1.compact").write_bytes(together)
        log = only(folder)
        assert [part.name for part in log.parts][:2] == ["events_5_local-1.compact", "events_6_local-1"]
        ingest_event_log(store, log, now=0)
        assert rows(store) == expected


def test_the_server_follows_a_folder(packed: Path, plain_log: Path, tmp_path: Path, store: Store) -> None:
    folder = tmp_path / "logs"
    tail = EventLogTail(store, [folder, tmp_path / "not there"])
    assert tail.poll(now=1).lines == 0
    folder.mkdir()
    data = (packed / "log.zstd").read_bytes()
    (folder / "log.zstd.inprogress").write_bytes(data[: len(data) // 2])
    (folder / "broken.lz4").write_bytes(b"LZ4Blink" * 100)
    first = tail.poll(now=2).lines
    assert first > 0
    assert tail.poll(now=3).lines == 0
    (folder / "log.zstd.inprogress").write_bytes(data)
    assert first + tail.poll(now=4).lines == plain_log.read_bytes().count(b"\n")
    (folder / "log.zstd.inprogress").rename(folder / "log.zstd")
    assert tail.poll(now=5).lines == 0


def test_the_command_takes_in_what_it_can_and_names_what_it_cannot(packed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    for name in ("log.zstd", "log.lz4"):
        shutil.copy(packed / name, folder)
    (folder / "broken.lz4").write_bytes(b"LZ4Blink" * 100)
    (folder / "notes").write_text("no log at all\n" * 3)

    def ingest() -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "AFTERGLOW_HOME": str(tmp_path)}
        words = [sys.executable, "-m", "afterglow_monitor.cli", "ingest", str(folder)]
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)

    done = ingest()
    assert done.returncode == 1
    notes = f"Left alone: {folder / 'notes'}: it names no application, or not yet\n"
    assert done.stderr == f"Refused: {folder / 'broken.lz4'}: no LZ4Block at byte 0\n{notes}"
    assert done.stdout.startswith("4 logs: ")
    assert done.stdout.endswith(", 1 refused\n")
    assert ingest().stdout == "4 logs: 0 new lines (0 bytes), 1 refused\n"


def test_a_line_of_hundreds_of_megabytes_is_left_out_and_takes_no_memory(
    plain_log: Path, tmp_path: Path, expected: dict[str, object]
) -> None:
    log, megabyte = tmp_path / "log.zstd", b"x" * (1 << 20)
    lines = plain_log.read_bytes().splitlines(keepends=True)
    with log.open("wb") as file, zstandard.ZstdCompressor().stream_writer(file, closefd=False) as packing:
        packing.write(b"".join(lines[:-1]) + b'{"Event":"')
        for _ in range(400):
            packing.write(megabyte)
        packing.write(b'"}\n' + lines[-1])
    url = f"sqlite:///{tmp_path / 'store.db'}"
    done = subprocess.run([sys.executable, "-c", INGEST, url, log], capture_output=True, text=True, check=True)
    megabytes, read, left_out = map(int, done.stdout.split())
    assert (read, left_out) == (len(lines), 1)
    assert megabytes < 300
    with closing(open_store(url)) as store:
        found = rows(store)
    [bad] = found.pop("bad_line")
    assert any(str(value).startswith('{"Event":"xxx') for value in bad)
    assert found == {table: its for table, its in expected.items() if table != "bad_line"}


# The most memory that it held: rusage would have that of the process that it was forked from.
INGEST = """
import sys
from pathlib import Path
from afterglow_store import ingest_event_log, open_store
from afterglow_store.event_logs import find
[log] = find([Path(sys.argv[2])])
taken = ingest_event_log(open_store(sys.argv[1]), log, now=0)
[held] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
print(int(held.split()[1]) // 1_024, taken.lines, taken.bad_lines)
"""


def test_progress_is_shown_with_its_rate_and_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, clock = Terminal(), itertools.count(1_000.0, 2.0)
    now = [next(clock)]
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "time", lambda: now[0])
    with progress(100_000_000) as tell:
        for logs in range(1, 5):
            now[0] = next(clock)
            tell(Done(logs=logs, bytes=logs * 20_000_000), 0)
    assert re.search(r"4 logs, [\d.]+ MiB/s .* 80%  00:00:02", terminal.getvalue())


def test_finds_logs_as_a_history_server_does(tmp_path: Path) -> None:
    for name in ("application_1_2_1.zstd", "local-1.inprogress", ".hidden", "_SUCCESS"):
        (tmp_path / name).touch()
    (tmp_path / "eventlog_v2_application_9_1").mkdir()
    (tmp_path / "eventlog_v2_application_9_1" / "events_1_application_9_1.lz4").touch()
    (tmp_path / "eventlog_v2_empty").mkdir()
    (tmp_path / "some folder").mkdir()
    assert [Path(log.name).name for log in find([tmp_path])] == [
        "application_1_2_1.zstd",
        "eventlog_v2_application_9_1",
        "local-1",
    ]


def test_lines_of_a_packed_log_are_those_of_the_plain_one(packed: Path, plain_log: Path) -> None:
    file, position, found = LogFile(packed / "log.snappy"), 0, b""
    while (stretch := read_lines(file, position, head=position == 0, in_long_line=False)) is not None:
        found += stretch.lines[: stretch.end - stretch.start]
        position = stretch.end
    assert found == plain_log.read_bytes()
