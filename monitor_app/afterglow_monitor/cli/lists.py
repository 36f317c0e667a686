"""`afterglow apps`, `experiments`, `runs`: the lists of Monitor in the terminal, or as JSON for programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import orjson

from afterglow_monitor.cli.common import opened
from afterglow_monitor.clock import now_ms
from afterglow_monitor.public import public_application, public_experiment, public_run
from afterglow_monitor.table import draw
from afterglow_store import Page, Query, parse_window, search_applications, search_experiments, search_runs

Row = dict[str, Any]


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        [
            click.option(
                "--since", default="30d", show_default=True, help="Started since: 30d, 24h, 2026-11-01, or all."
            ),
            click.option("--until", help="Started before: the same forms."),
            click.option("--status", "statuses", multiple=True, help="Only with this status; may be repeated."),
            click.option("--app", help="Only of this application: its Spark id or its name."),
            click.option("--experiment", help="Only of this experiment: its id or its name."),
            click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="At most this many."),
            click.option("--json", "as_json", is_flag=True, help="An array of objects; times in ISO 8601, UTC."),
        ]
    ):
        command = option(command)
    return command


@click.command()
@_options
def apps(**options: Any) -> None:
    """List Spark applications, newest first."""
    _show(search_applications, public_application, _APP_COLUMNS, options)


@click.command()
@_options
def experiments(**options: Any) -> None:
    """List MLflow experiments by their newest run; --since and --status select the runs that are counted."""
    _show(search_experiments, public_experiment, _EXPERIMENT_COLUMNS, options)


@click.command()
@_options
def runs(**options: Any) -> None:
    """List MLflow runs, newest first, each with its Spark applications."""
    _show(search_runs, public_run, _RUN_COLUMNS, options)


_APP_COLUMNS = ("app_id", "name", "status", "start_time", "duration_s", "user", "experiments", "runs", "jobs",
                "failed_jobs", "core_seconds")  # fmt: skip
_EXPERIMENT_COLUMNS = ("name", "experiment_id", "runs", "failed_runs", "running_runs", "last_run_time", "applications")
_RUN_COLUMNS = ("run_id", "name", "experiment", "status", "start_time", "duration_s", "user", "applications",
                "core_seconds")  # fmt: skip


def _show(
    search: Callable[..., Page], public: Callable[[Row], Row], columns: tuple[str, ...], options: dict[str, Any]
) -> None:
    with opened() as (_, store):
        query = Query(
            window=parse_window(options["since"], options["until"], now=now_ms()),
            statuses=tuple(status.upper() for status in options["statuses"]),
            app=options["app"],
            experiment=options["experiment"],
            limit=options["limit"],
        )
        with store.read() as conn:
            page = search(conn, query)
    rows = [public(row) for row in page.rows]
    if options["as_json"]:
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
    else:
        click.echo(draw(rows, columns))
        if page.total > len(rows):
            click.echo(f"{len(rows)} of {page.total_text}: more with --limit", err=True)
