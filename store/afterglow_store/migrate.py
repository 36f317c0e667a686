"""Bringing a store's schema up to this version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from afterglow_store.engine import Store, connect
from afterglow_store.errors import StoreTooNew, StoreUnreachable

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0021"  # the newest migration's revision


def open_store(url: str) -> Store:
    """Open the store at `url`, made or brought up to date if need be.

    Raises StoreUnreachable, and StoreTooNew when a newer Afterglow has written it.
    """
    store = connect(url)
    try:
        with store.read() as conn:  # most often there is nothing to do, and nobody need wait for a writer
            current = revision(conn) == HEAD
        if not current:
            _migrate(store)
    except BaseException:
        store.close()
        raise
    return store


def open_as_it_is(url: str) -> Store:
    """Open the store at `url` only to read it: it is neither made nor changed.

    Raises StoreUnreachable, also where it is not of this version.
    """
    name = sa.make_url(url).database if url.startswith("sqlite") else None
    if name and not Path(name).expanduser().exists():
        raise StoreUnreachable(f"there is no store at {url}: `afterglow up` makes one")
    store = connect(url)
    with store.read() as conn:
        found = revision(conn)
    if found != HEAD:
        store.close()
        raise StoreUnreachable(
            f"the store {store.url} is at schema {found}, this Afterglow reads {HEAD}: use the server's version of "
            "Afterglow here, or ask the server by its address"
        )
    return store


def revision(conn: sa.Connection) -> str | None:
    """The revision of the store's schema; None where it has none yet."""
    if not sa.inspect(conn).has_table("alembic_version"):
        return None
    found = conn.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


def _migrate(store: Store) -> None:
    from alembic import command  # noqa: PLC0415 - a quarter of a second that a store of today does not need

    with store.write() as conn:
        config = _config(conn)
        _refuse_newer(config, revision(conn), store.url)
        command.upgrade(config, "head")


def _refuse_newer(config: Config, at: str | None, url: str) -> None:
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    known = {each.revision for each in ScriptDirectory.from_config(config).walk_revisions()}
    if at is not None and at not in known:
        raise StoreTooNew(
            f"the store {url} is at schema {at}, which this Afterglow does not know: a newer one has written it. "
            "Upgrade this installation, or use another store.url"
        )


def _config(conn: sa.Connection) -> Config:
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = conn
    return config
