"""What a request may, by where it comes from and what it shows.

Whatever is not known here needs what the pages need: a route that is added later is closed, not open.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import Scope

from afterglow_monitor.access.cookies import signed_in
from afterglow_monitor.access.here import is_here
from afterglow_monitor.access.links import CARRIED, is_good
from afterglow_monitor.access.people import Person
from afterglow_monitor.access.seeing import scope_of
from afterglow_monitor.access.sign_in import cookie_key
from afterglow_monitor.clock import now_ms
from afterglow_monitor.collecting.bodies import Refused
from afterglow_monitor.settings import Settings
from afterglow_store import Store, tokens, visibility

JOURNALS = "/api/v1/journals/"
_PROBES = ("/healthz", "/readyz")  # told to anyone: whoever asks learns yes or no
_PROGRAMS = ("/api/", "/metrics", *_PROBES)  # where a token opens anything
# What a browser needs before anybody has signed in: Streamlit's empty frame, and the way there and back. What is drawn
# in the frame is decided where pages are drawn.
_SIGN_IN = ("/", "/favicon.png", "/auth/login", "/auth/logout", "/oauth2callback",
            "/_stcore/health", "/_stcore/host-config", "/_stcore/stream")  # fmt: skip
_FRAME = "/static/"
_READING = ("GET", "HEAD")
_CLOSED = (
    "This Afterglow has no sign-in, so it answers its own machine only, asked as localhost and not through a proxy. "
    "For people elsewhere set up [sign_in] in afterglow.toml; for programs make a token: `afterglow tokens create`. "
    "docs/access.md says how."
)
_OLD_LINK = (
    "this link is too old, or was made for somebody else: load the page anew that it is on. A program shows a token: "
    "`afterglow tokens create`"
)


@dataclass(frozen=True)
class Access:
    """What a request may. `who` it comes from, for the audit and for rates."""

    who: str
    reads: bool = False
    clusters: frozenset[str] = field(default_factory=frozenset)  # whose journals it may send
    person: Person | None = None  # who has signed in
    sees: visibility.Scope | None = visibility.NOTHING  # what of the store it sees


NOTHING = Access("nobody")
HERE = Access("this machine", reads=True, clusters=frozenset({tokens.ANY_CLUSTER}), sees=None)


class Rules:
    """`store` opens the store when it is needed first."""

    def __init__(self, settings: Settings, store: Callable[[], Store]) -> None:
        self._settings, self._store = settings, store
        self._cookies = functools.cache(lambda: cookie_key(settings, store()))
        self.https = settings.sign_in.url.startswith("https:")

    def access(self, scope: Scope) -> Access:
        """Raises Refused, BadSettings and what the store raises."""
        shown = _token(scope)
        if shown is not None:
            return self._by_token(scope, shown)
        if scope["path"] in _PROBES and scope["type"] == "http":
            return NOTHING
        if scope["path"].startswith(JOURNALS) and self._settings.collector.secrets:
            return NOTHING  # the collector itself asks for one of them
        if self._settings.sign_in.configured:
            return self._by_cookie(scope)
        if is_here(scope):
            return HERE
        raise Refused(403, _CLOSED)

    def _by_cookie(self, scope: Scope) -> Access:
        settings = self._settings.sign_in
        if scope["type"] == "websocket" and Headers(scope=scope).get("origin", settings.url) != settings.url:
            raise Refused(403, f"this Monitor is at {settings.url}")
        person = signed_in(scope, settings, self._cookies(), now=now_ms())
        if person is not None:
            if CARRIED.fullmatch(scope["path"]) and not is_good(scope, person, self._cookies(), now=now_ms()):
                raise Refused(403, _OLD_LINK)
            return Access(person.name, reads=True, person=person, sees=scope_of(person, self._settings))
        if scope["path"] in _SIGN_IN or scope["path"].startswith(_FRAME):
            return NOTHING
        raise Refused(401, f"sign in at {settings.url}; a program shows a token: `afterglow tokens create`")

    def _by_token(self, scope: Scope, shown: str) -> Access:
        store, now = self._store(), now_ms()
        with store.read() as conn:
            token = tokens.verified(conn, shown, now=now)
        if token is None:
            raise Refused(401, "this token is not known, or it is revoked or expired", WWW_Authenticate="Bearer")
        access = Access(f"token {token.name}", token.may_read, token.clusters, sees=None)
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
