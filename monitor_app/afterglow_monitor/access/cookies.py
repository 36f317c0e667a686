"""Who is signed in at a browser: by the cookie that Streamlit's sign-in sets, which is signed with a key of the server.

Streamlit itself reads it when a session begins, and tells pages of it only; the routes beside them read it here, in the
same way.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import Scope
from streamlit.auth_util import get_cookie_with_chunks
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from afterglow_monitor.access.people import Person, person_of
from afterglow_monitor.settings import SignInSettings


def signed_in(scope: Scope, settings: SignInSettings, key: str, *, now: int) -> Person | None:
    """The person whose browser sends this; `key` is what cookies are signed with."""
    cookies = HTTPConnection(scope).cookies

    def opened(name: str) -> bytes | None:
        return decode_signed_value(key, name, cookies[name].encode("latin-1")) if name in cookies else None

    claims = _claims(get_cookie_with_chunks(opened, USER_COOKIE_NAME))
    if claims.get("origin") != settings.url or not claims.get("is_logged_in"):
        return None
    return person_of(claims, settings, now=now)


def _claims(said: bytes | None) -> dict[str, Any]:
    try:
        found = json.loads(said or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
