"""The bodies of requests: read no further than they may be long, and never unpacked beyond that."""

from __future__ import annotations

import asyncio
import zlib

from starlette.requests import ClientDisconnect, Request

from afterglow_store.sources import GZIP, IDENTITY

MAX_BODY_BYTES = 8 << 20  # as it comes, and unpacked
MAX_BODY_S = 30.0  # for one that trickles in
MAX_RATIO = 200  # of unpacked to packed, beyond the first MiB: a journal's lines come to 10 or 20
_PIECE = 256 << 10


class Refused(Exception):
    """A request that is not taken: the status of the answer, the sentence in it, and its headers."""

    def __init__(self, status: int, sentence: str, **headers: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def encoding_of(request: Request) -> str:
    said = request.headers.get("content-encoding", IDENTITY).strip().lower()
    if said not in (GZIP, IDENTITY):
        raise Refused(415, "Content-Encoding may be gzip or identity, or be left out")
    return said


async def read_body(request: Request) -> bytes:
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > MAX_BODY_BYTES:
        raise _too_long()
    body = bytearray()
    try:
        async with asyncio.timeout(MAX_BODY_S):
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    raise _too_long()
    except TimeoutError as exc:
        raise Refused(408, f"the body took longer than {MAX_BODY_S:g} s") from exc
    except ClientDisconnect as exc:
        raise Refused(400, "the body ended before it was all there") from exc
    return bytes(body)


def plain_size(body: bytes, encoding: str) -> int:
    """The size of what `body` holds, which is unpacked for that a piece at a time. Raises Refused."""
    if encoding == IDENTITY or not body:
        return len(body)
    try:
        return _unpacked_size(body)
    except zlib.error as exc:
        raise Refused(400, "the body is no gzip") from exc


def _unpacked_size(body: bytes) -> int:
    decoder, rest, size = zlib.decompressobj(wbits=31), body, 0
    while not decoder.eof:
        piece = len(decoder.decompress(rest, _PIECE))
        if not piece and not decoder.eof:
            raise Refused(400, "the gzip in the body is cut off")
        rest, size = decoder.unconsumed_tail, size + piece
        if size > MAX_BODY_BYTES or size > max(MAX_RATIO * len(body), 1 << 20):
            raise Refused(413, f"the body unpacks to over {MAX_BODY_BYTES >> 20} MiB, or {MAX_RATIO} times its size")
    if decoder.unused_data:
        raise Refused(400, "something follows the gzip in the body")
    return size


def _too_long() -> Refused:
    # Whoever sends so much is not listened to until its end.
    return Refused(413, f"a body may have {MAX_BODY_BYTES >> 20} MiB", Connection="close")
