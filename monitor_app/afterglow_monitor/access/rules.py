"""What a request may, by where it comes from and what it shows.

Whatever is not known here needs what the pages need: a route that is added later is closed, not open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import Scope

from afterglow_monitor.access.here import is_here
from afterglow_monitor.bodies import Refused
from afterglow_monitor.clock import now_ms
from afterglow_monitor.settings import Settings
from afterglow_store import Store, tokens

JOURNALS = "/api/v1/journals/"
_PROGRAMS = ("/api/", "/metrics", "/healthz", "/readyz")  # where a token opens anything
_READING = ("GET", "HEAD")
_CLOSED = (
    "This Afterglow has no sign-in, so it answers its own machine only, asked as localhost and not through a proxy. "
    "For people elsewhere set up [sign_in] in afterglow.toml; for programs make a token: `afterglow tokens create`. "
    "docs/access.md says how."
)


@dataclass(frozen=True)
class Access:
    """What a request may. `who` it comes from, for the audit and for rates."""

    who: str
    reads: bool = False
    clusters: frozenset[str] = field(default_factory=frozenset)  # whose journals it may send


NOTHING = Access("nobody")
HERE = Access("this machine", reads=True, clusters=frozenset({tokens.ANY_CLUSTER}))


class Rules:
    def __init__(self, settings: Settings, store: Callable[[], Store]) -> None:
        self._settings, self._store = settings, store

    def access(self, scope: Scope) -> Access:
        """Raises Refused, BadSettings and what the store raises."""
        shown = _token(scope)
        if shown is not None:
            return self._by_token(scope, shown)
        if is_here(scope):
            return HERE
        if scope["path"].startswith(JOURNALS) and self._settings.collector.secrets:
            return NOTHING  # the collector itself asks for one of them
        raise Refused(403, _CLOSED)

    def _by_token(self, scope: Scope, shown: str) -> Access:
        store, now = self._store(), now_ms()
        with store.read() as conn:
            token = tokens.verified(conn, shown, now=now)
        if token is None:
            raise Refused(401, "this token is not known, or it is revoked or expired", WWW_Authenticate="Bearer")
        access = Access(f"token {token.name}", token.may_read, token.clusters)
        if not _opens(scope, access):
            raise Refused(403, "this token is not for that: `afterglow tokens list` shows what it is for")
        tokens.note_use(store, token, now=now)
        return access


def _opens(scope: Scope, access: Access) -> bool:
    if scope["path"].startswith(JOURNALS):
        return bool(access.clusters)
    reading = scope["type"] == "http" and scope["method"] in _READING
    return access.reads and reading and scope["path"].startswith(_PROGRAMS)


def _token(scope: Scope) -> str | None:
    """One of ours that the request shows. The collector's secrets look different."""
    kind, _, shown = Headers(scope=scope).get("authorization", "").partition(" ")
    shown = shown.strip()
    return shown if kind.lower() == "bearer" and tokens.looks_like_one(shown) else None
