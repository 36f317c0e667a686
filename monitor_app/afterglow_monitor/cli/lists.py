"""`afterglow apps`, `experiments`, `runs`: the lists of Monitor in the terminal, or as JSON for programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import orjson

from afterglow_monitor.cli.common import opened
from afterglow_monitor.clock import now_ms
from afterglow_monitor.public import public_application, public_experiment, public_run, public_suggestion
from afterglow_monitor.table import draw
from afterglow_store import Page, Query, parse_window, search_applications, search_runs
from afterglow_store.search import experiments_with_best
from afterglow_store.suggest import add_suggestions

Row = dict[str, Any]


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        [
            click.option(
                "--since", default="30d", show_default=True, help="Started since: 30d, 24h, 2026-11-01, or all."
            ),
            click.option("--until", help="Started before: the same forms."),
            click.option("--active", is_flag=True, help="Also what began before --since and had not ended then."),
            click.option("--status", "statuses", multiple=True, help="Only with this status; may be repeated."),
            click.option("--app", help="Only of this application: its Spark id or its name."),
            click.option("--experiment", help="Only of this experiment: its id or its name."),
            click.option("--filter", "filter_", default="", help="Only what it says, as in docs/filters.md."),
            click.option(
                "--order-by", default=Query.order_by, help="Such as 'metrics.rmse DESC'.  [default: newest first]"
            ),
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
    _show(experiments_with_best, public_experiment, _EXPERIMENT_COLUMNS, options)


@click.command()
@_options
@click.option("--unlinked", is_flag=True, help="Only without a link, each with the application that it may be of.")
def runs(unlinked: bool, **options: Any) -> None:
    """List MLflow runs, newest first, each with its Spark applications.

    \b
    afterglow runs --filter "metrics.rmse < 0.8 AND tags.team = 'a'" --order-by metrics.rmse

    A suggested application is no link: `afterglow link` makes one.
    """
    columns = _UNLINKED_COLUMNS if unlinked else _RUN_COLUMNS
    _show(_search_runs, _listed_run, columns, options | ({"linked": False} if unlinked else {}))


def _search_runs(conn: Any, query: Query) -> Page:
    page = search_runs(conn, query)
    add_suggestions(conn, page.rows)
    return page


def _listed_run(row: Row) -> Row:
    return public_run(row) | {"suggested_application": public_suggestion(row["suggestion"])}


_APP_COLUMNS = ("app_id", "name", "status", "start_time", "duration_s", "user", "experiments", "runs", "jobs",
                "failed_jobs", "core_seconds")  # fmt: skip
_EXPERIMENT_COLUMNS = ("name", "experiment_id", "runs", "failed_runs", "running_runs", "last_run_time", "applications")
_RUN_COLUMNS = ("run_id", "name", "experiment", "status", "start_time", "duration_s", "user", "applications",
                "core_seconds")  # fmt: skip
_UNLINKED_COLUMNS = ("run_id", "name", "experiment", "status", "start_time", "duration_s", "user", "source",
                     "suggested_application")  # fmt: skip


def _show(
    search: Callable[..., Page], public: Callable[[Row], Row], columns: tuple[str, ...], options: dict[str, Any]
) -> None:
    now = now_ms()
    with opened() as (_, store):
        query = Query(
            window=parse_window(options["since"], options["until"], now=now),
            statuses=tuple(status.upper() for status in options["statuses"]),
            active=options["active"],
            app=options["app"],
            experiment=options["experiment"],
            linked=options.get("linked"),
            filter=options["filter_"],
            order_by=options["order_by"],
            limit=options["limit"],
            count=not options["as_json"],
            now=now,
        )
        with store.read() as conn:
            page = search(conn, query)
    rows = [public(row) for row in page.rows]
    if options["as_json"]:
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
    else:
        lost = ("lost_events",) if any(row.get("lost_events") for row in rows) else ()
        click.echo(draw([_flat(row) for row in rows], (*columns, *lost)))
        if page.total > len(rows):
            click.echo(f"{len(rows)} of {page.total_text}: more with --limit", err=True)


def _flat(row: Row) -> Row:
    """For the table: of a suggested application only its id."""
    found = row.get("suggested_application")
    return row | {"suggested_application": found["app_id"]} if found else row
