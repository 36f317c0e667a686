"""Lists with their filters, sort and columns, as a person has left or named them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from afterglow_store.engine import Store, upsert
from afterglow_store.schema import saved_view

Row = dict[str, Any]
Address = dict[str, list[str]]

LAST = ""  # the name of the one that was looked at last
MOST = 200  # named ones of one person, and of those that are shared


def keep(store: Store, owner: str, name: str, address: Address, *, shared: bool = False, now: int) -> None:
    """Under a name that the owner has already, in its place."""
    with store.write() as conn:
        row = {"owner": owner, "name": name, "address": address, "shared": shared, "time": now}
        upsert(conn, saved_view, [row])


def remove(store: Store, owner: str, name: str) -> None:
    v = saved_view.c
    with store.write() as conn:
        conn.execute(sa.delete(saved_view).where(v.owner == owner, v.name == name))


def of_person(name: str) -> str:
    """The owner of what is kept of who has signed in under this name."""
    return f"person {name}"


def forget(conn: sa.Connection, name: str) -> None:
    """All that is kept of this person."""
    conn.execute(sa.delete(saved_view).where(saved_view.c.owner == of_person(name)))


def last(conn: sa.Connection, owner: str) -> Address | None:
    v = saved_view.c
    return conn.scalar(sa.select(v.address).where(v.owner == owner, v.name == LAST))


def named(conn: sa.Connection, owner: str) -> list[Row]:
    """The owner's and those that others share, by name: owner, name, address, shared, time (ms)."""
    v = saved_view.c
    theirs = sa.and_(v.shared, v.owner != owner)
    select = sa.select(saved_view).where(v.name != LAST, sa.or_(v.owner == owner, theirs))
    return [dict(row) for row in conn.execute(select.order_by(v.owner != owner, v.name).limit(MOST)).mappings()]
