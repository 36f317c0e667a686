"""What one transaction takes in of a source: read and parsed before the store is locked."""

from __future__ import annotations

from dataclasses import dataclass, field

from afterglow_store.errors import SourceRefused
from afterglow_store.lines import read_lines
from afterglow_store.parsing import Parsed, parse
from afterglow_store.sources import LineSource

LOG_BYTES = 128 << 20  # of an event log, nearly all of which is tasks, of which a transaction has only the sums …
WHOLE_BYTES = 8 << 20  # … but no more of other lines than that


@dataclass
class Portion:
    """What lies between two positions of a source."""

    start: int
    end: int
    in_long_line: bool = False  # it ends within a line that is too long
    parsed: Parsed = field(default_factory=Parsed)
    at_end: bool = False  # no complete line came after it
    refused: SourceRefused | None = None  # why it ends there

    @property
    def has_hole(self) -> bool:
        """Whether its writer has dropped a part of it, since a collector had that."""
        return any(line.head.startswith(b"\0") for line in self.parsed.bad)


def read_portion(
    source: LineSource, position: int, *, head: bool = False, in_long_line: bool = False, with_tasks: bool = True
) -> Portion | None:
    """What comes at `position`, None before a line is complete. As `read_lines`; what a source is refused for after
    its first lines is told in the portion."""
    portion = Portion(position, position, in_long_line, Parsed(with_tasks))
    try:
        while _has_room(portion, source):
            first = portion.end == position
            stretch = read_lines(source, portion.end, head=head and first, in_long_line=portion.in_long_line)
            if stretch is None:
                portion.at_end = True
                break
            parse(stretch, portion.parsed)
            portion.end, portion.in_long_line = stretch.end, stretch.in_long_line
    except SourceRefused as exc:
        if portion.end == position:
            raise
        portion.refused = exc
    return portion if portion.end > position else None


def _has_room(portion: Portion, source: LineSource) -> bool:
    read = portion.end - portion.start
    if source.written is None:
        return read == 0
    return read < LOG_BYTES and portion.parsed.whole < WHOLE_BYTES
