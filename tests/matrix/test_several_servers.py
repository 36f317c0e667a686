"""Several servers on one PostgreSQL: killed at random moments, they lose and double nothing."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from afterglow.collector import Collector, NotSent
from afterglow_monitor.clock import now_ms
from afterglow_store import Store, ingest_file, ingest_received, leases, open_store
from afterglow_store.received import Chunk, receive
from afterglow_store.schema import source
from tests.support.ingesting import contents
from tests.support.journals import Journal, run_id_of
from tests.support.tracking import free_port

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(900)]

KILLS = int(os.environ.get("AFTERGLOW_KILLS", "50"))
PIECES = 60  # of each journal
JOURNALS = 12  # half of them in a folder that both servers see, half sent to whichever answers
START = 1_790_000_000_000
HAND_OVER_SECONDS = 30
PATHS = ("/", "/_stcore/health", "/readyz", "/metrics", "/api/v1/runs/export?format=json&window=all")


class Servers:
    """Two `afterglow up`, and what kills them. Whichever is gone is started again, as systemd does."""

    def __init__(self, home: Path, store_url: str) -> None:
        self.ports = [free_port(), free_port()]
        self._log = (home / "log").open("wb")
        self._environment = {**os.environ, "AFTERGLOW_HOME": str(home), "AFTERGLOW_STORE_URL": store_url}
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Those that do not run."""
        for port in self.ports:
            if port not in self._running or self._running[port].poll() is not None:
                command = [sys.executable, "-m", "afterglow_monitor.cli", "up", "--port", str(port)]
                self._running[port] = subprocess.Popen(
                    command, env=self._environment, stdout=self._log, stderr=self._log
                )

    def kill_one(self, chance: random.Random) -> None:
        """A server, or a worker of one."""
        victims = [process.pid for process in self._running.values() if process.poll() is None]
        victims += [child for pid in victims for child in _children(pid)]
        if victims:
            _kill(chance.choice(sorted(victims)))
        for process in self._running.values():
            process.poll()

    def stop(self) -> None:
        for process in self._running.values():
            for pid in (*_children(process.pid), process.pid):
                _kill(pid)
            process.wait(30)
        self._log.close()


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


