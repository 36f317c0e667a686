"""What pages and the route that sends files tell each other: how far a download is, and selections of many rows.

Both are of this process, in which a page and its download mostly are. Where another server sends the file, the page
shows no progress; a selection that fits into an address is in the address.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

NAME = re.compile(r"[0-9a-f]{32}-[a-z]+")  # of a download, by whoever draws its link
MOST_DOWNLOADS, MOST_SELECTIONS = 1_000, 200  # the latest that are known

LOOKING, SENDING, DONE, STOPPED = "looking", "sending", "done", "stopped"

T = TypeVar("T")


@dataclass
class Progress:
    """`rows` of `total`, which None is where it is not known: that were looked at for the file's columns, that are on
    their way, or that were when it ended."""

    total: int | None = None
    rows: int = 0
    state: str = LOOKING

    def counted(self, found: Iterator[T]) -> Iterator[T]:
        for each in found:
            self.rows += 1
            yield each

    def followed(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """`pieces` of the file. If they are not read to their end, its browser has left, or there was an error."""
        try:
            yield from pieces
            self.state = DONE
        finally:
            if self.state != DONE:
                self.state = STOPPED


class _Latest(Generic[T]):
    """The latest of some things, by name."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._kept: OrderedDict[str, T] = OrderedDict()

    def keep(self, name: str, value: T) -> None:
        with self._lock:
            self._kept[name] = value
            self._kept.move_to_end(name)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def get(self, name: str) -> T | None:
        with self._lock:
            return self._kept.get(name)


_progress: _Latest[Progress] = _Latest(MOST_DOWNLOADS)
_selections: _Latest[tuple[str, ...]] = _Latest(MOST_SELECTIONS)


def begun(name: str) -> Progress:
    """Of a download that begins now; kept under its name, if it has one."""
    progress = Progress()
    if NAME.fullmatch(name):
        _progress.keep(name, progress)
    return progress


def progress_of(name: str) -> Progress | None:
    """Of the one that was begun last under this name, here."""
    return _progress.get(name)


def keep_selection(ids: Sequence[str]) -> str:
    """The name by which `selection` finds them: the same for the same ids."""
    name = hashlib.sha256("\n".join(ids).encode()).hexdigest()
    _selections.keep(name, tuple(ids))
    return name


def selection(name: str) -> tuple[str, ...] | None:
    """None where it is not known, any more or here."""
    return _selections.get(name)
