"""`afterglow db`: care for the store."""

from __future__ import annotations

import getpass
from contextlib import closing
from pathlib import Path

import click

from afterglow_monitor.cli.common import plain_errors
from afterglow_monitor.clock import now_ms
from afterglow_monitor.settings import load_settings
from afterglow_store import audit, migrate, open_store
from afterglow_store.backup import backup as make_backup
from afterglow_store.backup import restore as put_back
from afterglow_store.check import check as findings
from afterglow_store.engine import connect


@click.group()
def db() -> None:
    """Upgrade, back up, restore and check the store."""


@db.command()
def upgrade() -> None:
    """Bring the store's schema up to this version, as `afterglow up` does by itself. All of it, or nothing."""
    with plain_errors():
        url = load_settings().store.url
        with closing(connect(url)) as store, store.read() as conn:
            before = migrate.revision(conn)
        open_store(url).close()
    if before == migrate.HEAD:
        click.echo(f"The schema is {migrate.HEAD} already.")
    else:
        click.echo(f"The schema was {before or 'not there'} and is {migrate.HEAD} now.")


@db.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup(file: Path) -> None:
    """Copy the store into FILE, as it is at one moment, while the servers work. PostgreSQL needs pg_dump."""
    with plain_errors(), closing(connect(load_settings().store.url)) as store:
        make_backup(store, file)
        click.echo(f"{store.url} is in {file}, {file.stat().st_size:,} bytes.")


@db.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
def restore(file: Path, yes: bool) -> None:
    """Put the backup FILE in the place of all that the store has. Stop the servers first."""
    with plain_errors():
        url = load_settings().store.url
        with closing(connect(url)) as store:
            shown = store.url
        if not yes:
            click.confirm(f"Replace all that is in {shown} by {file}?", abort=True)
        put_back(url, file)
        with closing(open_store(url)) as store, store.write() as conn:
            audit.record(conn, who=getpass.getuser(), time=now_ms(), action=audit.RESTORE, run_id=audit.NO_RUN,
                         before={}, after={"file": str(file)})  # fmt: skip
    click.echo(f"{shown} is as {file} has it.")


@db.command()
def check() -> None:
    """Check that the store is whole: schema, file, rows without what they are of, sums. Exits with 1 if not."""
    wrong = 0
    with plain_errors(), closing(connect(load_settings().store.url)) as store, store.read() as conn:
        for finding in findings(conn):
            wrong += finding.wrong is not None
            click.echo(f"{'ok    ' if finding.wrong is None else 'WRONG '} {finding.what}{_colon(finding.wrong)}")
    if wrong:
        raise SystemExit(1)


def _colon(wrong: str | None) -> str:
    return f": {wrong}" if wrong else ""
