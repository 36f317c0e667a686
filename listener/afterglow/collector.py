"""The server's side of sending: where journals go to, and one request there."""

import gzip
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

REQUEST_SECONDS = 5.0
_CONFLICT = 409
# What is wrong with the request as such, or only for now; any other answer of 4xx is about that one journal.
_OF_ALL = frozenset((401, 404, 405, 408, _CONFLICT, 429))
_REASON_CHARACTERS = 200
_URL, _SECRET, _FILE = (f"spark.afterglow.collector.{name}" for name in ("url", "secret", "secretFile"))


class NotSent(Exception):
    """The collector did not take a chunk; the message says why, in a few words. `of_journal`: it takes nothing of this
    journal, whenever it is asked, and maybe of others."""

    def __init__(self, why: str, *, of_journal: bool = False) -> None:
        super().__init__(why[:_REASON_CHARACTERS])
        self.of_journal = of_journal


class BadCollector(ValueError):
    """Settings of a collector that cannot be used. The secret is never in the message."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The secret is for the configured address only."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirects)


@dataclass(frozen=True)
class Collector:
    """`url` without a slash at its end; `secret` may be empty."""

    url: str
    secret: str = field(default="", repr=False)

    def put(self, journal: str, offset: int, data: bytes, seconds: float = REQUEST_SECONDS) -> int:
        """Send the bytes of a journal from `offset` on. Where the next ones begin: behind these or, where the collector
        has more or less of the journal than was thought, somewhere else. Raises NotSent."""
        request = urllib.request.Request(  # noqa: S310 - http or https, see read_collector
            f"{self.url}/api/v1/journals/{journal}?offset={offset}",
            data=gzip.compress(data, 6),
            method="PUT",
            headers={"Content-Encoding": "gzip", "Content-Type": "application/x-ndjson"},
        )
        if self.secret:
            request.add_unredirected_header("Authorization", f"Bearer {self.secret}")
        try:
            with _opener.open(request, timeout=max(0.01, min(seconds, REQUEST_SECONDS))) as answer:
                return _position(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == _CONFLICT:
                    return _position(error.headers)
                of_journal = 400 <= error.code < 500 and error.code not in _OF_ALL
                raise NotSent(f"it answered {error.code}", of_journal=of_journal) from None
        except http.client.HTTPException as error:  # what answers speaks another language
            raise NotSent(f"it does not speak HTTP: {error!r}") from None
        except (OSError, ValueError) as error:
            raise NotSent(str(getattr(error, "reason", "") or error)) from None


def _position(headers: Any) -> int:
    try:
        return int(headers["Afterglow-Offset"])
    except (TypeError, ValueError):
        raise NotSent("it is no Afterglow collector") from None


def read_collector(setting: Callable[[str], str | None], environ: Mapping[str, str] = os.environ) -> Collector | None:
    """The collector of these Spark properties, or of the environment; None without one. Raises BadCollector."""

    def value(key: str) -> str:
        return (setting(key) or "").strip()

    url = value(_URL) or environ.get("AFTERGLOW_COLLECTOR_URL", "").strip()
    if not url:
        return None
    file = value(_FILE)
    secret = value(_SECRET) or (_read(file) if file else environ.get("AFTERGLOW_COLLECTOR_SECRET", "").strip())
    return make_collector(url, secret)


def make_collector(url: str, secret: str) -> Collector:
    """Raises BadCollector."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and parts.hostname and "@" not in url
    except ValueError:
        fits = False
    if not fits or parts.query or parts.fragment:
        shown = re.sub("//.*@", "//***@", url)
        raise BadCollector(f"{_URL}={shown} is not an address like https://afterglow.example.com, without a password")
    if not re.fullmatch("[!-~]*", secret):
        raise BadCollector(f"{_SECRET} is not of printable ASCII characters without spaces")
    return Collector(url.rstrip("/"), secret)


def _read(file: str) -> str:
    try:
        return Path(file).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise BadCollector(f"{_FILE}={file} is not a file that the driver can read") from None