class Traffic:
    """Journals that grow and are sent, and pages that are asked for, all the while."""

    def __init__(self, journals: list[Path], folder: Path, ports: list[int], chance: random.Random) -> None:
        self.answered, self.wrong = 0, list[str]()
        self._may_go_on = threading.Semaphore(0)
        self._hurry = threading.Event()  # the rest is written at once
        self._over = threading.Event()
        self._ports, self._chance = ports, chance
        half = len(journals) // 2
        self._writers = [threading.Thread(target=self._grow, args=(journals[:half], folder))]
        self._writers += [threading.Thread(target=self._send, args=(path,)) for path in journals[half:]]
        self._browser = threading.Thread(target=self._browse)

    def start(self) -> None:
        for thread in (*self._writers, self._browser):
            thread.start()

    def go_on(self) -> None:
        """Write, or send, some pieces more: of all there are, a share for each kill."""
        self._may_go_on.release(PIECES * JOURNALS // (KILLS + 1))

    def finish(self) -> None:
        """Wait until all is written and sent."""
        self._hurry.set()
        for thread in self._writers:
            thread.join(200)
            assert not thread.is_alive()
        self._over.set()
        self._browser.join(60)

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        size = len(data) // PIECES + 1
        for at in range(0, len(data), size):
            while not self._hurry.is_set() and not self._may_go_on.acquire(timeout=0.1):
                pass
            yield data[at : at + size]

    def _grow(self, journals: list[Path], folder: Path) -> None:
        parts = [(folder / path.name, self._pieces(path.read_bytes())) for path in journals]
        while parts:
            at = self._chance.randrange(len(parts))
            piece = next(parts[at][1], None)
            if piece is None:
                del parts[at]
                continue
            with parts[at][0].open("ab") as file:
                file.write(piece)

    def _send(self, path: Path) -> None:
        data, position, target = path.read_bytes(), 0, 0
        for piece in self._pieces(data):
            target += len(piece)
            while position < target:
                port = self._chance.choice(self._ports)
                try:
                    position = Collector(f"http://127.0.0.1:{port}").put(path.stem, position, data[position:target], 5)
                except NotSent:
                    time.sleep(0.1)

    def _browse(self) -> None:
        while not self._over.is_set():
            port, path = self._chance.choice(self._ports), self._chance.choice(PATHS)
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                    body = answer.read()
            except (OSError, ValueError, EOFError):
                time.sleep(0.05)
                continue
            except Exception as exc:  # noqa: BLE001 - http.client's own, of an answer that was cut off
                self.wrong += [] if type(exc).__module__ == "http.client" else [repr(exc)]
                continue
            self.answered += 1
            if "export" in path:
                run_ids = [row["run_id"] for row in json.loads(body)]
                self.wrong += [f"doubled: {run_ids}"] if len(run_ids) != len(set(run_ids)) else []


def written(folder: Path, number: int) -> Path:
    """An application with three runs, each of some jobs."""
    journal = Journal(folder, f"app-{number}", name=f"train {number}", start=START + number * 1_000).executors(3)
    for run in range(3):
        made = journal.run_start(run_id_of(f"{number} {run}"), f"run {run}", params={"depth": str(run)})
        for job in range(6):
            journal.job(made["run_id"], seconds=2, error="no room" if job == run == 1 else None)
        journal.run_end(made, metrics={"rmse": 0.1 * run})
    return journal.end()


def positions(store: Store) -> int:
    with store.read() as conn:
        return int(conn.scalar(sa.select(sa.func.coalesce(sa.func.sum(source.c.position), 0))) or 0)


def until_all_is_in(store: Store, size: int) -> None:
    """So many bytes."""
    deadline = time.monotonic() + 200
    while positions(store) < size:
        assert time.monotonic() < deadline, f"{positions(store)} of {size} bytes are in the rows"
        time.sleep(0.1)


def test_two_servers_survive_fifty_kills_under_ingest_and_browsing(postgres_url: str, tmp_path: Path) -> None:
    seed = int(os.environ.get("AFTERGLOW_SEED", random.randrange(1_000_000)))
    print("AFTERGLOW_SEED", seed)
    chance = random.Random(seed)
    home, shared = tmp_path / "server", tmp_path / "shared"
    home.mkdir()
    shared.mkdir()
    (home / "afterglow.toml").write_text(f'[journal]\nfolders = ["{shared}"]\n')
    journals = [written(tmp_path / "written", number) for number in range(JOURNALS)]
    size = sum(path.stat().st_size for path in journals)
    with closing(open_store(postgres_url)) as store, ExitStack() as stack:
        servers = Servers(home, postgres_url)
        stack.callback(servers.stop)
        servers.start()
        traffic = Traffic(journals, shared, servers.ports, chance)
        traffic.start()
        stack.callback(traffic.finish)
        for _ in range(KILLS):
            before = positions(store)
            traffic.go_on()
            until_all_is_in(store, before + 1)
            time.sleep(chance.uniform(0, 0.3))
            servers.kill_one(chance)
            servers.start()
        assert positions(store) < size, "all was in the rows before the last kill"
        traffic.finish()
        until_all_is_in(store, size)
        servers.stop()
        assert traffic.wrong == []
        assert traffic.answered > 0
        killed, once = contents(store), clean(journals, tmp_path)
    for table, rows in once.items():
        assert killed[table] == rows, table
    assert (len(once["application"]), len(once["run"]), len(once["job"])) == (JOURNALS, 3 * JOURNALS, 18 * JOURNALS)


def clean(journals: list[Path], tmp_path: Path) -> dict[str, list[tuple[object, ...]]]:
    """What one ingest of all of them leaves that nobody disturbs."""
    half = len(journals) // 2
    with closing(open_store(f"sqlite:///{tmp_path / 'clean.db'}")) as store:
        for path in journals[:half]:
            ingest_file(store, path, now=now_ms())
        for path in journals[half:]:
            data = path.read_bytes()
            receive(store, path.stem, Chunk(0, len(data), "identity", data), now=now_ms())
            ingest_received(store, path.stem, now=now_ms())
        return contents(store)


@contextmanager
def worker(home: Path, store_url: str) -> Iterator["subprocess.Popen[bytes]"]:
    environment = {**os.environ, "AFTERGLOW_HOME": str(home), "AFTERGLOW_STORE_URL": store_url}
    process = subprocess.Popen(
        [sys.executable, "-m", "afterglow_monitor.running.worker"], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


def until_held(store: Store, by: str | None, seconds: float) -> None:
    """All background jobs, by a process whose name has this in it; None: by any."""
    deadline = time.monotonic() + seconds
    while True:
        with store.read() as conn:
            jobs = leases.jobs(conn)
        if len(jobs) > 3 and all(job["held"] and (by is None or by in job["holder"]) for job in jobs):
            return
        assert time.monotonic() < deadline, jobs
        time.sleep(0.1)


def test_what_a_killed_worker_did_another_does_within_half_a_minute(postgres_url: str, tmp_path: Path) -> None:
    with closing(open_store(postgres_url)) as store, worker(tmp_path, postgres_url) as first:
        until_held(store, f"/{first.pid}/", 120)
        with worker(tmp_path, postgres_url) as second:
            first.send_signal(signal.SIGKILL)
            first.wait(30)
            until_held(store, f"/{second.pid}/", 120)  # it is still being started
            assert second.poll() is None


def test_what_a_machine_that_vanished_did_another_does_within_half_a_minute(postgres_url: str, tmp_path: Path) -> None:
    with closing(open_store(postgres_url)) as store, worker(tmp_path, postgres_url) as process:
        until_held(store, None, 120)
        with store.write() as conn:  # as if all of it were held by a machine that is now gone
            conn.execute(sa.text("UPDATE background_job SET holder = 'far/boot:pid:[1]/7/7', until = until + 5000"))
        gone = now_ms()
        until_held(store, f"/{process.pid}/", HAND_OVER_SECONDS)
        assert now_ms() - gone > 5_000  # it was not taken away from who may be alive
