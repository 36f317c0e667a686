"""`afterglow demo`."""

from __future__ import annotations

import time

import click

from afterglow_monitor.cli.common import opened, plain_errors
from afterglow_monitor.cli.spark import find_spark_submit
from afterglow_monitor.clock import now_ms
from afterglow_monitor.settings import load_settings
from afterglow_store import Query, parse_window, search_applications, search_runs


@click.command()
@click.option("--no-serve", is_flag=True, help="Run the jobs and take them in, then end.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Serve Monitor on this port instead of monitor.port (8501)."
)
def demo(no_serve: bool, port: int | None) -> None:
    """Run two real Spark jobs with the listener, then serve Monitor with what they left.

    Everything goes into AFTERGLOW_HOME (~/.afterglow); MLflow's part of it into demo/ there. About a minute.
    """
    from afterglow_monitor.demo import run_jobs, take_in  # noqa: PLC0415 - MLflow takes a second to import

    clock = time.monotonic()
    with opened() as (settings, store):
        run_jobs(settings, store, find_spark_submit(), click.echo)
        click.echo("Taking in their journals and their MLflow runs")
        take_in(settings, store)
        query = Query(window=parse_window("1h", now=now_ms()))
        with store.read() as conn:
            apps, runs = search_applications(conn, query), search_runs(conn, query)
    click.echo(
        f"{apps.total_text} applications, {runs.total_text} runs in the last hour ({time.monotonic() - clock:.0f} s)"
    )
    if no_serve:
        click.echo("See them: afterglow up, or afterglow runs --since 1h")
        return
    _serve(port)


def _serve(port: int | None) -> None:
    from afterglow_monitor.running.up import serve  # noqa: PLC0415

    with plain_errors():
        settings = load_settings()  # again: the demo's tracking server is there now
        if port is not None:
            settings = settings.model_copy(update={"monitor": settings.monitor.model_copy(update={"port": port})})
        click.echo(f"Monitor   http://{settings.monitor.address}:{settings.monitor.port}   (Ctrl-C stops it)")
        serve(settings)
