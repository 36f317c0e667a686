"""Requests to a web application in this process: what a peer elsewhere sends, bytes as they are, thousands a second."""

import asyncio
import json
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette


@dataclass(frozen=True)
class Answer:
    status_code: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


class Asgi:
    """A client of `app` whose address is `peer`."""

    def __init__(self, app: Starlette, peer: str = "127.0.0.1", host: str = "127.0.0.1") -> None:
        self._app, self._peer, self._host = app, peer, host
        # In a thread of its own: a browser that other tests have open keeps a loop running in this one.
        self._thread, self._runner = ThreadPoolExecutor(1), asyncio.Runner()
        weakref.finalize(self, _close, self._thread, self._runner)

    def ask(
        self, method: str, target: str, body: Sequence[bytes] = (), headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> Answer:
        """`target` is a path with its query, percent-encoded; `body` comes piece by piece."""
        path, _, query = target.partition("?")
        scope = {
            "type": "http", "http_version": "1.1", "method": method, "scheme": "http", "path": unquote(path),
            "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
            "headers": [(b"host", self._host.encode()), *headers],
            "client": (self._peer, 50_000), "server": ("127.0.0.1", 80),
        }  # fmt: skip
        return self._thread.submit(self._runner.run, self._exchange(scope, list(body))).result()

    def connect(self, path: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> list[dict[str, Any]]:
        """What a websocket that wants to open is told first."""
        scope = {
            "type": "websocket", "scheme": "ws", "path": path, "query_string": b"", "root_path": "", "subprotocols": [],
            "headers": [(b"host", self._host.encode()), *headers],
            "client": (self._peer, 50_000), "server": ("127.0.0.1", 80),
        }  # fmt: skip
        return self._thread.submit(self._runner.run, self._knock(scope)).result()

    async def _knock(self, scope: dict[str, Any]) -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.disconnect" if sent else "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        return sent

    async def _exchange(self, scope: dict[str, Any], pieces: list[bytes]) -> Answer:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            piece = pieces.pop(0) if pieces else b""
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        headers = {name.decode().title(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        text = b"".join(message.get("body", b"") for message in sent[1:]).decode()
        return Answer(sent[0]["status"], headers, text)


def _close(thread: ThreadPoolExecutor, runner: asyncio.Runner) -> None:
    thread.submit(runner.close)
    thread.shutdown()
