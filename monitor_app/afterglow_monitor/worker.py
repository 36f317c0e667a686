"""The worker: everything that Monitor needs done in the background. `afterglow up` starts and watches it."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading

from apscheduler.schedulers.blocking import BlockingScheduler

from afterglow_monitor.clock import now_ms
from afterglow_monitor.journals import Tail
from afterglow_monitor.settings import Settings, load_settings
from afterglow_store import Store, open_store

logger = logging.getLogger(__name__)

LATE_S = 60  # a pass that could not start in time is made late rather than left out


def main() -> None:
    """Work until SIGTERM, or until the parent that holds our standard input is gone."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    settings = load_settings()
    store = open_store(settings.store.url)
    scheduler = schedule(store, settings)
    signal.signal(signal.SIGTERM, lambda *_: _stop_soon(scheduler))
    signal.signal(signal.SIGINT, lambda *_: _stop_soon(scheduler))
    if "--follow-parent" in sys.argv:
        threading.Thread(target=_stop_with_parent, args=(scheduler,), daemon=True).start()
    logger.info("worker %s: store %s, journals %s", os.getpid(), store.url, ", ".join(settings.journal.folders))
    scheduler.start()
    store.close()


def schedule(store: Store, settings: Settings) -> BlockingScheduler:
    """A scheduler, not yet started, with one job for the journals and one for each tracking server."""
    scheduler = BlockingScheduler(
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": LATE_S},
        timezone="UTC",
    )
    tail = Tail(store, settings.journal.folders)
    scheduler.add_job(lambda: tail.poll(now_ms()), "interval", seconds=settings.journal.poll_seconds, id="journals")
    for server in settings.mlflow:
        from afterglow_monitor.sync import ServerSync  # noqa: PLC0415 - MLflow takes seconds to import

        sync = ServerSync(store, server, settings.sync)
        scheduler.add_job(
            lambda sync=sync: sync.poll(now_ms()),
            "interval",
            seconds=settings.sync.interval_seconds,
            id=f"sync {server.name}",
        )
    return scheduler


def _stop_soon(scheduler: BlockingScheduler) -> None:
    # In a thread of its own: shutdown waits for the running passes, which a signal handler must not.
    threading.Thread(target=scheduler.shutdown, daemon=True).start()


def _stop_with_parent(scheduler: BlockingScheduler) -> None:
    sys.stdin.buffer.read()
    logger.info("the server is gone: the worker stops")
    scheduler.shutdown()


if __name__ == "__main__":
    main()
