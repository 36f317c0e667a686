"""What must not be told: settings name where it is (``env:NAME``, ``file:PATH``), and it is read when it is needed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

from afterglow_monitor.errors import BadSettings

_REFERENCES = ("env:", "file:")
_USERINFO = re.compile(r"(?<=://)[^/\s@]*@")


def is_reference(said: str) -> bool:
    return said.startswith(_REFERENCES)


def read_secret(said: str, setting: str, environ: Mapping[str, str] = os.environ) -> str:
    """What `said` refers to; `said` itself where it is no reference. Raises BadSettings, which names the `setting`."""
    kind, _, name = said.partition(":")
    if kind == "env":
        found = environ.get(name)
        if not found:
            raise BadSettings(f"{setting} = {said!r}: there is no {name} in the environment")
        return found
    if kind == "file":
        try:
            return Path(name).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise BadSettings(f"{setting} = {said!r} cannot be read: {type(exc).__name__}") from exc
    return said


def has_password(uri: str) -> bool:
    try:
        return urlsplit(uri).password is not None
    except ValueError:
        return "@" in uri


def with_credentials(uri: str, credentials: str) -> str:
    """`credentials`: USER:PASSWORD, or ''. Only for an address that is asked over HTTP."""
    user, _, password = credentials.partition(":")
    scheme, separator, rest = uri.partition("://")
    if not credentials or scheme not in ("http", "https"):
        return uri
    return f"{scheme}{separator}{quote(user, safe='')}:{quote(password, safe='')}@{_USERINFO.sub('', '://' + rest)[3:]}"


def hushed(text: str) -> str:
    """A message without the user and password of any address in it."""
    return _USERINFO.sub("***@", text)
