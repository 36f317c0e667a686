"""Backfilling many event logs while processes die, and on the executors of a Spark: `make matrix`."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from afterglow_store import Store, open_store
from afterglow_store.event_logs import find
from afterglow_store.event_logs.lots import LOT_BYTES
from afterglow_store.event_logs.tasks import TASK_END
from afterglow_store.schema import source
from tests.benchmarks.event_logs import packed, repeated
from tests.support.demo import Demo
from tests.support.ingesting import contents
from tests.support.parts import require
from tests.test_small_logs import of_application, one_by_one, small

LARGE_FILES = 7
pytestmark = [pytest.mark.matrix, pytest.mark.filterwarnings("default"), pytest.mark.timeout(1_200)]


@pytest.fixture(scope="module")
def log(demo: Demo) -> bytes:
    return small(demo)


def test_processes_that_are_killed_and_then_two_at_once_take_in_each_once(
    log: bytes, tmp_path: Path, store: Store, store_url: str
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    for number in range(100):
        (folder / f"local-{number:05}").write_bytes(of_application(log, number))
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    words = [sys.executable, "-c", SMALL_GROUPS, "ingest", "--processes", "1", str(folder)]
    environment = {**os.environ, "AFTERGLOW_HOME": str(home), "AFTERGLOW_STORE_URL": store_url}
    for _ in range(2):
        before = taken_in(store)
        with subprocess.Popen(words, env=environment) as process:
            try:
                wait_until_more(store, before)
            finally:
                process.send_signal(signal.SIGKILL)
    assert 0 < taken_in(store) < 100
    words[-2] = "2"
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("100 logs: ")
    assert contents(store) == one_by_one(list(find([folder])), f"sqlite:///{tmp_path / 'one-by-one.db'}")


SMALL_GROUPS = (
    "from afterglow_store import small_logs; small_logs.GROUP = 4; from afterglow_monitor.cli import main; main()"
)


def taken_in(store: Store) -> int:
    with store.read() as conn:
        return int(conn.scalar(sa.select(sa.func.count()).select_from(source)) or 0)


def wait_until_more(store: Store, before: int) -> None:
    deadline = time.monotonic() + 60
    while taken_in(store) == before:
        assert time.monotonic() < deadline, "nothing is taken in"
        time.sleep(0.002)


def test_the_executors_of_a_spark_leave_what_one_machine_does(
    log: bytes, demo: Demo, tmp_path: Path, postgres_url: str
) -> None:
    """Large logs and small ones, rolling ones of which one is split by file, and a broken one; then again, and what is
    new."""
    require("java")
    folder = logs_of_every_kind(log, demo, tmp_path / "logs")
    first = on_spark(postgres_url, tmp_path, folder)
    [first_log] = (tmp_path / "of-spark").iterdir()
    assert first.returncode == 1, first.stderr
    assert f"Refused: {folder / 'broken.lz4'}: no LZ4Block at byte 0" in first.stderr
    assert first.stdout.startswith("35 logs: ")
    with closing(open_store(postgres_url)) as store:
        assert contents(store) == one_by_one(list(find([folder])), f"sqlite:///{tmp_path / 'one-by-one.db'}")
    assert LARGE_FILES in [len(executors) for executors in tasks_of(first_log) if set(executors) == {"0", "1"}]
    again = on_spark(postgres_url, tmp_path, folder)
    assert again.stdout == "35 logs: 0 new lines (0 bytes), 1 refused\n"


def logs_of_every_kind(log: bytes, demo: Demo, folder: Path) -> Path:
    folder.mkdir()
    for number in range(30):
        (folder / f"local-{number:05}").write_bytes(of_application(log, number))
    for spark_log in demo.event_logs.iterdir():
        shutil.copy(spark_log, folder)
    roll(folder, 99, of_application(log, 99).splitlines(keepends=True), files=4)
    largest = max(demo.event_logs.iterdir(), key=lambda path: path.stat().st_size)
    repeated(largest, folder.parent / "large", (LARGE_FILES + 1) * LOT_BYTES // LARGE_FILES)
    large = of_application((folder.parent / "large").read_bytes(), 98).splitlines(keepends=True)
    packed_part = roll(folder, 98, large, files=LARGE_FILES)[2]
    packed(packed_part, packed_part.with_name(f"{packed_part.name}.zstd"))
    packed_part.unlink()
    (folder / "broken.lz4").write_bytes(b"LZ4Blink" * 100)
    return folder


def roll(folder: Path, number: int, lines: list[bytes], files: int) -> list[Path]:
    """As a rolling log, with whatever line at its files' ends."""
    rolling = folder / f"eventlog_v2_local-{number:05}"
    rolling.mkdir()
    paths = [rolling / f"events_{file + 1}_local-{number:05}" for file in range(files)]
    for file, path in enumerate(paths):
        path.write_bytes(b"".join(lines[len(lines) * file // files : len(lines) * (file + 1) // files]))
    return paths


def tasks_of(log: Path) -> list[list[str]]:
    """The executors of the tasks of each stage."""
    found = defaultdict[int, list[str]](list)
    for line in log.read_bytes().splitlines():
        if line.startswith(TASK_END):
            event = json.loads(line)
            found[event["Stage ID"]].append(event["Task Info"]["Executor ID"])
    return list(found.values())


def on_spark(url: str, home: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    conf = home / "conf"
    conf.mkdir(exist_ok=True)
    logs = home / "of-spark"
    logs.mkdir(exist_ok=True)
    said = {"spark.ui.enabled": False, "spark.driver.host": "127.0.0.1", "spark.eventLog.enabled": True}
    said |= {"spark.eventLog.dir": logs, "spark.eventLog.rolling.enabled": False, "spark.eventLog.compress": False}
    (conf / "spark-defaults.conf").write_text("".join(f"{key} {value}\n" for key, value in said.items()))
    words = [sys.executable, "-m", "afterglow_monitor.cli", "ingest", "--spark", "local-cluster[2,1,1024]", str(folder)]
    environment = {**os.environ, "AFTERGLOW_HOME": str(home), "AFTERGLOW_STORE_URL": url, "SPARK_CONF_DIR": str(conf)}
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=600)


def test_without_postgresql_it_says_what_is_missing(tmp_path: Path) -> None:
    done = on_spark(f"sqlite:///{tmp_path / 'store.db'}", tmp_path, tmp_path)
    assert done.returncode == 2
    assert "--spark writes from many machines, into PostgreSQL; store.url is sqlite" in done.stderr
