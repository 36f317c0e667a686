"""`afterglow snapshots`, `snapshot`, `diff`: what runs were, and what has changed since."""

from __future__ import annotations

from typing import Any

import click
import orjson
import sqlalchemy as sa

from afterglow_monitor.cli.common import opened
from afterglow_monitor.public import iso, public_change, public_snapshot
from afterglow_monitor.table import draw
from afterglow_store import diff as differences
from afterglow_store import snapshots as kept
from afterglow_store.items import application_by_app_id, experiment_by_name, run_by_id

NOW = "now"


class SnapshotId(click.ParamType[int | None]):
    """A snapshot by its number; `now` is the run as it is."""

    name = "snapshot"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        if value == NOW:
            return None
        if not value.isdecimal():
            self.fail(f"{value!r} is neither the number of a snapshot nor {NOW}", param, ctx)
        return int(value)


@click.command()
@click.option("--run", "run_id", help="Of this run.")
@click.option("--experiment", help="Of all runs of this experiment: its id or its name.")
@click.option("--app", help="That this application left: its Spark id.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="At most this many.")
@click.option("--offset", default=0, type=click.IntRange(0), help="Leave out this many of the newest.")
@click.option("--json", "as_json", is_flag=True, help="An array of objects; times in ISO 8601, UTC.")
def snapshots(
    run_id: str | None, experiment: str | None, app: str | None, limit: int, offset: int, as_json: bool
) -> None:
    """List snapshots, newest first, by default of everything. `afterglow snapshot ID` shows one."""
    with opened() as (_, store), store.read() as conn:
        of = _asked(conn, run_id, experiment, app)
        rows = [public_snapshot(row) for row in kept.listed(conn, of, limit=limit, offset=offset)]
    if as_json:
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
    elif not rows:
        click.echo("No snapshot.")
    else:
        click.echo(draw(rows, ("id", "run_id", "run_name", "taken_time", "cause", "app_id", "content_bytes")))


def _asked(conn: sa.Connection, run_id: str | None, experiment: str | None, app: str | None) -> kept.Of:
    """Raises NotFound for a name that the store does not have: an empty list would look like an answer."""
    if run_id is not None and not kept.snapshots_of(conn, "run", run_id):
        run_by_id(conn, run_id)
    application_id = application_by_app_id(conn, app)["id"] if app is not None else None
    return kept.Of(run_id, experiment_by_name(conn, experiment) if experiment is not None else None, application_id)


@click.command()
@click.argument("snapshot_id", type=click.IntRange(1), metavar="ID")
def snapshot(snapshot_id: int) -> None:
    """Show a run as it was when this snapshot was taken, as JSON."""
    with opened() as (_, store), store.read() as conn:
        row = kept.by_id(conn, snapshot_id)
    head = {"id": row["id"], "run_id": row["item_id"], "taken_time": iso(row["taken_time"]), "cause": row["cause"]}
    click.echo(orjson.dumps({**head, "content": row["content"]}, option=orjson.OPT_INDENT_2))


@click.command()
@click.argument("before", type=click.IntRange(1), metavar="ID")
@click.argument("after", type=SnapshotId(), default=NOW, metavar="[ID|now]")
@click.option("--json", "as_json", is_flag=True, help="An array of objects; times in ISO 8601, UTC.")
def diff(before: int, after: int | None, as_json: bool) -> None:
    """Show what changed from one snapshot to another, or from one to what its run is now."""
    with opened() as (_, store), store.read() as conn:
        rows = [public_change(each) for each in differences.of_snapshots(conn, before, after)]
    if as_json:
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
    else:
        columns = ("change", "kind", "name", "before", "after")
        click.echo(draw(rows, columns) if rows else "Nothing has changed.")
