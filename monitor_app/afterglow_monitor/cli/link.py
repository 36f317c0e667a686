"""`afterglow link`."""

from __future__ import annotations

import getpass

import click

from afterglow_monitor.cli.common import opened
from afterglow_monitor.clock import now_ms
from afterglow_monitor.errors import CannotLink
from afterglow_monitor.writing import clients
from afterglow_monitor.writing.linking import Linker, application_named, suggestion_for, unlinked_run
from afterglow_store import Store
from afterglow_store.errors import NotFound
from afterglow_store.items import application_by_id

Plan = tuple[str, int, str]  # run id, the application's row id, why


@click.command()
@click.argument("run_ids", nargs=-1, required=True, metavar="RUN_ID...")
@click.option("--application", metavar="APP_ID", help="The application that these runs are of: its Spark id.")
@click.option("--suggested", is_flag=True, help="Link each run to the application that is suggested for it.")
@click.option("--dry-run", is_flag=True, help="Only show what would be written.")
@click.option("--undo", is_flag=True, help="Take the last linking of these runs back.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def link(
    run_ids: tuple[str, ...], application: str | None, suggested: bool, dry_run: bool, undo: bool, yes: bool
) -> None:
    """Say of which Spark application runs without a link are: `afterglow runs --unlinked` lists them.

    Writes spark.app.id and its companions onto the run in MLflow, and keeps who did it. The link's source is
    `inferred`. --undo takes it back. Exits with 1 when a run could not be linked; the others are.
    """
    if [application is not None, suggested, undo].count(True) != 1:
        raise click.UsageError("say one of --application APP_ID, --suggested and --undo")
    with opened() as (settings, store):
        failed = 0
        plans: list[Plan] = []
        for run_id in dict.fromkeys(run_ids):
            try:
                plans.append((run_id, 0, "") if undo else _plan(store, run_id, application))
            except (CannotLink, NotFound) as exc:
                failed += 1
                click.echo(f"{run_id}: {exc}", err=True)
        what = "lose the link that was made by hand" if undo else "be linked"
        if dry_run:
            click.echo(f"{len(plans)} runs would {what}. Nothing was written.")
        elif plans:
            if not yes:
                click.confirm(f"{len(plans)} runs will {what}, in MLflow and here. Go on?", abort=True)
            linker = Linker(store, getpass.getuser(), clients(settings))
            failed += [_done(linker, plan, undo=undo) for plan in plans].count(False)
    if failed:
        raise SystemExit(1)


def _plan(store: Store, run_id: str, application: str | None) -> Plan:
    """`application` None: what is suggested. Shows it. Raises CannotLink, NotFound."""
    with store.read() as conn:
        if application is None:
            found = suggestion_for(conn, run_id)
            application_id, why = found.application_id, found.why
        else:
            unlinked_run(conn, run_id)
            application_id, why = application_named(conn, application, run_id), "named by hand"
        app = application_by_id(conn, application_id)
    click.echo(f"{run_id}  →  {app['app_id']} ({app['name']}): {why}")
    return run_id, application_id, why


def _done(linker: Linker, plan: Plan, *, undo: bool) -> bool:
    run_id, application_id, why = plan
    try:
        if undo:
            linker.undo(run_id, now=now_ms())
        else:
            linker.link(run_id, application_id, why=why, now=now_ms())
    except (CannotLink, NotFound) as exc:
        click.echo(f"{run_id}: {exc}", err=True)
        return False
    click.echo(f"{run_id}: {'unlinked' if undo else 'linked'}")
    return True
