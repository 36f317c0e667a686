"""`afterglow prune`."""

from __future__ import annotations

import getpass
from dataclasses import asdict

import click

from afterglow_monitor.cli.common import opened
from afterglow_monitor.clock import now_ms
from afterglow_monitor.public import iso
from afterglow_store import Store, audit, retention


@click.command()
@click.option("--keep-days", type=click.FloatRange(0, min_open=True), help="Instead of store.keep_days.")
@click.option("--dry-run", is_flag=True, help="Only show what would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def prune(keep_days: float | None, dry_run: bool, yes: bool) -> None:
    """Delete applications, runs and their snapshots that are older than store.keep_days, as `afterglow up` does every
    day.

    Only what Afterglow remembers is deleted, nothing in MLflow. Runs that were pruned are not read from MLflow again.
    """
    with opened() as (settings, store):
        now = now_ms()
        before = retention.cut(now, settings.store.keep_days if keep_days is None else keep_days)
        if before is None:
            click.echo("store.keep_days is 0: everything is kept. --keep-days prunes all the same.")
            return
        with store.read() as conn:
            counts = retention.would_prune(conn, before)
        click.echo(f"Older than {iso(before)}: {shown(counts)}")
        if dry_run or not counts:
            click.echo("Nothing was deleted.")
            return
        if not yes:
            click.confirm("Delete them from Afterglow's store?", abort=True)
        click.echo(f"Deleted: {shown(_prune(store, before, now))}")


def _prune(store: Store, before: int, now: int) -> retention.Counts:
    """Unlike what `afterglow up` does by itself every day, it is somebody's doing: the audit has it."""
    asked = {"before": before}
    with store.write() as conn:
        entry = audit.begin(conn, who=getpass.getuser(), time=now, action=audit.PRUNE, run_id=audit.NO_RUN, asked=asked)
    counts = retention.prune(store, before, now=now)
    with store.write() as conn:
        audit.finish(conn, entry, action=audit.PRUNE, before={}, after=asked | asdict(counts))
    return counts


def shown(counts: retention.Counts) -> str:
    found = [f"{number:,} {name}" for name, number in asdict(counts).items() if number]
    return ", ".join(found) or "nothing"
