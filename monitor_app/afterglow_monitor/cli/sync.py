"""`afterglow sync`."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import click

from afterglow_monitor.cli.common import opened
from afterglow_monitor.clock import now_ms
from afterglow_monitor.public import iso
from afterglow_monitor.settings import Settings
from afterglow_store import Store, tracking

if TYPE_CHECKING:
    from afterglow_monitor.syncing.sync import ServerSync

BAR = 30  # characters


@click.command()
@click.option("--status", is_flag=True, help="Show how far each server is, and read nothing.")
def sync(status: bool) -> None:
    """Read the configured MLflow servers into the store once. Exits with 1 when one of them did not answer.

    At first that is all their runs, the newest first; killed, it goes on where it was.
    """
    with opened() as (settings, store):
        if not settings.mlflow:
            raise click.ClickException(
                "no tracking server is configured: add [[mlflow]] to afterglow.toml, or set MLFLOW_TRACKING_URI"
            )
        if status:
            _show_servers(store)
            return
        changed = _sync_all(store, settings)
        with store.read() as conn:
            errors = {row["name"]: row["last_error"] for row in tracking.servers(conn)}
    for name, count in changed.items():
        click.echo(f"{name}: {errors[name] or f'{count:,} runs new or changed'}", err=errors[name] is not None)
    if any(errors[name] for name in changed):
        raise SystemExit(1)


def _sync_all(store: Store, settings: Settings) -> dict[str, int]:
    """How many runs changed, by server. Each has a thread: one that hangs does not keep the others waiting."""
    from afterglow_monitor.syncing.sync import ServerSync  # noqa: PLC0415 - MLflow takes a second to import

    names = [each.name for each in settings.mlflow]
    with ThreadPoolExecutor(len(names)) as threads:
        syncs = {each.name: ServerSync(store, each, settings.sync, names) for each in settings.mlflow}
        found = {name: threads.submit(_sync_whole, each) for name, each in syncs.items()}
        return {name: each.result() for name, each in found.items()}


def _sync_whole(sync: ServerSync) -> int:
    """A pass; before the first load is over, as many as it takes."""
    began, had = time.monotonic(), sync.progress[0]
    changed = sync.poll(now_ms())
    while not sync.loaded and sync.error is None:
        loaded, total = sync.progress
        _show_load(sync.server.name, loaded=loaded, total=total, runs=loaded - had, seconds=time.monotonic() - began)
        changed += sync.poll(now_ms())
    return changed


def _show_load(name: str, *, loaded: int, total: int | None, runs: int, seconds: float) -> None:
    """`seconds` it took for the `runs` of them that were loaded now."""
    line = f"{name}: {load_line(loaded, total)}, {(rate := runs / seconds):,.0f} runs/s"
    if total and rate:
        line += f", {max(0, total - loaded) / rate:,.0f} s left"
    on_terminal = sys.stderr.isatty()
    click.echo(f"\r\x1b[K{line}" if on_terminal else line, err=True, nl=not on_terminal)


def _show_servers(store: Store) -> None:
    with store.read() as conn:
        rows = tracking.servers(conn)
    for row in rows:
        click.echo(f"{row['name']} ({row['uri']})")
        for line in server_lines(row):
            click.echo(f"  {line}")


def server_lines(row: dict[str, Any]) -> list[str]:
    """How sync is with a tracking server, from a row of `tracking.servers`."""
    lines = [f"read       {iso(row['last_sync_time']) or 'never'}"]
    if row["last_error"] is not None:
        lines.append(f"trouble    {row['last_error']} ({iso(row['last_error_time'])})")
    if row["loaded_time"] is None:
        lines.append(f"first load {load_line(row['loaded_runs'] or 0, row['total_runs'])}")
        return lines
    lines.append(f"first load {row['loaded_runs'] or 0:,} runs, done {iso(row['loaded_time'])}")
    whole = (
        "none was completed yet" if row["sweep_ms"] is None else f"the last one took {row['sweep_ms'] / 1000:,.1f} s"
    )
    at = "" if row["sweep_until"] is None else f"; now at the runs of {iso(row['sweep_until'])}"
    return [*lines, f"sweep      through all runs: {whole}{at}"]


def load_line(loaded: int, total: int | None) -> str:
    """How far the first load is; a bar where it is known of how many runs."""
    if not total:
        return f"{loaded:,} runs"
    done = int(BAR * min(1.0, loaded / total))
    return f"[{'#' * done}{'.' * (BAR - done)}] {loaded:,} of {total:,} runs"
