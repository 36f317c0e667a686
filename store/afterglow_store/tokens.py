"""Tokens: by what a program shows that it may read, or send the journals of a cluster.

A token is 256 random bits, so one round of SHA-256 hides it: what makes a slow hash needful for passwords is that there
are few enough of them to try, and nobody tries 2**256. It is shown when it is made and never again.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from afterglow_store import audit
from afterglow_store.engine import Store
from afterglow_store.errors import BadScope, NotFound
from afterglow_store.schema import access_token

PREFIX = "afterglow"
READ = "read"
ANY_CLUSTER = "*"
USED_EVERY_MS = 60_000  # as exactly as this the last use is known

_INGEST = "ingest:"
_SCOPE = re.compile(r"read|ingest:(\*|[A-Za-z0-9][A-Za-z0-9._-]{0,99})")
_ID_BYTES, _SECRET_BYTES = 6, 32
_SHOWN = re.compile(rf"{PREFIX}_([0-9a-f]{{{2 * _ID_BYTES}}})_[A-Za-z0-9_-]{{43}}")

Row = dict[str, Any]
t = access_token.c


@dataclass(frozen=True)
class Token:
    """One that is good now."""

    id: str
    name: str
    scopes: tuple[str, ...]

    @property
    def may_read(self) -> bool:
        return READ in self.scopes

    @property
    def clusters(self) -> frozenset[str]:
        """Whose journals it may send; ANY_CLUSTER among them: everybody's."""
        return frozenset(each.removeprefix(_INGEST) for each in self.scopes if each.startswith(_INGEST))


def looks_like_one(shown: str) -> bool:
    return shown.startswith(f"{PREFIX}_")


def create(
    store: Store, name: str, scopes: Sequence[str], *, who: str, now: int, expires: int | None = None
) -> tuple[str, str]:
    """Make a token: its id and the token itself, which is kept nowhere. `expires`: ms. Raises BadScope."""
    _check(scopes)
    id_ = secrets.token_hex(_ID_BYTES)
    token = f"{PREFIX}_{id_}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    said = {"id": id_, "name": name, "scopes": list(scopes), "expires_time": expires}
    with store.write() as conn:
        row = {**said, "token_hash": _hash(token), "created_time": now, "created_by": who}
        conn.execute(sa.insert(access_token).values(row))
        audit.record(
            conn, who=who, time=now, action=audit.CREATE_TOKEN, run_id=audit.NO_RUN, before={}, after={"token": said}
        )
    return id_, token


def _check(scopes: Sequence[str]) -> None:
    wrong = [each for each in scopes if not _SCOPE.fullmatch(each)]
    if wrong or not scopes:
        raise BadScope(f"{wrong[0] if wrong else 'nothing'!r} is no scope: read, ingest:CLUSTER or ingest:*")
    if len({each for each in scopes if each.startswith(_INGEST)}) > 1:
        raise BadScope("a token sends the journals of one cluster, or of all: ingest:CLUSTER or ingest:*")


def listed(conn: sa.Connection) -> list[Row]:
    """All tokens, the newest first: id, name, scopes, created_time, created_by, expires_time, used_time, revoked_time
    (ms) and revoked_by. Nothing of what a program shows."""
    shown = [column for column in t if column.name != "token_hash"]
    rows = conn.execute(sa.select(*shown).order_by(t.created_time.desc(), t.id))
    return [dict(row._mapping) for row in rows]


def revoke(store: Store, id_: str, *, who: str, now: int) -> None:
    """From here on it opens nothing. Raises NotFound; one that is revoked stays as it is."""
    with store.write() as conn:
        row = conn.execute(sa.select(t.name, t.revoked_time).where(t.id == id_)).one_or_none()
        if row is None:
            raise NotFound(f"there is no token {id_}: `afterglow tokens list` shows them")
        if row.revoked_time is not None:
            return
        conn.execute(sa.update(access_token).where(t.id == id_).values(revoked_time=now, revoked_by=who))
        was = {"token": {"id": id_, "name": row.name}}
        audit.record(conn, who=who, time=now, action=audit.REVOKE_TOKEN, run_id=audit.NO_RUN, before=was, after={})


def verified(conn: sa.Connection, shown: str, *, now: int) -> Token | None:
    """The token that somebody shows, if it is one, and neither revoked nor expired."""
    named = _SHOWN.fullmatch(shown)
    row = conn.execute(sa.select(access_token).where(t.id == (named[1] if named else ""))).one_or_none()
    # Of one that is not there something is compared as well: how long it takes tells nothing of which ids there are.
    same = hmac.compare_digest(_hash(shown), row.token_hash if row is not None else _hash(""))
    if row is None or not same or row.revoked_time is not None or (row.expires_time or now + 1) <= now:
        return None
    return Token(row.id, row.name, tuple(row.scopes))


def note_use(store: Store, token: Token, *, now: int) -> None:
    """Remember that it was used, once a minute at most."""
    late = sa.and_(t.id == token.id, sa.or_(t.used_time.is_(None), t.used_time <= now - USED_EVERY_MS))
    with store.read() as conn:
        if conn.scalar(sa.select(t.id).where(late)) is None:
            return
    with store.append() as conn:
        conn.execute(sa.update(access_token).where(late).values(used_time=now))


def any_good(conn: sa.Connection, *, now: int) -> bool:
    """Whether there is a token that opens anything."""
    good = sa.and_(t.revoked_time.is_(None), sa.or_(t.expires_time.is_(None), t.expires_time > now))
    return conn.scalar(sa.select(t.id).where(good).limit(1)) is not None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
