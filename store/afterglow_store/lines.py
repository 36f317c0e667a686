"""Complete lines of a source, about a transaction's worth of them at a time."""

from __future__ import annotations

from dataclasses import dataclass

from afterglow_store.errors import SourceRefused
from afterglow_store.sources import LineSource

CHUNK_BYTES = 4 << 20  # a transaction's worth: large enough to be quick, small enough not to hold others up
LOG_CHUNK_BYTES = 512 << 10  # of an event log, where it is no more than what a processor keeps near while it is parsed
MAX_HEAD_BYTES = 16 << 20  # by here an application has told its name, or the file is none of ours


@dataclass(frozen=True)
class Stretch:
    """What lies between two positions of a source: complete lines, or a part of one that is too long and left out.
    `lines` may go on with the beginning of the next one: to cut it off would be to copy all the others."""

    start: int
    end: int
    lines: bytes = b""
    in_long_line: bool = False  # it ends within that line
    too_long: bytes | None = None  # how a line that is too long begins


def read_lines(source: LineSource, position: int, *, head: bool, in_long_line: bool) -> Stretch | None:
    """What comes at `position`, None before a line is complete. With `head` it goes on until an application has told
    its name, which it does only after its configuration. Raises SourceRefused where it never does."""
    if in_long_line:
        return _rest_of_long_line(source, position)
    chunk = CHUNK_BYTES if source.written is None else LOG_CHUNK_BYTES
    data = more = source.read(position, chunk)
    while b"\n" not in more or (head and not names_application(data)):
        more = source.read(position + len(data), min(max(chunk, len(data)), CHUNK_BYTES))
        if not more:
            break
        data += more
        if head and len(data) > MAX_HEAD_BYTES and not names_application(data):
            raise SourceRefused(
                f"{source.name}: no SparkListenerApplicationStart in its first {MAX_HEAD_BYTES / (1 << 20):g} MiB, "
                "so it is not the start of a Spark event log or journal"
            )
        if len(data) > source.max_line_bytes and b"\n" not in data:
            return Stretch(position, position + len(data), in_long_line=True, too_long=data[:1_000])
    whole = data.rfind(b"\n") + 1
    return Stretch(position, position + whole, data) if whole else None


def _rest_of_long_line(source: LineSource, position: int) -> Stretch | None:
    data = source.read(position, CHUNK_BYTES)
    end = data.find(b"\n") + 1
    return Stretch(position, position + (end or len(data)), in_long_line=not end) if data else None


def names_application(data: bytes) -> bool:
    return b"SparkListenerApplicationStart" in data or (b'"AfterglowJournalStart"' in data and b'"App ID"' in data)
