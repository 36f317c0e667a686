"""Which browser asks, where nobody signs in: a number in a cookie, by which it finds its lists as they were left.

It opens nothing and says nothing of anyone.
"""

from __future__ import annotations

from uuid import uuid4

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "afterglow-browser"
_YEAR = 365 * 86_400  # seconds


class Browser:
    """ASGI middleware: gives a browser that opens a page the cookie, if it has none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/" or COOKIE in HTTPConnection(scope).cookies:
            await self._app(scope, receive, send)
            return

        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = f"{COOKIE}={uuid4().hex}; Path=/; Max-Age={_YEAR}; HttpOnly; SameSite=Lax"
                MutableHeaders(scope=message).append("Set-Cookie", said)
            await send(message)

        await self._app(scope, receive, with_cookie)
