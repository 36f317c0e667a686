"""Where lines come from: a file, or the chunks that the collector received."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

import sqlalchemy as sa

from afterglow_store.engine import Store
from afterglow_store.errors import SourceShrunk, SourceUnreadable
from afterglow_store.schema import journal_chunk

JOURNAL = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # a journal's name: the UUID that its writer made
MAX_EVENT_LOG_LINE_BYTES = 64 << 20
MAX_JOURNAL_LINE_BYTES = 8 << 20  # the listener writes none that is longer than 4 MiB
GZIP, IDENTITY = "gzip", "identity"  # the encodings of a chunk


class LineSource(Protocol):
    """Bytes that only ever grow. `name` tells it from all others in this store, `journal` everywhere."""

    @property
    def name(self) -> str: ...

    @property
    def journal(self) -> str | None: ...

    @property
    def earlier(self) -> tuple[str, ...]:
        """The names of the sources that this one goes on after. The first says of which application it is."""

    @property
    def max_line_bytes(self) -> int: ...

    @property
    def written(self) -> int | None:
        """When (ms) it was last written to, where that says more than when it was read: of event logs."""

    def read(self, position: int, size: int) -> bytes:
        """At most `size` bytes from `position` on; nothing at its end. Raises SourceShrunk."""


class Readable(Protocol):
    """A file, or an object in a store."""

    def open(self, mode: Literal["rb"]) -> BinaryIO: ...


@contextmanager
def readable(name: str) -> Iterator[None]:
    """What the system says of a file that is there raises SourceUnreadable: a permission that is missing, a disk that
    does not answer."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise SourceUnreadable(f"{name} cannot be read: {exc.strerror or exc}") from exc


def read_range(path: Readable, position: int, size: int) -> bytes:
    """At most `size` bytes from `position` on. Raises SourceShrunk."""
    with path.open("rb") as file:
        there = file.seek(0, 2)
        if there < position:
            raise SourceShrunk(f"{path} has shrunk to {there} bytes, {position} of it were read before")
        file.seek(position)
        return file.read(size)


@dataclass(frozen=True)
class FileSource:
    """A journal or event log in a folder."""

    path: Path
    max_line_bytes: int = MAX_EVENT_LOG_LINE_BYTES
    earlier: tuple[str, ...] = ()
    written: int | None = None

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def journal(self) -> str | None:
        return self.path.stem if self.path.suffix == ".jsonl" and JOURNAL.fullmatch(self.path.stem) else None

    def read(self, position: int, size: int) -> bytes:
        return read_range(self.path, position, size)


@dataclass(frozen=True)
class ReceivedSource:
    """A journal that comes through the collector."""

    store: Store
    journal: str
    max_line_bytes: int = MAX_JOURNAL_LINE_BYTES
    earlier: tuple[str, ...] = ()
    written: int | None = None

    @property
    def name(self) -> str:
        return f"collector:{self.journal}"

    def read(self, position: int, size: int) -> bytes:
        c = journal_chunk.c
        later = sa.select(c.start, c.encoding, c.data).where(c.journal == self.journal, c.end > position)
        found = bytearray()
        with self.store.read() as conn:
            for start, encoding, data in conn.execute(later.order_by(c.start)):
                if start > position + len(found):  # what is between them is still to come
                    break
                found += plain(data, encoding)[position + len(found) - start :]
                if len(found) >= size:
                    break
        return bytes(found[:size])


def plain(data: bytes, encoding: str) -> bytes:
    """A chunk's bytes as the journal has them."""
    return zlib.decompress(data, wbits=31) if encoding == GZIP else data
