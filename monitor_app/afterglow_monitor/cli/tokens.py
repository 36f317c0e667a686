"""`afterglow tokens create|list|revoke`: what programs show to read, or to send journals."""

from __future__ import annotations

import getpass
from typing import Any

import click
import orjson

from afterglow_monitor.cli.common import opened
from afterglow_monitor.clock import now_ms
from afterglow_monitor.public import iso
from afterglow_monitor.table import draw
from afterglow_store import tokens as kept

Row = dict[str, Any]
DAY_MS = 86_400_000


@click.group()
def tokens() -> None:
    """Tokens for programs: what they show as `Authorization: Bearer TOKEN`. docs/access.md says where."""


@tokens.command()
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, required=True, help="read, ingest:CLUSTER or ingest:*; may be repeated."
)
@click.option(
    "--days", type=click.FloatRange(0, min_open=True), help="Good for so many days; without it until revoked."
)
def create(name: str, scopes: tuple[str, ...], days: float | None) -> None:
    """Make a token called NAME and print it. It is shown this once."""
    now = now_ms()
    expires = None if days is None else now + int(days * DAY_MS)
    with opened() as (_, store):
        id_, token = kept.create(store, name, scopes, who=getpass.getuser(), now=now, expires=expires)
    click.echo(f"Token {id_}, kept here as a hash only: nobody can show it again.", err=True)
    click.echo(token)


@tokens.command("list")
@click.option("--json", "as_json", is_flag=True, help="An array of objects; times in ISO 8601, UTC.")
def list_(as_json: bool) -> None:
    """List all tokens, without what opens anything."""
    with opened() as (_, store), store.read() as conn:
        rows = [_public(row, now_ms()) for row in kept.listed(conn)]
    if as_json:
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
    elif not rows:
        click.echo("No token.")
    else:
        shown = [{**row, "scopes": ", ".join(row["scopes"])} for row in rows]
        click.echo(draw(shown, ("id", "name", "scopes", "state", "created_time", "expires_time", "used_time")))


def _public(row: Row, now: int) -> Row:
    times = {name: iso(row[name]) for name in ("created_time", "expires_time", "used_time", "revoked_time")}
    plain = {name: row[name] for name in ("id", "name", "scopes", "created_by", "revoked_by")}
    return {**plain, "state": _state(row, now), **times}


def _state(row: Row, now: int) -> str:
    if row["revoked_time"] is not None:
        return "revoked"
    return "expired" if row["expires_time"] is not None and row["expires_time"] <= now else "good"


@tokens.command()
@click.argument("token_id")
def revoke(token_id: str) -> None:
    """Revoke the token with this id: nothing is opened by it from now on."""
    with opened() as (_, store):
        kept.revoke(store, token_id, who=getpass.getuser(), now=now_ms())
    click.echo(f"Token {token_id} is revoked.")
