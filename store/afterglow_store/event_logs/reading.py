"""A file of an event log as a source of lines."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

from afterglow_store.errors import SourceShrunk
from afterglow_store.event_logs.ahead import ahead
from afterglow_store.event_logs.codecs import BrokenLog, codec_of, plain
from afterglow_store.event_logs.finding import plain_name
from afterglow_store.event_logs.places import Place
from afterglow_store.sources import MAX_EVENT_LOG_LINE_BYTES

Mark = tuple[int, int]  # where reading may begin anew: the byte in the file, and that in the plain bytes
START: Mark = (0, 0)
AHEAD_BYTES = 1 << 20  # on disk: of a smaller file a thread saves nothing


class LogFile:
    """Its positions are those in the plain bytes. What is unpacked is not unpacked again as long as each reading begins
    where the one before did, or later; nor what is before `resume`, a mark of an earlier LogFile."""

    journal: str | None = None
    max_line_bytes = MAX_EVENT_LOG_LINE_BYTES

    def __init__(self, path: Place, *, earlier: tuple[str, ...] = (), resume: Mark = START) -> None:
        self.path = path
        self.name = plain_name(path)
        self.earlier = earlier
        self._codec = codec_of(path.name)
        self.is_plain = self._codec is plain
        state = path.stat()
        self.size = state.st_size  # bytes on disk
        self.written: int | None = state.st_mtime_ns // 1_000_000
        self.passed = 0  # so many of them are behind
        if self.size < resume[0]:  # it has shrunk, which reading it from its beginning tells
            resume = START
        self._begin_at(resume)

    def mark_at(self, position: int) -> Mark:
        """The last one from which `position` can be read, a position that was read not long ago."""
        return max((mark for mark in self._marks if mark[1] <= position), default=START)

    def read(self, position: int, size: int) -> bytes:
        """More than `size` where that is unpacked anyway: to cut it off would be to copy all of it. Raises BrokenLog
        where the file is damaged."""
        if self.is_plain and not self._start <= position <= self._start + len(self._unpacked):
            self._begin_at(self._anywhere(position))
        elif position < self._start:
            self._begin_at(self.mark_at(position))
        self._unpack(position, size)
        if position > self._start:
            raise SourceShrunk(f"{self.path} has shrunk: {position} plain bytes of it were read before")
        while len(self._marks) > 1 and self._marks[1][1] <= position - MAX_EVENT_LOG_LINE_BYTES:
            self._marks.popleft()
        return self._unpacked

    def _anywhere(self, position: int) -> Mark:
        if position > (there := self.path.stat().st_size):
            raise SourceShrunk(f"{self.path} has shrunk to {there} bytes, {position} of it were read before")
        return position, position

    def _begin_at(self, mark: Mark) -> None:
        self._marks = deque([mark])  # and those after it; the first is before the line that is read
        self._pieces = self._read_pieces(mark)
        self._broken: BrokenLog | None = None
        self._start, self._unpacked = mark[1], b""  # the plain bytes from `_start` on, as far as unpacked

    def _unpack(self, position: int, size: int) -> None:
        """So that what is unpacked begins at `position`, if there is so much, and has `size`."""
        held = self._unpacked[position - self._start :]
        self._start = min(position, self._start + len(self._unpacked))
        pieces, there = [held], len(held)
        while there < size and (piece := self._next()) is not None:
            piece, self._start = piece[position - self._start :], min(position, self._start + len(piece))
            pieces.append(piece)
            there += len(piece)
        self._unpacked = b"".join(pieces)
        if self._broken is not None and there == len(held):
            raise self._broken

    def _next(self) -> bytes | None:
        """What comes before damage is told before the damage."""
        try:
            return next(self._pieces, None)
        except BrokenLog as exc:
            self._broken = exc
            return None

    def _read_pieces(self, since: Mark) -> Iterator[bytes]:
        plain_bytes, pieces = since[1], self._packed_pieces(since[0])
        in_memory = self.is_plain and isinstance(self.path, Path)  # as the system reads ahead itself
        for piece, again, passed in pieces if in_memory or self.size < AHEAD_BYTES else ahead(pieces):
            self.passed = passed
            plain_bytes += len(piece)
            if again is not None:
                self._marks.append((again, plain_bytes))
            yield piece

    def _packed_pieces(self, since: int) -> Iterator[tuple[bytes, int | None, int]]:
        """With where in the file they end."""
        try:
            with self.path.open("rb") as file:
                file.seek(since)
                for piece, again in self._codec(file):
                    yield piece, again, file.tell()
        except BrokenLog as exc:
            raise BrokenLog(f"{self.path}: {exc}") from exc
