"""The first load alone, in a module that imports no more than the worker does: its memory is measured."""

import re
import resource
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from afterglow_monitor.clock import now_ms
from afterglow_monitor.settings import MlflowServer, SyncSettings
from afterglow_monitor.syncing.sync import ServerSync
from afterglow_store import Query, Store, open_store, search_runs

PASSES = 20
Figures = dict[str, float]


def load_all(store: Store, server: MlflowServer) -> ServerSync:
    """The whole first load."""
    sync = ServerSync(store, server, SyncSettings())
    while not sync.loaded:
        sync.read(now_ms())
        assert sync.error is None, sync.error
    return sync


def load(server: MlflowServer, store_url: str) -> Figures:
    """The first load into an empty store, then passes with nothing new. In a process of its own, for its memory,
    with that of the process which reads for it."""
    with closing(open_store(store_url)) as store:
        sync = ServerSync(store, server, SyncSettings())
        started, cpu = time.perf_counter(), time.process_time()
        memory_mb = 0.0
        while not sync.loaded:
            sync.read(now_ms())
            assert sync.error is None, sync.error
            memory_mb = max(memory_mb, _most_mb("self") + _children_mb())  # at its end, the reader is gone
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
        reader = resource.getrusage(resource.RUSAGE_CHILDREN)
        sync.read(now_ms())  # what is recent is read again
        passes = [_timed(lambda: sync.read(now_ms())) for _ in range(PASSES)]
        with store.read() as conn:
            assert search_runs(conn, Query(limit=1)).rows
    return {
        "runs": sync.progress[0],
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "reader_cpu_seconds": reader.ru_utime + reader.ru_stime,
        "pass_ms": sorted(passes)[PASSES // 2] * 1_000,
        "memory_mb": memory_mb,
    }


def _children_mb() -> float:
    """The most memory that the processes which work for this one have had."""
    listed = [each.read_text().split() for each in Path("/proc/self/task").glob("*/children")]
    return sum(_most_mb(child) for children in listed for child in children)


def _most_mb(pid: str) -> float:
    """Not from getrusage: there a process that was started has had the memory of the one that started it."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1_024 if found else 0.0


def _timed(task: Callable[[], object]) -> float:
    started = time.perf_counter()
    task()
    return time.perf_counter() - started
