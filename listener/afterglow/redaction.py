"""Takes secrets out of texts: of what the hook writes before it is on any disk, and once more, as the second line, of
all that the store takes in, since event logs and foreign journals were not written by us.

The rules are those of docs/journal.md, and those of the listener. Every expression is possessive and begins at the
start of a word, so that the cost stays linear whatever the text.
"""

from __future__ import annotations

import base64
import functools
import re
from typing import Any

REDACTED = "*********(redacted)"
_SECRET_KEY = re.compile(
    r"secret|password|token|credential|passwd|passphrase|(?:^|[._-])(?:pwd|sig)$|[._-]signature$|[._]sas[._]"
    r"|access[.]?key|(?:api|access|private|account)[._-]?key(?!s?[._-]?id)",
    re.IGNORECASE,
)
_MORE_OF_KEYS = re.compile(r"pwd|sig", re.IGNORECASE)  # which are secret at the end of a key only
# Of tokens in texts, not of access: they are counted.
_INNOCENT_KEY = re.compile(
    r"tokeni[sz]|tokens?[._-]?(?:count|limit|num|len)|(?<![a-z])(?:num|max|min|n)[._-]?tokens?$", re.IGNORECASE
)
# A word, then an equals sign, a colon (with or without quotes around them), an arrow, or only space.
_KEY = re.compile(r"(?<![\w.-])([\w.-]++)(?:(\\*+[\"']?\s*+(?:=>|->(?!>)|[=:])\s*+)|[\"'`]?\s++)", re.ASCII)
_URL = re.compile(r"(?<![\w+.-])([A-Za-z][\w+.-]*+)://([^/?#\s\"'<>]++)", re.ASCII)
# A password that has no business in an address as it is; a port stays.
_UNQUOTED = re.compile(
    r"(?<![\w+.-])([A-Za-z][\w+.-]*+://)[^/?#\s\"'<>:@\[]*+:(?!\d{1,5}(?:[/?,]|$))"
    r"[^/?#\s\"'<>@]*+[/?#][^\s\"'<>@]{0,200}+@"
    r"(?:[^/?#\s\"'<>@]{1,200}+@)*+",
    re.ASCII,
)
_ORACLE = re.compile(r"(jdbc:oracle:\w{1,20}+:)[^@/\s]{1,200}+/[^@\s]{1,200}+@")
_CONTAINER_SCHEME = re.compile(r"abfss?|wasbs?", re.IGNORECASE)  # what stands before the @ there is no user
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9_])(?:eyJ[\w-]{8,2000}+\.[\w-]{8,}+(?:\.[\w-]*+)?+|(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"
    r"|gh[pousr]_[A-Za-z0-9]{20,}+|github_pat_\w{20,}+|dapi[0-9a-f]{32}(?:-\d)?+(?!\w)|xox[a-z]-[A-Za-z0-9-]{10,}+)",
    re.ASCII,
)
_BEARER = re.compile(
    r"(?<!\w)(bearer\s++|basic\s++)(?:(?=[a-z+/=_.~-]*+\d)[\w+/=.~-]{6,}+|[\w+/=.~-]{20,}+)", re.IGNORECASE | re.ASCII
)
# User and password in Base64 may look like a word.
_BASIC = re.compile(r"(?<!\w)(basic\s++)([a-z0-9+/]{4,}+={0,2})", re.IGNORECASE | re.ASCII)
_VALUE = re.compile(r"[^\s,;&\"']*+")
_NUMBER = re.compile(r"[-\d][^\s,\]}]*+", re.ASCII)
_BRACKET_OR_QUOTE = re.compile(r"(?<!\\)(\\*+)([\[\]{}\"'])")
_QUOTE_OF_KEY = re.compile(r"\\*+[\"']")
_PARAMETER = re.compile(r"tokens?", re.IGNORECASE)  # of a lambda: token -> lower(token)


def redact_properties(properties: dict[str, str]) -> dict[str, str]:
    """The properties, with the whole value gone where the key tells a secret, and its secret-shaped parts elsewhere."""
    return {key: REDACTED if _names_secret(key) else redact_text(value) for key, value in properties.items()}


def redact_run(details: dict[str, Any]) -> dict[str, Any]:
    """A `Run` of docs/journal.md with no user and password in its addresses. Params, metrics and tags stay as MLflow
    has them."""
    addresses = {name: details.get(name) for name in ("source_name", "artifact_uri")}
    changed = {name: _without_users(said) for name, said in addresses.items() if isinstance(said, str) and "@" in said}
    return {**details, **changed} if changed else details


def redact_text(text: str, more_keys: re.Pattern[str] | None = None) -> str:
    """The text without its secret-shaped parts. Twice is the same as once. `more_keys` find keys of secrets that are
    none by themselves, anywhere in them."""
    return _of_short(text, more_keys) if len(text) < 200 else _without_secrets(text, more_keys)


@functools.lru_cache(maxsize=4_096)
def _of_short(text: str, more_keys: re.Pattern[str] | None) -> str:
    """Most are the properties of a Spark, which are the same in the next application."""
    return _without_secrets(text, more_keys)


def _without_secrets(text: str, more_keys: re.Pattern[str] | None) -> str:
    if "@" in text:
        text = _without_users(text)
    if more_keys is not None or _SECRET_KEY.search(text) or _MORE_OF_KEYS.search(text):
        text = _without_pairs(text, more_keys)
    return _BEARER.sub(rf"\1{REDACTED}", _BASIC.sub(_without_basic, _TOKEN.sub(REDACTED, text)))


@functools.lru_cache(maxsize=4_096)
def _names_secret(key: str) -> bool:
    return _SECRET_KEY.search(_INNOCENT_KEY.sub("", key)) is not None  # a tokenizer's password is one all the same


def _without_users(text: str) -> str:
    text = _UNQUOTED.sub(rf"\1{REDACTED}@", _URL.sub(_without_user, text))
    return _ORACLE.sub(rf"\1{REDACTED}@", text)


def _without_user(url: re.Match[str]) -> str:
    scheme, authority = url.groups()
    user, at, host = authority.rpartition("@")
    if not user or (_CONTAINER_SCHEME.fullmatch(scheme) and ":" not in authority):
        return url[0]
    return f"{scheme}://{REDACTED}{at}{host}"


def _without_basic(basic: re.Match[str]) -> str:
    said = basic[2].rstrip("=")
    try:
        plain = base64.b64decode(said + "=" * (-len(said) % 4), validate=True).decode()
    except ValueError:
        return basic[0]  # a word
    return basic[1] + REDACTED if ":" in plain and all(char >= " " for char in plain) else basic[0]


def _without_pairs(text: str, more_keys: re.Pattern[str] | None) -> str:
    clean, done, at = [], 0, 0
    while key := _KEY.search(text, at):
        at = key.end()
        if _joined(text, key) and (_names_secret(key[1]) or (more_keys is not None and more_keys.search(key[1]))):
            start, end = _value(text, key)
            if end > start:
                quote = _quote_of(key) if start == at else ""
                clean += [text[done:start], quote, REDACTED, quote]
                done = at = end
    return "".join([*clean, text[done:]])


def _joined(text: str, key: re.Match[str]) -> bool:
    """Whether what follows is the key's value."""
    if key[2] is not None:
        return True
    return (key[1].startswith("--") and text[key.end(1)].isspace()) or _in_options(text, key)


def _in_options(text: str, key: re.Match[str]) -> bool:
    """As in OPTIONS (user 'me', password 'x'): a value in quotes, and a bracket or a comma before the key."""
    if not text.startswith(("'", '"'), key.end()):
        return False
    before = key.start() - 1
    if before >= 0 and text[before] in "\"'`":
        before -= 1
    while before >= 0 and text[before].isspace():
        before -= 1
    return before >= 0 and text[before] in "(,"


def _quote_of(key: re.Match[str]) -> str:
    """The quote that ends the key of a JSON pair, with its backslashes; "" where there is none."""
    quote = _QUOTE_OF_KEY.match(key[2] or "")
    return quote[0] if quote else ""


def _value(text: str, key: re.Match[str]) -> tuple[int, int]:
    """Where the value begins and ends; nowhere, if the pair is none."""
    at = key.end()
    quote = at
    while quote < len(text) and text[quote] == "\\":
        quote += 1
    if quote < len(text) and text[quote] in "\"'":
        return quote + 1, _quoted_end(text, quote + 1, quote - at)
    between = key[2] or ""
    if _quote_of(key) and ":" in between:
        return at, _json_end(text, at)
    if "->" in between:
        return at, _map_end(text, at, key[1])
    # "token = x" and "token: x" without quotes are a condition or a column and its type, not a secret.
    option = key[2] is None and not text.startswith("--", at)
    return at, _bare_end(text, at) if option or between in ("=", "=>") else at


def _bare_end(text: str, start: int) -> int:
    value = _VALUE.match(text, start)
    return value.end() if value else start


def _json_end(text: str, start: int) -> int:
    """Of a number, a list or an object; true, false and null tell nothing."""
    if text.startswith(("[", "{"), start):
        return _nested_end(text, start)
    number = _NUMBER.match(text, start)
    return number.end() if number else start


def _nested_end(text: str, start: int) -> int:
    depth, at = 0, start
    while found := _BRACKET_OR_QUOTE.search(text, at):
        backslashes, char = len(found[1]), found[2]
        at = found.end()
        if char in "\"'":
            at = _quoted_end(text, at, backslashes) + backslashes + 1
        else:
            depth += 1 if char in "[{" else -1
            if depth == 0:
                return at
    return len(text)


def _map_end(text: str, start: int, key: str) -> int:
    """Of Scala's Map(password -> x): without the bracket that closes it. A lambda's body is no value."""
    value = text[start : _bare_end(text, start)]
    at_its_end = len(value) - len(value.rstrip(")"))
    too_many = max(0, min(at_its_end, value.count(")") - value.count("(")))
    value = value[: len(value) - too_many]
    is_lambda = _PARAMETER.fullmatch(key) and (value == key or "(" in value)
    return start if is_lambda else start + len(value)


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
