"""`page_token`: where a page ended, of which list, and of when that list is.

Spans such as 30d count back from the first page's moment, so that all pages are of one window.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

import orjson

from afterglow_monitor.rest.declared import Values
from afterglow_store.errors import BadPage

_OF_THE_PAGE = ("page_token", "max_results")


def token_of(path: str, values: Values, now: int, after: str) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([now, _list(path, values), after])).decode().rstrip("=")


def read_token(path: str, values: Values, token: str) -> tuple[int, str]:
    """The first page's moment (ms), and the store's own mark. Raises BadPage, also for another list's token."""
    match _parts(token):
        case [int(now), str(of), str(after)] if of == _list(path, values) and 0 <= now < 2**53:
            return now, after
    raise BadPage("page_token is of another list")


def _parts(token: str) -> Any:
    try:
        return orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (binascii.Error, orjson.JSONDecodeError, ValueError) as exc:
        raise BadPage("page_token cannot be read") from exc


def _list(path: str, values: Values) -> str:
    """What tells one list from another: all that was asked but the page."""
    asked = {name: value for name, value in values.items() if name not in _OF_THE_PAGE}
    said = orjson.dumps([path, asked], option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(said, digest_size=6).hexdigest()
