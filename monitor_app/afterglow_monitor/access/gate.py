"""In front of the whole application, as ASGI middleware: under `afterglow up`, uvicorn and `streamlit run` alike."""

from __future__ import annotations

import logging

from anyio import to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from afterglow_monitor.access.headers import guarded
from afterglow_monitor.access.rules import JOURNALS, Access, Rules
from afterglow_monitor.access.seeing import asking
from afterglow_monitor.collecting.bodies import Refused
from afterglow_monitor.errors import BadSettings
from afterglow_store.errors import StoreError

logger = logging.getLogger(__name__)

_ACCESS = "afterglow.access"  # of a request that was let through, in its scope
_CODES = {401: "UNAUTHENTICATED", 503: "TEMPORARILY_UNAVAILABLE"}  # in the words of the API, docs/rest.md
_POLICY_VIOLATION = 1008  # with which a websocket is closed before it opens: its client sees a 403


class Gate:
    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app, self._rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        send = guarded(send, https=self._rules.https)
        try:
            access = scope[_ACCESS] = await self._access(scope)
        except Refused as exc:
            await _refuse(exc, scope, receive, send)
            return
        with asking(access.sees):
            await self._app(scope, receive, send)

    async def _access(self, scope: Scope) -> Access:
        try:
            return await to_thread.run_sync(self._rules.access, scope)
        except (SQLAlchemyError, StoreError, BadSettings) as exc:
            logger.exception("a request cannot be judged")
            raise Refused(503, "Afterglow cannot reach its store, or its settings are wrong", Retry_After="5") from exc


async def _refuse(refused: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": refused.sentence[:120]})
        return
    await _answer(refused, scope["path"])(scope, receive, send)


def _answer(refused: Refused, path: str) -> Response:
    headers = {**refused.headers, "Cache-Control": "no-store"}
    if path.startswith(JOURNALS):  # as the collector itself answers
        return JSONResponse({"error": refused.sentence}, refused.status, headers=headers)
    if path.startswith("/api/"):
        said = {"error_code": _CODES.get(refused.status, "PERMISSION_DENIED"), "message": refused.sentence}
        return JSONResponse(said, refused.status, headers=headers)
    return PlainTextResponse(refused.sentence + "\n", refused.status, headers=headers)


def access_of(request: HTTPConnection) -> Access | None:
    """What the gate let this request do; None where it did not come through one."""
    found: Access | None = request.scope.get(_ACCESS)
    return found
