"""`afterglow forget`."""

from __future__ import annotations

import getpass

import click

from afterglow_monitor.cli.common import opened
from afterglow_monitor.cli.prune import shown
from afterglow_monitor.clock import now_ms
from afterglow_store import forget as forgetting
from afterglow_store.tombstones import EXPERIMENT, RUN, USER


@click.command()
@click.option("--run", "run_id", help="This run, with the runs below it.")
@click.option("--user", help="Runs and applications of this user.")
@click.option("--experiment", help="This experiment with all its runs: its id or its name.")
@click.option("--dry-run", is_flag=True, help="Only show what would be erased.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def forget(run_id: str | None, user: str | None, experiment: str | None, dry_run: bool, yes: bool) -> None:
    """Erase a run, a user or an experiment from Afterglow's store: rows, snapshots, what was audited.

    It cannot be undone, and sync and journals do not bring it back. MLflow and the journal files stay as they are:
    docs/keeping.md says what else to erase.
    """
    asked = [(kind, name) for kind, name in ((RUN, run_id), (USER, user), (EXPERIMENT, experiment)) if name]
    if len(asked) != 1:
        raise click.UsageError("name one of --run, --user and --experiment")
    with opened() as (_, store):
        with store.read() as conn:
            found = forgetting.find(conn, *asked[0])
        kind, name = asked[0]
        click.echo(f"{kind} {name}: {len(found.run_ids):,} runs, {len(found.application_ids):,} applications")
        if dry_run:
            click.echo("Nothing was erased.")
            return
        if not yes:
            click.confirm("Erase them for good?", abort=True)
        counts, clean = forgetting.forget(store, found, who=getpass.getuser(), now=now_ms())
    click.echo(f"Erased: {shown(counts)}")
    if not clean:
        click.echo("The log beside the database was being read and is not empty yet: call this again later.", err=True)
