"""What the commands share: the settings, the store, and errors shown as one line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import click

from afterglow_monitor.errors import MonitorError
from afterglow_monitor.settings import Settings, load_settings
from afterglow_store import Store, open_store
from afterglow_store.errors import StoreError


@contextmanager
def plain_errors() -> Iterator[None]:
    """Show what Afterglow raises on purpose as one line and exit with 1."""
    try:
        yield
    except (MonitorError, StoreError) as exc:
        raise click.ClickException(str(exc)) from exc


@contextmanager
def opened() -> Iterator[tuple[Settings, Store]]:
    """The settings and their store, closed at the end."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    with plain_errors():
        settings = load_settings()
        store = open_store(settings.store.url)
        try:
            yield settings, store
        finally:
            store.close()
