"""A file of an event log as a source of lines."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from afterglow_store.errors import SourceShrunk
from afterglow_store.event_logs.codecs import BrokenLog, codec_of, plain
from afterglow_store.event_logs.finding import plain_name
from afterglow_store.event_logs.places import Place
from afterglow_store.sources import MAX_EVENT_LOG_LINE_BYTES, read_range

Mark = tuple[int, int]  # where reading may begin anew: the byte in the file, and that in the plain bytes
START: Mark = (0, 0)


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
        state = path.stat()
        self.size = state.st_size  # bytes on disk
        self.written: int | None = state.st_mtime_ns // 1_000_000
        self.passed = 0  # so many of them are behind
        if self.size < resume[0]:  # it has shrunk, which reading it from its beginning tells
            resume = START
        self._marks = deque([resume])  # the last one at or before `_start`, and those after it
        self._pieces = self._read_pieces(resume)
        self._start, self._unpacked = resume[1], bytearray()  # the plain bytes from `_start` on, as far as unpacked

    @property
    def mark(self) -> Mark:
        """The last one before what was read last began."""
        return self._marks[0]

    def read(self, position: int, size: int) -> bytes:
        """Raises BrokenLog where the file is damaged."""
        if self._codec is plain:
            self.passed = position
            return read_range(self.path, position, size)
        if position < self._start:
            self._marks = deque([START])
            self._pieces, self._start = self._read_pieces(START), 0
            self._unpacked.clear()
        self._unpack(until=position + size)
        if position > self._start + len(self._unpacked):
            raise SourceShrunk(f"{self.path} has shrunk: {position} plain bytes of it were read before")
        del self._unpacked[: position - self._start]
        self._start = position
        while len(self._marks) > 1 and self._marks[1][1] <= position:
            self._marks.popleft()
        return bytes(self._unpacked[:size])

    def _unpack(self, until: int) -> None:
        while self._start + len(self._unpacked) < until and (piece := next(self._pieces, None)) is not None:
            self._unpacked += piece
            if self._start + len(self._unpacked) + MAX_EVENT_LOG_LINE_BYTES < until:  # far from there: to be skipped
                self._start += len(self._unpacked)
                self._unpacked.clear()

    def _read_pieces(self, since: Mark) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                file.seek(since[0])
                plain_bytes = since[1]
                for piece, again in self._codec(file):
                    self.passed = file.tell()
                    plain_bytes += len(piece)
                    if again is not None:
                        self._marks.append((again, plain_bytes))
                    yield piece
        except BrokenLog as exc:
            raise BrokenLog(f"{self.path}: {exc}") from exc
