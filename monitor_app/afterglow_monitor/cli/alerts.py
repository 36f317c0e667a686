"""`afterglow alerts`."""

from __future__ import annotations

import click

from afterglow_monitor.cli.common import opened, plain_errors
from afterglow_monitor.public import iso
from afterglow_monitor.settings import AlertRule, load_settings
from afterglow_store.alerts import latest


@click.group()
def alerts() -> None:
    """Show what was told, or try whether it arrives."""


@alerts.command("list")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
def list_(limit: int) -> None:
    """Show the last alerts, newest first."""
    with opened() as (_, store), store.read() as conn:
        for row in latest(conn, limit=limit):
            what = row["text"].partition("\n")[0]
            trouble = f"  ({row['error']})" if row["error"] else ""
            click.echo(f"{iso(row['time'])}  {row['state']:8}  {row['rule']} to {row['target']}: {what}{trouble}")


@alerts.command()
@click.argument("name", required=False)
def test(name: str | None) -> None:
    """Send a test message to each place of the rule NAME, or of all. Exits with 1 where one did not take it."""
    from afterglow_monitor.running.alerts import test as send  # noqa: PLC0415

    with plain_errors():
        settings = load_settings()
    wrong = False
    for rule in _rules(settings.alerts, name):
        for target, error in send(rule).items():
            click.echo(f"{rule.name} to {target}: {error or 'sent'}", err=error is not None)
            wrong |= error is not None
    if wrong:
        raise SystemExit(1)


def _rules(rules: tuple[AlertRule, ...], name: str | None) -> list[AlertRule]:
    found = [rule for rule in rules if name in (None, rule.name)]
    if not found:
        named = f"no [[alerts]] named {name!r}" if name else "no [[alerts]]"
        raise click.ClickException(f"there is {named} in afterglow.toml: docs/operate.md shows some")
    return found
