"""`afterglow up`: one command, two processes, neither of which outlives the other or stays dead."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from afterglow_monitor.running.up import Worker
from afterglow_store import Query, open_store, search_applications
from tests.support.journals import Journal
from tests.support.monitor import answers
from tests.support.tracking import free_port

START = 1_790_000_000_000


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def worker(afterglow_home: Path) -> Iterator[Worker]:
    running = Worker()
    running.start()
    yield running
    running.stop()


def test_a_worker_that_dies_is_started_again_and_goes_on(worker: Worker, afterglow_home: Path) -> None:
    first = worker.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: worker.pid not in (None, first))
    Journal(afterglow_home / "journal", "local-1", name="seen", start=START).end()
    url = f"sqlite:///{afterglow_home / 'store.db'}"

    def listed() -> bool:
        store = open_store(url)
        with store.read() as conn:
            found = search_applications(conn, Query()).total
        store.close()
        return found == 1

    until(listed)


def test_stopping_ends_the_worker_and_it_stays_ended(afterglow_home: Path) -> None:
    running = Worker()
    running.start()
    pid = running.pid
    assert pid is not None
    running.stop()
    assert running.pid is None
    assert not alive(pid)


def up(port: int, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "afterglow_monitor.cli", "up", "--port", str(port), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["told to stop", "killed"])
def test_when_the_server_goes_the_worker_goes_with_it(afterglow_home: Path, how: signal.Signals) -> None:
    port = free_port()
    server = up(port)
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}"))
        workers = children(server.pid)
        assert workers
        server.send_signal(how)
        server.communicate(timeout=20)
        until(lambda: not any(alive(pid) for pid in workers))
    finally:
        server.kill()
        server.communicate()


def test_a_port_that_is_taken_is_one_clear_line(afterglow_home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = up(port)
        _, errors = server.communicate(timeout=60)
    assert server.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in errors
    assert "Traceback" not in errors
