"""`afterglow ingest`: journals and Spark event logs into the store, once."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import click

from afterglow_monitor import format as fmt
from afterglow_monitor.cli.common import opened, plain_errors
from afterglow_monitor.cli.spark import find_spark_submit
from afterglow_monitor.clock import now_ms
from afterglow_monitor.collecting import backfill
from afterglow_store import Ingested, Store
from afterglow_store.event_logs import Place, exists, find, place
from afterglow_store.judge import give_up_silent_logs


@dataclass
class Done:
    """What one call took in, and what it did not."""

    took: Ingested = field(default_factory=Ingested)
    logs: int = 0
    refused: int = 0
    bytes: int = 0  # on disk, of the logs that are done with


def _existing(_context: click.Context, _argument: click.Parameter, names: tuple[str, ...]) -> list[Place]:
    with plain_errors():
        places = [place(name) for name in names]
        for each in places:
            if not exists(each):
                raise click.BadParameter(f"{str(each)!r} does not exist")
    return places


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...", callback=_existing)
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="How many read at once.")
@click.option("--spark", "master", metavar="MASTER", help="Read on the executors of this Spark, into PostgreSQL.")
@click.option("--without-tasks", is_flag=True, help="Skip the lines of single tasks: several times as fast.")
def ingest(paths: list[Place], processes: int, master: str | None, without_tasks: bool) -> None:
    """Take journals and Spark event logs into the store: those in each PATH, a folder such as spark.eventLog.dir or a
    single log, by default of the configured journal folders. URLs such as s3://bucket/logs need
    'afterglow[object-stores]'.

    Event logs may be of any Spark version, rolling or not, in any of its codecs, and may still be written. What is in
    the store already is not read again, so after Ctrl-C the same command goes on. Exits with 1 when a log was refused;
    the others are taken in. Without tasks, stages have what Spark adds up itself, but not how unequal their tasks were,
    how many failed, and what those cost that failed or ended late.
    """
    with opened() as (settings, store):
        folders = paths or [place(each) for each in settings.journal.folders]
        if master is None:
            done = _ingest(store, settings.store.url, folders, processes, with_tasks=not without_tasks)
        else:
            if store.engine.dialect.name != "postgresql":
                raise click.UsageError(f"--spark writes from many machines, into PostgreSQL; store.url is {store.url}")
            url = settings.store.url
            results = backfill.on_spark(find_spark_submit(), master, url, folders, with_tasks=not without_tasks)
            done = _tell_all(results, Done(), lambda done, passed: None)
        with store.write() as conn:
            give_up_silent_logs(conn, now=now_ms())
    click.echo(_summary(done))
    if done.refused:
        raise SystemExit(1)


def _ingest(store: Store, url: str, folders: list[Place], processes: int, *, with_tasks: bool) -> Done:
    logs = list(find(filter(exists, folders)))
    done = Done()
    with progress(sum(log.size for log in logs)) as tell:
        if processes == 1:
            taken = backfill.here(store, logs, lambda passed: tell(done, passed), with_tasks=with_tasks)
        else:
            taken = backfill.in_processes(url, logs, processes, with_tasks=with_tasks)
        return _tell_all(taken, done, tell)


def _tell_all(results: Iterable[backfill.Told], done: Done, tell: Callable[[Done, int], None]) -> Done:
    for name, size, result in results:
        if isinstance(result, Ingested):
            done.took += result
        else:
            done.refused += 1
            click.echo(f"Refused: {result}", err=True)
        if isinstance(result, Ingested) and result.unnamed:
            click.echo(f"Left alone: {name}: it names no application, or not yet", err=True)
        done.logs += 1
        done.bytes += size
        tell(done, 0)
    return done


@contextmanager
def progress(total: int) -> Iterator[Callable[[Done, int], None]]:
    """Shows on a terminal how much of `total` bytes is behind, how fast it goes and how long the rest will take. To be
    told what is done with, and how many bytes of the next log."""
    begun = time.monotonic()
    with click.progressbar(length=max(total, 1), file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:

        def tell(done: Done, passed: int) -> None:
            behind = done.bytes + passed
            rate = behind / max(time.monotonic() - begun, 0.001)
            bar.label = f"{done.logs:,} logs, {fmt.size(rate)}/s"
            bar.update(behind - bar.pos)

        yield tell


def _summary(done: Done) -> str:
    took = f"{done.took.lines:,} new lines ({done.took.bytes:,} bytes)"
    bad = f", {done.took.bad_lines:,} of them unreadable" if done.took.bad_lines else ""
    refused = f", {done.refused} refused" if done.refused else ""
    return f"{fmt.counted(done.logs, 'log')}: {took}{bad}{refused}"
