"""The second line of redaction: event logs and foreign journals were not written by our listener.

The rules are those of docs/journal.md, and those of the listener. Every expression is possessive and begins at the
start of a word, so that the cost stays linear whatever the text.
"""

from __future__ import annotations

import functools
import re
from typing import Any

REDACTED = "*********(redacted)"
_SECRET_KEY = re.compile(
    r"secret|password|token|credential|passwd|passphrase|(?:^|[._-])pwd$"
    r"|access[.]?key|(?:api|access|private|account)[._-]?key(?!s?[._-]?id)",
    re.IGNORECASE,
)
# Of tokens in texts, not of access: they are counted.
_INNOCENT_KEY = re.compile(
    r"tokeni[sz]|tokens?[._-]?(?:count|limit|num|len)|(?:num|max|min|n)[._-]?tokens?$", re.IGNORECASE
)
# A word, then an equals sign, a colon (with or without quotes around them), or only space.
_KEY = re.compile(r"(?<![\w.-])([\w.-]++)(?:(\\*+[\"']?\s*+[=:]\s*+)|\s++)", re.ASCII)
_URL = re.compile(r"(?<![\w+.-])([A-Za-z][\w+.-]*+)://([^/?#\s\"'<>]++)", re.ASCII)
_ORACLE = re.compile(r"(jdbc:oracle:\w++:)[^@/\s]++/[^@\s]++@")
_CONTAINER_SCHEME = re.compile(r"abfss?|wasbs?", re.IGNORECASE)  # what stands before the @ there is no user
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9_])(?:eyJ[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*+)?+|(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"
    r"|gh[pousr]_[A-Za-z0-9]{20,}+|github_pat_\w{20,}+|dapi[0-9a-f]{32}(?:-\d)?+(?!\w)|xox[a-z]-[A-Za-z0-9-]{10,}+)",
    re.ASCII,
)
_BEARER = re.compile(
    r"(?<!\w)(bearer\s++|basic\s++)(?:(?=[a-z+/=_.~-]*+\d)[\w+/=.~-]{6,}+|[\w+/=.~-]{20,}+)", re.IGNORECASE | re.ASCII
)
_FREE_TEXTS = frozenset(
    ("name", "description", "job_group", "tags", "error", "plan", "inputs", "outputs", "removed_reason", "master",
     "driver_error", "context_error")
)  # fmt: skip
_VALUE = re.compile(r"[^\s,;&\"']*+")


def redact_properties(properties: dict[str, str]) -> dict[str, str]:
    """The properties, with the whole value gone where the key tells a secret, and its secret-shaped parts elsewhere."""
    return {key: REDACTED if _names_secret(key) else redact_text(value) for key, value in properties.items()}


def redact_values(row: dict[str, Any]) -> dict[str, Any]:
    """The row's values, with free texts redacted, also those inside of lists and objects."""
    return {column: _redacted(value) if column in _FREE_TEXTS else value for column, value in row.items()}


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, list):
        return [_redacted(each) for each in value]
    return {key: _redacted(each) for key, each in value.items()} if isinstance(value, dict) else value


def redact_text(text: str) -> str:
    """The text without its secret-shaped parts. Twice is the same as once."""
    return _of_short(text) if len(text) < 200 else _without_secrets(text)


@functools.lru_cache(maxsize=4_096)
def _of_short(text: str) -> str:
    """Most are the properties of a Spark, which are the same in the next application."""
    return _without_secrets(text)


def _without_secrets(text: str) -> str:
    if "@" in text:
        text = _ORACLE.sub(rf"\1{REDACTED}@", _URL.sub(_without_user, text))
    if _SECRET_KEY.search(text) or "pwd" in text.lower():
        text = _without_pairs(text)
    return _BEARER.sub(rf"\1{REDACTED}", _TOKEN.sub(REDACTED, text))


@functools.lru_cache(maxsize=4_096)
def _names_secret(key: str) -> bool:
    return _SECRET_KEY.search(_INNOCENT_KEY.sub("", key)) is not None  # a tokenizer's password is one all the same


def _without_user(url: re.Match[str]) -> str:
    scheme, authority = url.groups()
    user, at, host = authority.rpartition("@")
    if not user or (_CONTAINER_SCHEME.fullmatch(scheme) and ":" not in authority):
        return url[0]
    return f"{scheme}://{REDACTED}{at}{host}"


def _without_pairs(text: str) -> str:
    clean, done, at = [], 0, 0
    while key := _KEY.search(text, at):
        at = key.end()
        joined = key[2] is not None or key[1].startswith("--")
        if joined and _names_secret(key[1]):
            start, end = _value(text, key)
            if end > start:
                clean += [text[done:start], REDACTED]
                done = at = end
    return "".join([*clean, text[done:]])


def _value(text: str, key: re.Match[str]) -> tuple[int, int]:
    """Where the value begins and ends; nowhere, if the pair is none."""
    at = key.end()
    quote = at
    while quote < len(text) and text[quote] == "\\":
        quote += 1
    if quote < len(text) and text[quote] in "\"'":
        return quote + 1, _quoted_end(text, quote + 1, quote - at)
    # "token = x" and "token: x" without quotes are a condition or a column and its type, not a secret.
    option = key[2] is None and not text.startswith("--", at)
    value = _VALUE.match(text, at)
    return at, value.end() if value and (option or key[2] == "=") else at


def _quoted_end(text: str, start: int, backslashes: int) -> int:
    """Up to the closing quote, which has no more backslashes than the opening one had."""
    quote, at = text[start - 1], start
    while (at := text.find(quote, at)) >= 0:
        before = at
        while before > start and text[before - 1] == "\\":
            before -= 1
        if at - before <= backslashes:
            return before
        at += 1
    return len(text)
