"""Whether the web process lives, and whether all that it needs is there: /healthz and /readyz, told to anyone."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable

import anyio
from anyio import to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from afterglow_monitor.settings import load_settings
from afterglow_store import Store, leases, migrate
from afterglow_store.engine import connect
from afterglow_store.errors import StoreError

HEALTHY, READY = "/healthz", "/readyz"
PATIENCE_S = 5.0  # for the store's answer
LATE_BEAT_MS = 30_000  # a worker beats every five seconds
OK = "ok"


def routes() -> list[Route]:
    return [Route(HEALTHY, _healthy, methods=["GET"]), Route(READY, _ready, methods=["GET"])]


async def _healthy(_: Request) -> Response:
    return _told(200, {"process": OK})


async def _ready(_: Request) -> Response:
    found = {"store": "it does not answer in time", "schema": "unknown", "worker": "unknown"}
    with anyio.move_on_after(PATIENCE_S):
        found = await to_thread.run_sync(functools.partial(checks, store), abandon_on_cancel=True)
    return _told(200 if set(found.values()) == {OK} else 503, found)


def checks(opened: Callable[[], Store]) -> dict[str, str]:
    """Of the store, its schema and the worker: "ok", or what is wrong."""
    try:
        with opened().read() as conn:
            at = migrate.revision(conn)
            schema = (
                OK if at == migrate.HEAD else f"the store is at {at or 'none'}, this Afterglow needs {migrate.HEAD}"
            )
            return {
                "store": OK,
                "schema": schema,
                "worker": _worker(leases.last_beat(conn)) if schema == OK else "unknown",
            }
    except (StoreError, SQLAlchemyError):  # whoever asks is not told where the store is
        return {"store": "it does not answer", "schema": "unknown", "worker": "unknown"}


def _worker(beat_ms: int | None) -> str:
    if beat_ms is None:
        return "no worker has ever said that it lives"
    return OK if beat_ms <= LATE_BEAT_MS else f"no worker has said for {beat_ms // 1000} s that it lives"


def _told(status: int, said: dict[str, str]) -> Response:
    return JSONResponse(said, status, headers={"Cache-Control": "no-store"})


_opening = threading.Lock()


def store() -> Store:
    """Opened as it is: who asks how it is must not bring its schema up to date. Raises StoreUnreachable."""
    with _opening:
        return _opened()


@functools.cache
def _opened() -> Store:
    return connect(load_settings().store.url)
