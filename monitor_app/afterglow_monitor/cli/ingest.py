"""`afterglow ingest`: journals and Spark event logs into the store, once."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

from afterglow_monitor import format as fmt
from afterglow_monitor.cli.common import opened
from afterglow_monitor.clock import now_ms
from afterglow_store import Ingested, Store, ingest_event_log, ingest_file
from afterglow_store.errors import SourceRefused
from afterglow_store.event_logs import EventLog, find
from afterglow_store.sources import FileSource


@dataclass
class Done:
    """What one call took in, and what it did not."""

    took: Ingested = field(default_factory=Ingested)
    logs: int = 0
    refused: int = 0
    bytes: int = 0  # on disk, of the logs that are done with


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path), metavar="[PATH]...")
def ingest(paths: tuple[Path, ...]) -> None:
    """Take journals and Spark event logs into the store: those in each PATH, a folder such as spark.eventLog.dir or a
    single log, by default of the configured journal folders.

    Event logs may be of any Spark version, rolling or not, in any of its codecs, and may still be written. What is in
    the store already is not read again, so after Ctrl-C the same command goes on. Exits with 1 when a log was refused;
    the others are taken in.
    """
    with opened() as (settings, store):
        folders = paths or tuple(Path(folder).expanduser() for folder in settings.journal.folders)
        logs = list(find(path.absolute() for path in folders if path.exists()))
        done = _ingest_all(store, logs)
    click.echo(_summary(done))
    if done.refused:
        raise SystemExit(1)


def _ingest_all(store: Store, logs: list[EventLog]) -> Done:
    done = Done()
    with _progress(sum(log.size for log in logs)) as tell:
        for log in logs:
            try:
                done.took += _ingest(store, log, lambda passed: tell(done, passed))
            except SourceRefused as exc:
                done.refused += 1
                click.echo(f"Refused: {exc}", err=True)
            except FileNotFoundError:
                continue  # Spark renames a log when it is done; its next call finds it
            done.logs += 1
            done.bytes += log.size
            tell(done, 0)
    return done


def _ingest(store: Store, log: EventLog, progress: Callable[[int], None]) -> Ingested:
    if FileSource(log.parts[0]).journal is not None:
        return ingest_file(store, log.parts[0], now=now_ms())
    return ingest_event_log(store, log, now=now_ms(), progress=progress)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Done, int], None]]:
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
