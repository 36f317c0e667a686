"""`afterglow settle`."""

from __future__ import annotations

import getpass

import click

from afterglow_monitor.cli.common import opened
from afterglow_monitor.clock import now_ms
from afterglow_monitor.errors import CannotSettle
from afterglow_monitor.public import iso
from afterglow_monitor.writing import clients
from afterglow_monitor.writing.settle import STATUSES, Settler, orphaned
from afterglow_store.errors import NotFound


@click.command()
@click.argument("run_ids", nargs=-1, metavar="[RUN_ID]...")
@click.option("--status", type=click.Choice(STATUSES, case_sensitive=False), default="FAILED", show_default=True)
@click.option("--dry-run", is_flag=True, help="Only show what would be written.")
@click.option("--undo", is_flag=True, help="Take the last settling of these runs back.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def settle(run_ids: tuple[str, ...], status: str, dry_run: bool, undo: bool, yes: bool) -> None:
    """Write into MLflow what became of orphaned runs: of each RUN_ID, by default of all.

    A run is ORPHANED when MLflow says RUNNING and the process that owned it is gone. Settling sets its status and the
    tag afterglow.settled, and keeps who did it and what it was before; --undo takes it back.
    Exits with 1 when a run could not be settled; the others are.
    """
    with opened() as (settings, store):
        if undo and not run_ids:
            raise click.UsageError("name the runs whose settling to undo")
        found = {row["run_id"]: row for row in orphaned(store)}
        chosen = list(run_ids or found)
        if not chosen:
            click.echo("No run is orphaned.")
            return
        for run_id in chosen:
            row = found.get(run_id, {})
            since = f", started {iso(row['start_time'])}: {row['status_reason']}" if row else ""
            click.echo(f"{run_id}  {row.get('name') or ''}{since}")
        what = "be set back to RUNNING" if undo else f"become {status}"
        if dry_run:
            click.echo(f"{len(chosen)} runs would {what}. Nothing was written.")
            return
        if not yes:
            click.confirm(f"{len(chosen)} runs will {what} in MLflow. Go on?", abort=True)
        settler = Settler(store, getpass.getuser(), clients(settings))
        failed = [run_id for run_id in chosen if not _settle_one(settler, run_id, None if undo else status)]
    if failed:
        raise SystemExit(1)


def _settle_one(settler: Settler, run_id: str, status: str | None) -> bool:
    """`status` None undoes."""
    try:
        row = settler.undo(run_id, now=now_ms()) if status is None else settler.settle(run_id, status, now=now_ms())
    except (CannotSettle, NotFound) as exc:
        click.echo(f"{run_id}: {exc}", err=True)
        return False
    click.echo(f"{run_id}: {row['status']}")
    return True
