"""A line to a server on which every answer comes late, as from far away or under load."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from urllib.parse import urlsplit

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.from_thread import start_blocking_portal


@contextmanager
def slow_line(address: str, *, seconds: float) -> Iterator[str]:
    """The address at which this server answers `seconds` later than it does. Requests go through at once."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(_line(address, seconds)) as port:
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def _line(address: str, seconds: float) -> AsyncIterator[int]:
    target = urlsplit(address)

    async def connected(client: ByteStream) -> None:
        server = await anyio.connect_tcp(str(target.hostname), target.port or 80)
        async with client, server, anyio.create_task_group() as both_ways:
            both_ways.start_soon(_pass_on, client, server, 0.0)
            await _pass_on(server, client, seconds)
            both_ways.cancel_scope.cancel()

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as line:
        line.start_soon(listener.serve, connected)
        yield int(listener.extra(SocketAttribute.local_port))
        line.cancel_scope.cancel()


async def _pass_on(source: ByteStream, sink: ByteStream, seconds: float) -> None:
    """Each piece `seconds` after it came, in order; the pieces do not wait for one another."""
    waiting, arrived = anyio.create_memory_object_stream[tuple[float, bytes]](10_000)

    async def send() -> None:
        async for due, piece in arrived:
            await anyio.sleep_until(due)
            await sink.send(piece)

    async with arrived, anyio.create_task_group() as sending:
        sending.start_soon(send)
        async with waiting:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                while True:
                    waiting.send_nowait((anyio.current_time() + seconds, await source.receive()))
