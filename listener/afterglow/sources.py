"""Where `afterglow.search_runs` and its like read: a server's REST API over HTTP, or a store through the part that
knows it, which `afterglow[monitor]` brings. Both take the words of docs/rest.md and answer alike."""

import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from importlib.metadata import entry_points
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

ADDRESS, STORE, TOKEN = "AFTERGLOW_MONITOR_URL", "AFTERGLOW_STORE_URL", "AFTERGLOW_TOKEN"
HERE = "http://127.0.0.1:8501"  # of `afterglow up` where nothing else is said
GROUP = "afterglow.source"  # of entry points: what opens a store
ANSWER_SECONDS = 60.0  # a server stops a search of its own after a few

Row = dict[str, Any]
Words = Sequence[tuple[str, str]]


class AfterglowError(Exception):
    """All that the search functions raise on purpose.

    AfterglowError
    ├── CannotReach   no Afterglow answers there, or the store cannot be opened
    ├── CannotRead    (a ValueError) what was asked cannot be read, such as a filter: the message says where
    ├── NotThere      (a LookupError) no such run, application, experiment or snapshot
    ├── NotAllowed    (a PermissionError) it takes a token, or another one: AFTERGLOW_TOKEN
    └── TookTooLong   (a TimeoutError) the search was stopped: ask for a shorter time, or for less
    """


class CannotReach(AfterglowError):
    pass


class CannotRead(AfterglowError, ValueError):
    pass


class NotThere(AfterglowError, LookupError):
    pass


class NotAllowed(AfterglowError, PermissionError):
    pass


class TookTooLong(AfterglowError, TimeoutError):
    pass


_RAISED: dict[int, type[AfterglowError]] = {
    400: CannotRead, 401: NotAllowed, 403: NotAllowed, 404: NotThere,
}  # fmt: skip


class Source(Protocol):
    def ask(self, path: str, words: Words) -> tuple[int, Row]:
        """The HTTP status and the JSON object that REST has for this path below /api/v1. Raises CannotReach."""

    def close(self) -> None: ...


@contextmanager
def opened(source: str | None) -> Iterator["Asking"]:
    """What answers from here: an address of a server, the URL of a store, or by default what the environment names."""
    where = source or os.environ.get(ADDRESS, "").strip() or os.environ.get(STORE, "").strip() or HERE
    with closing(_source(where)) as found:
        yield Asking(found)


class Asking:
    def __init__(self, source: Source) -> None:
        self._source = source

    def ask(self, path: str, words: Words) -> Row:
        """Raises AfterglowError."""
        status, body = self._source.ask(path, words)
        if status == 200:
            return body
        message = str(body.get("message") or body.get("error") or f"the answer was {status}")
        stopped = body.get("error_code") == "DEADLINE_EXCEEDED"
        raise (TookTooLong if stopped else _RAISED.get(status, CannotReach))(message)

    def rows(self, path: str, name: str, words: Words, most: int | None) -> Iterator[Row]:
        """All rows of a list, a page at a time, at most so many. Raises AfterglowError."""
        left, token = most, ""
        while left is None or left > 0:
            size = 1_000 if left is None else min(left, 1_000)
            page = [("max_results", str(size)), *([("page_token", token)] if token else [])]
            body = self.ask(path, [*words, *page])
            yield from body[name]
            left = None if left is None else left - len(body[name])
            if not (token := body["next_page_token"] or ""):
                return


def _source(where: str) -> Source:
    if re.match("https?://", where):
        return Server(where, os.environ.get(TOKEN, "").strip())
    if "://" not in where:
        raise CannotReach(
            f"{_shown(where)} is neither the address of a server, such as {HERE}, nor the URL of a store, such as "
            "sqlite:////home/me/.afterglow/store.db"
        )
    return _store(where)


def _store(url: str) -> Source:
    missing = (
        f"to read the store {_shown(url)} needs the server's part, which is not installed here: "
        f"pip install 'afterglow[monitor]', or give the address of a server, such as {HERE}"
    )
    found = next(iter(entry_points(group=GROUP)), None)
    if found is None:
        raise CannotReach(missing)
    try:
        open_store = found.load()
    except ModuleNotFoundError as exc:
        raise CannotReach(f"{missing} ({exc.name} is missing)") from exc
    try:
        source: Source = open_store(url)
    except OSError as exc:
        raise CannotReach(str(exc)) from exc
    return source


class Server:
    """A server's REST API, each answer of which is waited for so long."""

    def __init__(self, address: str, token: str = "", seconds: float = ANSWER_SECONDS) -> None:
        parts = urlsplit(address)
        if not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
            raise CannotReach(f"{_shown(address)} is not an address like {HERE}, without a password")
        if not re.fullmatch("[!-~]*", token):
            raise CannotReach(f"{TOKEN} is not of printable ASCII characters without spaces")
        self._address, self._token, self._seconds = address.rstrip("/"), token, seconds

    def ask(self, path: str, words: Words) -> tuple[int, Row]:
        request = urllib.request.Request(  # noqa: S310 - http or https, see _source
            f"{self._address}/api/v1{path}?{urlencode(words)}", headers={"Accept": "application/json"}
        )
        if self._token:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        try:
            with urllib.request.urlopen(request, timeout=self._seconds) as answer:  # noqa: S310
                return answer.status, self._read(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, self._read(error)
        except (OSError, ValueError) as error:
            raise self._unreachable(str(getattr(error, "reason", "") or error)) from error

    def _read(self, answer: Any) -> Row:
        try:
            body = json.load(answer)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise self._unreachable("what answers there is no Afterglow, or an older one")
        return body

    def _unreachable(self, why: str) -> CannotReach:
        return CannotReach(
            f"{self._address} cannot be read: {why}. Start the server (afterglow up), or say where it is: "
            f"source='http://…', or {ADDRESS} in the environment"
        )

    def close(self) -> None:
        pass


def _shown(url: str) -> str:
    return re.sub("//[^/]*@", "//***@", url)
