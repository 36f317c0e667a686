"""`afterglow up`, `ingest`."""

from __future__ import annotations

import click

from afterglow_monitor.cli.common import opened, plain_errors
from afterglow_monitor.settings import load_settings


@click.command()
@click.option("--address", help="Listen on this address instead of monitor.address (127.0.0.1).")
@click.option("--port", type=click.IntRange(1, 65535), help="Listen on this port instead of monitor.port (8501).")
def up(address: str | None, port: int | None) -> None:
    """Serve Monitor, and keep the store up to date in the background."""
    from afterglow_monitor.running.up import serve  # noqa: PLC0415

    with plain_errors():
        settings = load_settings()
        settings.collector.read_secrets()  # one that is not there is an error here, not an answer to each driver
        given = {key: value for key, value in (("address", address), ("port", port)) if value is not None}
        settings = settings.model_copy(update={"monitor": settings.monitor.model_copy(update=given)})
        with opened() as (_, store):  # a store that cannot be opened is an error here, not a worker that dies
            click.echo(f"Store     {store.url}")
        click.echo("Journals  " + ", ".join(settings.journal.folders))
        servers = ", ".join(f"{each.name} ({each.uri})" for each in settings.mlflow)
        click.echo("MLflow    " + (servers or "none: name one in afterglow.toml, or set MLFLOW_TRACKING_URI"))
        click.echo(f"Monitor   http://{settings.monitor.address}:{settings.monitor.port}   (Ctrl-C stops it)")
        serve(settings)
