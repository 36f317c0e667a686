"""Bringing a store's schema up to this version."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from afterglow_store.engine import Store, connect
from afterglow_store.errors import StoreTooNew

_LOCK = 0x4146_5447  # PostgreSQL advisory lock: two servers that start at once migrate one after the other


def open_store(url: str) -> Store:
    """Open the store at `url`, made or brought up to date if need be.

    Raises StoreUnreachable, and StoreTooNew when a newer Afterglow has written it.
    """
    store = connect(url)
    try:
        with store.write() as conn:
            if conn.dialect.name == "postgresql":
                conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            _refuse_newer(conn, store)
            command.upgrade(_config(conn), "head")
    except BaseException:
        store.close()
        raise
    return store


def _refuse_newer(conn: sa.Connection, store: Store) -> None:
    at = MigrationContext.configure(conn).get_current_revision()
    known = {revision.revision for revision in ScriptDirectory.from_config(_config(conn)).walk_revisions()}
    if at is not None and at not in known:
        raise StoreTooNew(
            f"the store {store.url} is at schema {at}, which this Afterglow does not know: a newer one has written it. "
            "Upgrade this installation, or use another store.url"
        )


def _config(conn: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = conn
    return config
