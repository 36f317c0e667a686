"""Tailing: new lines of the journal folders into the store."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from afterglow_store import Ingested, Store, ingest_file
from afterglow_store.errors import SourceRefused

logger = logging.getLogger(__name__)


class Tail:
    """Follows the journals of some folders. A file that is refused is left alone until it changes."""

    def __init__(self, store: Store, folders: Iterable[str | Path]) -> None:
        self._store = store
        self._folders = [Path(folder).expanduser() for folder in folders]
        self._seen: dict[Path, int] = {}  # size when it was last taken in
        self.first_looked: int | None = None  # when (ms) the first complete pass began …
        self.looked: int | None = None  # … and the last: all that was said by then is in the store

    def poll(self, now: int) -> Ingested:
        """Take in what is new. `now`: ms."""
        total = Ingested()
        for path in journals(self._folders):
            size = _size(path)
            if size is None or self._seen.get(path) == size:
                continue
            try:
                total += ingest_file(self._store, path, now=now)
            except SourceRefused as exc:
                logger.warning("%s", exc)
            self._seen[path] = size
        self.looked = now
        self.first_looked = now if self.first_looked is None else self.first_looked
        return total


def journals(folders: Iterable[Path]) -> Iterator[Path]:
    """The journal files of the folders. A path that is a file stands for itself."""
    for folder in folders:
        if folder.is_file():
            yield folder
        else:
            yield from sorted(folder.glob("*.jsonl"))


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
