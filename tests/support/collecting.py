"""A real collector over HTTP, and all the ways in which one can fail its senders."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette

from afterglow_monitor.clock import now_ms
from afterglow_monitor.collecting.collector import Collector, routes
from afterglow_monitor.collecting.journals import ReceivedTail
from afterglow_monitor.settings import CollectorSettings
from afterglow_store import Store
from tests.support.tracking import free_port

WELL, REFUSES, HANGS, FAILS, SLOW, DIES, LOSES_ANSWERS, FOREIGN = (
    "well", "refuses", "hangs", "answers 500", "slow", "dies midway", "loses its answers", "is another server",
)  # fmt: skip
SLOW_S = 1.5


class CollectorServer:
    """Serves `store`, `how` it is told to; `start` and `stop` may follow each other."""

    def __init__(self, store: Store, settings: CollectorSettings | None = None, *, how: str = WELL) -> None:
        self.store, self.how, self.requests = store, how, 0
        self.port = free_port()
        collector = Collector(store, settings or CollectorSettings())
        self._app = Starlette(routes=routes(lambda: collector))
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        config = uvicorn.Config(
            self._asgi, port=self.port, log_level="critical", timeout_graceful_shutdown=1, interface="asgi3", workers=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(10)
            self._server = None

    def take_in(self) -> int:
        """What was received becomes rows; how many lines."""
        return ReceivedTail(self.store).poll(now_ms()).lines

    async def _asgi(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.requests += 1
        if self.how in (FAILS, FOREIGN):
            await send({"type": "http.response.start", "status": 500 if self.how == FAILS else 200, "headers": []})
            await send({"type": "http.response.body", "body": b"no"})
        elif self.how == HANGS:
            await asyncio.sleep(30)
        elif self.how == DIES:
            await receive()
            raise ConnectionResetError
        elif self.how == LOSES_ANSWERS and self.requests % 2:
            await self._app(scope, receive, _nothing)
            raise ConnectionResetError
        else:
            if self.how == SLOW:
                await asyncio.sleep(SLOW_S)
            await self._app(scope, receive, send)


async def _nothing(message: Any) -> None:
    """The answer that never arrives."""


@contextmanager
def running_collector(
    store: Store, settings: CollectorSettings | None = None, *, how: str = WELL
) -> Iterator[CollectorServer]:
    server = CollectorServer(store, settings, how=how)
    if how != REFUSES:
        server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def silent_port() -> Iterator[int]:
    """A port where connections are made and never read from."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        yield int(listening.getsockname()[1])
