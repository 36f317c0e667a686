"""The routes of the API for a web application: GET and HEAD, JSON, ETag."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import orjson
from anyio import CapacityLimiter, to_thread
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from afterglow_monitor import artifacts
from afterglow_monitor.collecting.admission import admit
from afterglow_monitor.rest.answering import answer
from afterglow_monitor.rest.declared import Operation
from afterglow_monitor.rest.document import document
from afterglow_monitor.rest.operations import OPERATIONS
from afterglow_monitor.rest.problems import EXPECTED, METHOD, NO_SUCH_ROUTE, Problem, told
from afterglow_store import Store

BASE = "/api/v1"
READERS = 8  # that wait for the store at once
HEADERS = {"X-Content-Type-Options": "nosniff"}
CACHE = {"Cache-Control": "private, no-cache", "Vary": "Authorization"}  # kept, but asked for anew each time
_Reply = Callable[[Request], Response]


def routes(store: Callable[[], Store] = artifacts.store) -> list[Route]:
    """For a web application; `store` opens the one to read, by default the one of this environment's settings."""
    readers = CapacityLimiter(READERS)
    described = orjson.dumps(document())
    replies: dict[str, _Reply] = {"/openapi.json": lambda request: _unless_known(request, described, described)}
    replies |= {each.path: _reply_of(each, store) for each in OPERATIONS}
    return [Route(BASE + path, _Endpoint(reply, readers)) for path, reply in replies.items()]


def no_other_routes() -> list[Route]:
    """To come after all others: Streamlit would answer with its page, whatever is asked."""
    return [Route(BASE + "/{path:anything}", _Endpoint(_no_such_route, CapacityLimiter(1)))]


class _Anything(Convertor[str]):
    """Starlette's own `path` ends where a line does, and what is behind would be Streamlit's to answer."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("anything", _Anything())


def _reply_of(operation: Operation, store: Callable[[], Store]) -> _Reply:
    def reply(request: Request) -> Response:
        body, told_by = answer(store(), operation, request.path_params, request.query_params.multi_items())
        return _unless_known(request, orjson.dumps(body), orjson.dumps(told_by))

    return reply


class _Endpoint:
    """An ASGI application of its own, since Starlette answers to other methods before a function is asked."""

    def __init__(self, reply: _Reply, readers: CapacityLimiter) -> None:
        self._reply, self._readers = reply, readers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            admit(request)
            if request.method not in ("GET", "HEAD"):
                raise Problem(405, METHOD, f"{request.method} is not for here: ask by GET or HEAD")
            response = await to_thread.run_sync(self._reply, request, limiter=self._readers)
        except EXPECTED as exc:
            response = _error(exc)
        await response(scope, receive, send)


def _unless_known(request: Request, body: bytes, told_by: bytes) -> Response:
    """The body, unless who asks has it already. The tag is a weak one: it is of the rows, not of the bytes."""
    tag = f'W/"{hashlib.blake2b(told_by, digest_size=12).hexdigest()}"'
    headers = {**HEADERS, **CACHE, "ETag": tag}
    if _knows(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def _knows(request: Request, tag: str) -> bool:
    known = [each.strip() for each in request.headers.get("if-none-match", "").split(",")]
    return "*" in known or tag in known or tag.removeprefix("W/") in known


def _error(error: Exception) -> Response:
    problem = told(error)
    headers = {**HEADERS, "Cache-Control": "no-store", **problem.headers}
    if problem.status == 405:
        headers["Allow"] = "GET, HEAD"
    return Response(orjson.dumps(problem.body), problem.status, headers, "application/json")


def _no_such_route(request: Request) -> Response:
    path = request.url.path[:200]
    raise Problem(404, NO_SUCH_ROUTE, f"there is no {path}: {BASE}/openapi.json has all routes")
