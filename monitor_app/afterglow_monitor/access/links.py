"""Links of a signed-in person's pages to downloads and previews: signed for him, for what they ask, and for minutes.

The cookie alone would do for who asks. But a browser sends it with any link that somebody else has made up, too, and a
link that is passed on, or stays in a log, should open nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from urllib.parse import unquote, urlsplit

from starlette.types import Scope

from afterglow_monitor.access.people import Person

STEP_MS = 150_000  # a link is good for one to two of these: while it is drawn again and again, it seldom changes
CARRIED = re.compile(r"/api/v1/(?:[^/]+/export|runs/[^/]+/files/.*)", re.DOTALL)

_SIGNED = re.compile(
    r"(?P<asked>(?:.*&)?link_until=(?P<until>[0-9]{1,15}))&link_signature=(?P<signature>[0-9a-f]{64})", re.DOTALL
)


def signed(address: str, person: Person, key: str, *, now: int) -> str:
    """`address`, a path with perhaps a query, as this person may follow it from `now` (ms) on."""
    parts = urlsplit(address)
    until = (now // STEP_MS + 2) * STEP_MS
    asked = f"{parts.query}&link_until={until}" if parts.query else f"link_until={until}"
    return f"{parts.path}?{asked}&link_signature={_signature(key, person, unquote(parts.path), asked)}"


def is_good(scope: Scope, person: Person, key: str, *, now: int) -> bool:
    """Whether the request is one that a link asks which was signed for this person, not too long ago."""
    found = _SIGNED.fullmatch(scope["query_string"].decode("latin-1"))
    if found is None:
        return False
    right = _signature(key, person, scope["path"], found["asked"])
    return hmac.compare_digest(right, found["signature"]) and now < int(found["until"])


def _signature(key: str, person: Person, path: str, asked: str) -> str:
    of = json.dumps(("afterglow link", person.name, path, asked))
    return hmac.new(key.encode(), of.encode(), hashlib.sha256).hexdigest()
