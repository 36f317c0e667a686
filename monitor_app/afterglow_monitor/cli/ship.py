"""`afterglow ship`: sends what drivers left on their host. It runs there, so it uses the light part of the package."""

from __future__ import annotations

import os
from pathlib import Path

import click

from afterglow.collector import BadCollector, read_collector
from afterglow.ship import Shipped
from afterglow.ship import ship as ship_folder


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR")
@click.option("--collector", "url", help="The collector's address, by default AFTERGLOW_COLLECTOR_URL.")
@click.option(
    "--secret-file",
    type=click.Path(exists=True, dir_okay=False),
    help="The file with its secret, which may also be in AFTERGLOW_COLLECTOR_SECRET.",
)
def ship(folder: Path, url: str | None, secret_file: str | None) -> None:
    """Send the journals that dead drivers left in DIR to a collector, and delete what it confirms.

    The journals of drivers that live are left alone. Exits with 1 when the collector does not take all of the others;
    those stay, and the next call goes on where this one was. One that it refuses is named, and holds up no other.
    """
    said = {"spark.afterglow.collector.url": url, "spark.afterglow.collector.secretFile": secret_file}
    try:
        collector = read_collector(said.get, os.environ)
    except BadCollector as exc:
        raise click.ClickException(str(exc)) from exc
    if collector is None:
        raise click.UsageError("say where to: --collector https://…, or AFTERGLOW_COLLECTOR_URL")
    done = ship_folder(folder, collector)
    click.echo(summary(done))
    for name, why in done.refused.items():
        click.echo(f"{folder / name} was not sent: {why}", err=True)
    if done.failed is not None:
        raise click.ClickException(f"{collector.url}: {done.failed}. What is left stays in {folder}")
    if done.refused:
        raise click.ClickException(f"{collector.url} has not got all of them. What is left stays in {folder}")


def summary(done: Shipped) -> str:
    parts = [f"{done.journals} {'journal' if done.journals == 1 else 'journals'} sent ({done.bytes:,} bytes)"]
    if done.kept:
        parts.append(f"{done.kept} sent and kept, since nothing says whether their writers are dead")
    if done.refused:
        parts.append(f"{len(done.refused)} not sent")
    if done.alive:
        parts.append(f"{done.alive} left to their drivers, which live")
    return ", ".join(parts)
