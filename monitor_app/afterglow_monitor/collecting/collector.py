"""The collector: takes the bytes of journals from drivers that share no folder with the server. docs/collector.md.

It keeps no file, and no name from outside reaches a file system: a chunk is a row, committed before it is confirmed.
"""

from __future__ import annotations

import functools
import logging
import re
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from afterglow_monitor.clock import now_ms
from afterglow_monitor.collecting.admission import Rates, Sender, admit_sender
from afterglow_monitor.collecting.bodies import Refused, encoding_of, plain_size, read_body
from afterglow_monitor.errors import BadSettings
from afterglow_monitor.settings import CollectorSettings, load_settings
from afterglow_store import Store, open_store
from afterglow_store.errors import JournalRefused, NotYours, StoreError, TooFarAhead
from afterglow_store.received import Chunk, Receipt, position_of, receive, refuse_others
from afterglow_store.sources import JOURNAL

logger = logging.getLogger(__name__)

PATH = "/api/v1/journals/{journal:path}"
OFFSET = "Afterglow-Offset"  # the header of every answer that knows it: where the next chunk has to begin
MAX_OFFSET_DIGITS = 15
MAX_BODIES = 32  # that are being read at once: of 8 MiB each at most
WRITERS = 4  # that wait for the store at once

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]


class Collector:
    """One a server; several on one store need not know of each other."""

    def __init__(self, store: Store, settings: CollectorSettings) -> None:
        self._store, self._settings = store, settings
        self._requests = Rates(settings.requests_per_second)
        self._megabytes = Rates(settings.megabytes_per_second)
        self._bodies = 0
        self._writers = CapacityLimiter(WRITERS)

    async def put(self, request: Request) -> Response:
        """Take a chunk in."""
        sender, journal = self._admit(request), _journal(request)
        start, encoding = _offset(request), encoding_of(request)
        self._requests.take(journal, 1)
        body = await self._read(request)
        self._megabytes.take(sender.key, len(body) / (1 << 20))
        receipt = await self._in_thread(lambda: self._receive(journal, start, encoding, body, sender))
        return _position(receipt.position) if receipt.taken else _elsewhere(receipt.position)

    async def get(self, request: Request) -> Response:
        """How much of a journal is here."""
        sender, journal = self._admit(request), _journal(request)
        self._requests.take(journal, 1)
        return _position(await self._in_thread(lambda: self._known(journal, sender)))

    def _admit(self, request: Request) -> Sender:
        return admit_sender(request, self._settings.read_secrets())

    async def _read(self, request: Request) -> bytes:
        if self._bodies >= MAX_BODIES:
            raise Refused(429, "too many drivers send at once", Retry_After="1")
        self._bodies += 1
        try:
            return await read_body(request)
        finally:
            self._bodies -= 1

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await to_thread.run_sync(work, limiter=self._writers)

    def _receive(self, journal: str, start: int, encoding: str, body: bytes, sender: Sender) -> Receipt:
        chunk = Chunk(start, plain_size(body, encoding), encoding, body)
        return receive(self._store, journal, chunk, now=now_ms(), cluster=sender.cluster)

    def _known(self, journal: str, sender: Sender) -> int:
        with self._store.read() as conn:
            refuse_others(conn, journal, sender.cluster)
            return position_of(conn, journal)


def routes(collector: Callable[[], Collector] | None = None) -> list[Route]:
    """For a web application; `collector` gives the one to use, by default one by this environment's settings."""
    found = collector or _configured

    async def answer(request: Request) -> Response:
        if request.method not in ("PUT", "GET", "HEAD"):
            raise Refused(405, "a journal is sent by PUT; GET tells how much of it is here", Allow="GET, HEAD, PUT")
        collector = await to_thread.run_sync(found)
        return await (collector.put if request.method == "PUT" else collector.get)(request)

    return [Route(PATH, _Endpoint(_answering(answer)))]


class _Endpoint:
    """Of every method: those that are left over Streamlit would answer, as for a file of its own."""

    def __init__(self, handle: Handler) -> None:
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._handle(Request(scope, receive))
        await response(scope, receive, send)


_opening = threading.Lock()


@functools.cache
def _opened() -> Collector:
    settings = load_settings()
    return Collector(open_store(settings.store.url), settings.collector)


def _configured() -> Collector:
    with _opening:
        return _opened()


def _answering(handle: Handler) -> Handler:
    """What is wrong with a request is said in the answer; what is wrong with the server, in its log as well."""

    async def answer(request: Request) -> Response:
        try:
            return await handle(request)
        except Refused as exc:
            return _error(exc)
        except JournalRefused as exc:
            return _error(Refused(422, f"this is no journal: {exc}"))
        except NotYours as exc:
            return _error(Refused(403, str(exc)))
        except TooFarAhead as exc:
            return _error(Refused(429, str(exc), Retry_After="10"))
        except (SQLAlchemyError, StoreError, BadSettings):
            logger.exception("a journal cannot be taken in")
            return _error(Refused(503, "Afterglow cannot reach its store, or its settings are wrong", Retry_After="5"))

    return answer


def _error(refused: Refused) -> Response:
    return JSONResponse({"error": refused.sentence}, refused.status, headers=refused.headers)


def _journal(request: Request) -> str:
    name: str = request.path_params["journal"]
    if not JOURNAL.fullmatch(name):
        raise Refused(400, "a journal's name is a UUID in lower case")
    return name


def _offset(request: Request) -> int:
    said = request.query_params.getlist("offset")
    if len(said) != 1 or not re.fullmatch(rf"[0-9]{{1,{MAX_OFFSET_DIGITS}}}", said[0]):
        raise Refused(400, "say where the chunk begins: ?offset=BYTES")
    return int(said[0])


def _position(position: int) -> Response:
    return JSONResponse({"offset": position}, headers={OFFSET: str(position)})


def _elsewhere(position: int) -> Response:
    said = {"error": f"the next chunk of this journal begins at {position}", "offset": position}
    return JSONResponse(said, 409, headers={OFFSET: str(position)})
