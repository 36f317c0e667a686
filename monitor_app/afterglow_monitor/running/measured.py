"""What the web process is asked, counted: requests by what they are for, and open pages."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# By how a path begins. What is asked for is anyone's to make up; the names of these are not.
ROUTES = {
    "/api/v1/journals/": "collector", "/api/": "api", "/artifacts/": "files", "/healthz": "probes", "/readyz": "probes",
    "/metrics": "metrics",
}  # fmt: skip
METHODS = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS")

REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "afterglow_requests", "Requests that were answered", ["route", "method", "status"], registry=REGISTRY
)
SECONDS = Histogram("afterglow_request_seconds", "How long an answer took", ["route"], registry=REGISTRY)
PAGES = Gauge("afterglow_open_pages", "Pages of Monitor that are open in a browser", registry=REGISTRY)


class Measured:
    """ASGI middleware. What it cannot count it lets through all the same."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            with PAGES.track_inprogress():
                await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, began = 500, time.perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            route = route_of(scope["path"])
            method = scope["method"] if scope["method"] in METHODS else "other"
            REQUESTS.labels(route, method, str(status)).inc()
            SECONDS.labels(route).observe(time.perf_counter() - began)


def route_of(path: str) -> str:
    return next((name for start, name in ROUTES.items() if path.startswith(start)), "pages")
