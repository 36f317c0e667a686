"""The worker: everything that Monitor needs done in the background. `afterglow up` starts and watches it."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from afterglow_monitor.clock import now_ms
from afterglow_monitor.collecting.journals import EventLogTail, Looking, ReceivedTail, Tail
from afterglow_monitor.running import logs
from afterglow_monitor.running.alerts import Alerts
from afterglow_monitor.running.background import RENEW_S, Job, Jobs
from afterglow_monitor.running.process_id import folder_id
from afterglow_monitor.settings import MlflowServer, Settings, load_settings
from afterglow_store import Store, open_store, tracking
from afterglow_store.alerts import drop_old
from afterglow_store.judge import judge
from afterglow_store.leases import drop_forsaken, listeners
from afterglow_store.received import drop_stale
from afterglow_store.retention import cut, prune

if TYPE_CHECKING:
    from afterglow_monitor.syncing.sync import ServerSync

logger = logging.getLogger(__name__)

JUDGE_S = 5
ALERTS_S = 10
PRUNE_FIRST_MIN = 10  # after the start, so that a server that is restarted every day prunes as well
SILENCE_S = 5
LATE_S = 60  # a pass that could not start in time is made late rather than left out


def main() -> None:
    """Work until SIGTERM, or until the parent that holds our standard input is gone."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if "--follow-parent" in sys.argv:
        threading.Thread(target=_stop_with_parent, args=(stop,), daemon=True).start()
    settings = load_settings()
    logs.start(settings, "worker")
    store = open_store(settings.store.url)
    jobs = Jobs(store)
    scheduler = schedule(store, settings, jobs)
    logger.info("worker %s: store %s, journals %s", os.getpid(), store.url, ", ".join(settings.journal.folders))
    scheduler.start()
    stop.wait()
    scheduler.shutdown(wait=False)
    jobs.release()
    store.close()
    # Threads may wait for a server that does not answer. Whatever they were at is in one transaction, or will be again.
    os._exit(0)


def schedule(store: Store, settings: Settings, jobs: Jobs | None = None) -> BackgroundScheduler:
    """A scheduler, not yet started, for all that is to be done, with a thread for each, so that a server that hangs
    holds up nothing else: journals in folders and those that the collector received, and Spark's event logs; who is
    silent, what is stale and what is old; each tracking server. Each is done here while `jobs` holds it.
    """
    jobs = jobs or Jobs(store)
    folders = len(settings.journal.folders) + len(settings.event_logs.folders)
    scheduler = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(7 + folders + 3 * len(settings.mlflow))},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": LATE_S},
        timezone="UTC",
    )
    _add_tails(scheduler, jobs, store, settings)
    _add_care(scheduler, jobs, store, settings)
    _add_syncs(scheduler, jobs, store, settings)
    scheduler.add_job(jobs.renew, "interval", seconds=RENEW_S, id="leases", next_run_time=datetime.now(UTC))
    return scheduler


def _add_tails(scheduler: BackgroundScheduler, jobs: Jobs, store: Store, settings: Settings) -> None:
    def looks(tail: Looking) -> tuple[int | None, int | None]:
        return tail.first_looked, tail.looked

    every = settings.journal.poll_seconds
    for folder in settings.journal.folders:
        make = partial(Tail, store, [folder])
        journals = jobs.add(f"journals {folder_id(folder)}", Job(f"journals {folder}", make, looks=looks))
        scheduler.add_job(journals.part(Tail.poll), "interval", seconds=every, id=f"journals {folder}")
    received = jobs.add("received", Job("journals received", partial(ReceivedTail, store), looks=looks))
    scheduler.add_job(received.part(ReceivedTail.poll), "interval", seconds=every, id="received")
    for folder in settings.event_logs.folders:
        logs_of = partial(EventLogTail, store, [folder])
        event_logs = jobs.add(f"event logs {folder_id(folder)}", Job(f"event logs {folder}", logs_of))
        seconds = settings.event_logs.poll_seconds
        scheduler.add_job(event_logs.part(EventLogTail.poll), "interval", seconds=seconds, id=f"event logs {folder}")


def _add_care(scheduler: BackgroundScheduler, jobs: Jobs, store: Store, settings: Settings) -> None:
    def add(name: str, do: Callable[[], object], **when: Any) -> None:
        job = jobs.add(name, Job(name, lambda: do))
        scheduler.add_job(job.part(lambda do, _: do()), "interval", id=name, **when)

    add("judge", lambda: judge_by_store(store, settings), seconds=JUDGE_S)
    if settings.alerts:
        alerts = jobs.add("alerts", Job("alerts", partial(Alerts, store, settings)))
        scheduler.add_job(alerts.part(Alerts.look_and_tell), "interval", seconds=ALERTS_S, id="alerts")
    add("stale", lambda: _drop_stale(store), hours=1)
    if settings.store.keep_days:
        add(
            "prune",
            lambda: prune_old(store, settings.store.keep_days),
            hours=24,
            next_run_time=datetime.now(UTC) + timedelta(minutes=PRUNE_FIRST_MIN),
        )


def _drop_stale(store: Store) -> None:
    drop_stale(store, now=now_ms())
    drop_forsaken(store)
    drop_old(store)


def _add_syncs(scheduler: BackgroundScheduler, jobs: Jobs, store: Store, settings: Settings) -> None:
    with store.write() as conn:
        for server in settings.mlflow:
            tracking.know_server(conn, server.name, server.uri, list(server.aliases))
    for server in settings.mlflow:
        job = jobs.add(f"sync {server.name}", Job(f"sync {server.name}", partial(_sync, store, server, settings)))
        seconds = settings.sync.interval_seconds
        parts = {
            "sync": (job.part(lambda sync, now: sync.tick(now)), seconds),
            "files": (job.part(lambda sync, now: sync.list_files(now), timed=False), seconds),
            "silence": (job.part(lambda sync, now: sync.note_silence(now), timed=False), SILENCE_S),
        }
        for what, (part, every) in parts.items():
            scheduler.add_job(part, "interval", seconds=every, id=f"{what} {server.name}")


def _sync(store: Store, server: MlflowServer, settings: Settings) -> ServerSync:
    from afterglow_monitor.syncing.sync import ServerSync  # noqa: PLC0415 - MLflow takes seconds to import

    return ServerSync(store, server, settings.sync, [each.name for each in settings.mlflow])


def judge_by_store(store: Store, settings: Settings) -> None:
    """`judge_silence`, by the journals that any process has looked at. Those that nobody has looked at for long are of
    a server that was taken away: nobody waits for them."""
    with store.read() as conn:
        rows = listeners(conn)
    if rows:
        judge_silence(store, settings, *(Looking(row["first_looked"], row["looked"]) for row in rows))


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
