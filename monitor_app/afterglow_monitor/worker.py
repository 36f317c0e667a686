"""The worker: everything that Monitor needs done in the background. `afterglow up` starts and watches it."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from afterglow_monitor.clock import now_ms
from afterglow_monitor.journals import EventLogTail, Looking, ReceivedTail, Tail
from afterglow_monitor.settings import Settings, load_settings
from afterglow_store import Store, open_store
from afterglow_store.judge import judge
from afterglow_store.received import drop_stale
from afterglow_store.retention import cut, prune

if TYPE_CHECKING:
    from afterglow_monitor.sync import ServerSync

logger = logging.getLogger(__name__)

JUDGE_S = 5
PRUNE_FIRST_MIN = 10  # after the start, so that a server that is restarted every day prunes as well
PRUNE_JITTER_S = 600
SILENCE_S = 5
LATE_S = 60  # a pass that could not start in time is made late rather than left out


def main() -> None:
    """Work until SIGTERM, or until the parent that holds our standard input is gone."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # each second that a pass takes longer is a warning
    logging.getLogger("alembic").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if "--follow-parent" in sys.argv:
        threading.Thread(target=_stop_with_parent, args=(stop,), daemon=True).start()
    settings = load_settings()
    store = open_store(settings.store.url)
    scheduler = schedule(store, settings)
    logger.info("worker %s: store %s, journals %s", os.getpid(), store.url, ", ".join(settings.journal.folders))
    scheduler.start()
    stop.wait()
    scheduler.shutdown(wait=False)
    store.close()
    # Threads may wait for a server that does not answer. Whatever they were at is in one transaction, or will be again.
    os._exit(0)


def schedule(store: Store, settings: Settings) -> BackgroundScheduler:
    """A scheduler, not yet started, with one job for the journals in folders, one for those that the collector received
    and one for Spark's event logs, one that judges their silence, those that drop what is stale and prune what is old,
    and some for each tracking server: with a thread for each job, so that a server that hangs holds up nothing else.
    """
    scheduler = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(6 + 3 * len(settings.mlflow))},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": LATE_S},
        timezone="UTC",
    )
    tails: dict[str, Tail | ReceivedTail] = {
        "journals": Tail(store, settings.journal.folders),
        "received": ReceivedTail(store),
    }
    for name, tail in tails.items():
        scheduler.add_job(_timed(tail.poll), "interval", seconds=settings.journal.poll_seconds, id=name)
    if settings.event_logs.folders:
        event_logs = EventLogTail(store, settings.event_logs.folders)
        scheduler.add_job(
            _timed(event_logs.poll), "interval", seconds=settings.event_logs.poll_seconds, id="event logs"
        )
    scheduler.add_job(lambda: judge_silence(store, settings, *tails.values()), "interval", seconds=JUDGE_S, id="judge")
    scheduler.add_job(lambda: drop_stale(store, now=now_ms()), "interval", hours=1, id="stale")
    if settings.store.keep_days:
        scheduler.add_job(
            lambda: prune_old(store, settings.store.keep_days),
            "interval",
            hours=24,
            jitter=PRUNE_JITTER_S,  # several servers on one store need not all begin at once
            next_run_time=datetime.now(UTC) + timedelta(minutes=PRUNE_FIRST_MIN),
            id="prune",
        )
    for sync in _syncs(store, settings):
        for what, job in (("sync", sync.tick), ("files", sync.list_files), ("silence", sync.note_silence)):
            seconds = SILENCE_S if what == "silence" else settings.sync.interval_seconds
            scheduler.add_job(_timed(job), "interval", seconds=seconds, id=f"{what} {sync.server.name}")
    return scheduler


def _syncs(store: Store, settings: Settings) -> list[ServerSync]:
    if not settings.mlflow:
        return []
    from afterglow_monitor.sync import ServerSync  # noqa: PLC0415 - MLflow takes seconds to import

    others = [each.name for each in settings.mlflow]
    return [ServerSync(store, server, settings.sync, others) for server in settings.mlflow]


def _timed(job: Callable[[int], object]) -> Callable[[], None]:
    def run() -> None:
        job(now_ms())

    return run


def judge_silence(store: Store, settings: Settings, *tails: Looking) -> None:
    """By the journals as they were at the tails' last complete pass: one that takes minutes makes nobody silent."""
    looked = [each.looked for each in tails if each.looked is not None]
    first_looked = [each.first_looked for each in tails if each.first_looked is not None]
    if len(looked) < len(tails):
        return
    grace_ms = int(settings.status.grace_seconds * 1000)
    with store.write() as conn:
        judge(conn, now=min(looked), server_started=max(first_looked), grace_ms=grace_ms)


def prune_old(store: Store, keep_days: float) -> None:
    now = now_ms()
    before = cut(now, keep_days)
    if before is None:
        return
    counts = prune(store, before, now=now)
    if counts:
        logger.info("pruned what is older than %g days: %s", keep_days, counts)


def _stop_with_parent(stop: threading.Event) -> None:
    # Not through sys.stdin: the lock of its buffer would be held by this thread while the interpreter ends.
    while os.read(sys.stdin.fileno(), 1):
        pass
    logger.info("the server is gone: the worker stops")
    stop.set()


if __name__ == "__main__":
    main()
