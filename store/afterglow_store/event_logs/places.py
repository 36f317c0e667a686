"""Where event logs lie: in local folders, and in object stores through fsspec, by URLs such as s3://bucket/folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

from afterglow_store.errors import SourceRefused

BLOCK_BYTES = 4 << 20  # what is asked for at least: a request costs some 30 ms whatever its size


class State(NamedTuple):
    """Of an object, by the names that a file's has."""

    st_size: int  # bytes
    st_mtime_ns: int


@dataclass(frozen=True, order=True)
class ObjectPath:
    """An object, or what is a folder by the names of others. As much of a pathlib.Path as is needed here; raises
    FileNotFoundError as that does, and SourceRefused for all else that a store can say."""

    url: str
    said: dict[str, Any] | None = field(default=None, compare=False, hash=False, repr=False)  # by its folder's listing

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        return PurePosixPath(self.url).name

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.url).suffix

    def is_file(self) -> bool:
        try:
            return bool(self._info()["type"] == "file")
        except FileNotFoundError:
            return False

    def exists(self) -> bool:
        with self._opened() as (system, path):
            system.invalidate_cache()
            return bool(system.exists(path))

    def iterdir(self) -> Iterator[ObjectPath]:
        with self._opened() as (system, path):
            listed = system.ls(path, detail=True, refresh=True)
        for said in listed:
            name = PurePosixPath(said["name"]).name
            if said["name"].strip("/") != path.strip("/"):  # some stores have an object for the folder itself
                yield ObjectPath(f"{self.url.rstrip('/')}/{name}", said)

    def stat(self) -> State:
        said = self._info()
        modified = next(
            (said[key] for key in ("LastModified", "mtime", "updated", "last_modified") if key in said), None
        )
        millis = modified.timestamp() if isinstance(modified, datetime) else 0
        return State(int(said["size"]), int(millis * 1_000) * 1_000_000)

    def open(self, mode: str) -> BinaryIO:
        """Reads by ranges."""
        with self._opened() as (system, path):
            return _Told(system.open(path, mode, block_size=BLOCK_BYTES, cache_type="readahead"), self)  # type: ignore[return-value]

    def _info(self) -> dict[str, Any]:
        if self.said is not None:
            return self.said
        with self._opened() as (system, path):
            return dict(system.info(path))

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, str]]:
        with told(self.url):
            from fsspec.core import url_to_fs  # noqa: PLC0415 - optional

            yield url_to_fs(self.url)


Place = Path | ObjectPath


def place(name: str) -> Place:
    """By its URL, or a local path."""
    return ObjectPath(name.rstrip("/")) if "://" in name else Path(name).expanduser().absolute()


@contextmanager
def told(url: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except ImportError as exc:
        raise SourceRefused(
            f"{url}: {exc}: pip install 'afterglow[object-stores]', and what fsspec needs for it"
        ) from exc
    except Exception as exc:  # each store's client has errors of its own
        raise SourceRefused(f"{url}: {exc or repr(exc)}") from exc


class _Told:
    """A file whose reads raise SourceRefused where its store fails."""

    def __init__(self, file: Any, of: ObjectPath) -> None:
        self._file, self._url = file, of.url

    def read(self, size: int = -1) -> bytes:
        with told(self._url):
            return bytes(self._file.read(size))

    def seek(self, position: int, whence: int = 0) -> int:
        return int(self._file.seek(position, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def __enter__(self) -> _Told:
        return self

    def __exit__(self, *said: object) -> None:
        self._file.close()
