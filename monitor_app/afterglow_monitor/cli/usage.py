"""`afterglow usage`: who used what."""

from __future__ import annotations

from typing import Any

import click
import orjson

from afterglow_monitor import format as fmt
from afterglow_monitor.cli.common import opened
from afterglow_monitor.clock import now_ms
from afterglow_monitor.public import public_usage
from afterglow_monitor.table import draw
from afterglow_store import parse_window
from afterglow_store.usage import BY
from afterglow_store.usage import usage as usage_of

Row = dict[str, Any]


@click.command()
@click.option("--by", type=click.Choice(BY), default="experiment", show_default=True, help="What to add up by.")
@click.option("--since", default="30d", show_default=True, help="Jobs since: 30d, 24h, 2026-11-01, or all.")
@click.option("--until", help="Jobs before: the same forms.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="At most this many rows.")
@click.option("--json", "as_json", is_flag=True, help="An array of objects; sizes in bytes, core time in seconds.")
def usage(by: str, since: str, until: str | None, limit: int, as_json: bool) -> None:
    """Add up what the Spark jobs of a time used, the most first.

    Overhead is what served no run. Each job counts once, so all rows together are all that was used.
    """
    with opened() as (_, store):
        window = parse_window(since, until, now=now_ms())
        with store.read() as conn:
            rows = usage_of(conn, by, window)
    if as_json:
        click.echo(orjson.dumps([public_usage(row) for row in rows[:limit]], option=orjson.OPT_INDENT_2))
        return
    shown = _cells(by, rows, limit)
    click.echo(draw(shown, list(shown[0]) if shown else ()))
    if len(rows) > limit:
        click.echo(f"{limit} of {len(rows):,}: more with --limit", err=True)


_KEYS = {"run": ("run_id", "name", "experiment"), "experiment": ("experiment", "server"), "user": ("user",),
         "application": ("application",), "day": ("day",)}  # fmt: skip


def _cells(by: str, rows: list[Row], limit: int) -> list[Row]:
    all_of_it = sum(row["core_ms"] for row in rows)
    return [
        {
            **{name: row[name] for name in _KEYS[by]},
            "jobs": row["jobs"],
            "failed_jobs": row["failed_jobs"],
            "core_seconds": row["core_seconds"],
            "share": f"{row['core_ms'] / all_of_it:.1%}" if all_of_it else None,
            "overhead_core_seconds": row["overhead_core_seconds"],
            "cpu_seconds": row["executor_cpu_ns"] / 1e9,
            "input": fmt.size(row["input_bytes"]),
            "shuffle_read": fmt.size(row["shuffle_read_bytes"]),
            "shuffle_write": fmt.size(row["shuffle_write_bytes"]),
            "spill": fmt.size((row["memory_spilled_bytes"] or 0) + (row["disk_spilled_bytes"] or 0)),
        }
        for row in rows[:limit]
    ]
