"""Keys that the servers on a store sign with: random, made by the first of them that needs one."""

from __future__ import annotations

import secrets

import sqlalchemy as sa

from afterglow_store.engine import Store, upsert
from afterglow_store.schema import server_key

_BYTES = 32


def key(store: Store, name: str) -> str:
    """The key of that name: the same for everyone, and for good."""
    of_it = sa.select(server_key.c.key).where(server_key.c.name == name)
    with store.read() as conn:
        found = conn.scalar(of_it)
    if found is None:
        with store.write() as conn:
            upsert(conn, server_key, [{"name": name, "key": secrets.token_urlsafe(_BYTES)}], keep=True)
            found = conn.scalar(of_it)
    return str(found)
