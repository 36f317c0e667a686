"""What stands after the comparator, as the type that the field has."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from difflib import get_close_matches

from afterglow_store.errors import BadFilter
from afterglow_store.filters.condition import Value
from afterglow_store.filters.fields import Reference
from afterglow_store.filters.reader import Reader
from afterglow_store.filters.tokens import Token
from afterglow_store.windows import parse_time

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_NOT_FINITE = re.compile(r"nan|[+-]?inf(inity)?", re.IGNORECASE)
_PART = r"(\d+(?:\.\d+)?)(ms|s|min|m|h|d|w)"
_SPAN = re.compile(rf"(?:{_PART})+", re.ASCII)
_PARTS = re.compile(_PART, re.ASCII)
_MS = {"ms": 1, "s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_LARGEST = 2**63 - 1  # what a column holds


def read_value(reader: Reader, asked: Reference, *, now: int) -> Value:
    """Take one value for what is `asked`. `now` (ms) is what `7d` counts back from. Raises BadFilter."""
    if reader.at_end():
        raise reader.bad(f"A value is expected here: {asked} takes {_TAKES[asked.field.kind]}")
    token = reader.take()
    if asked.field.kind == "text":
        return _text(reader, asked, token)
    if asked.field.kind == "choice":
        return _choice(reader, asked, token)
    if asked.field.kind == "boolean":
        return _boolean(reader, asked, token)
    if asked.field.kind == "duration":
        return _duration(reader, asked, token)
    if asked.field.kind == "time":
        return _time(reader, asked, token, now)
    return _number(reader, asked, token)


def read_list(reader: Reader, asked: Reference) -> tuple[str, ...]:
    """Take a list of texts in brackets, which may end with a comma. Raises BadFilter."""
    opening = reader.next
    reader.expect("(", f"A list is expected after IN, such as {_LIST_EXAMPLE}")
    read = _choice if asked.field.kind == "choice" else _text
    found: list[str] = []
    while reader.next.text != ")" or not found:
        if reader.next.text == ")":
            raise reader.bad(f"The list is empty: name what to look for, such as {_LIST_EXAMPLE}", opening, reader.next)
        found.append(read(reader, asked, reader.take()))
        if not reader.accept(","):
            break
    reader.expect(")", "A comma or the list's closing bracket is expected here")
    return tuple(found)


_LIST_EXAMPLE = "IN ('a', 'b')"
_TAKES = {
    "text": "text in quotes, such as 'a'",
    "choice": "text in quotes",
    "number": "a number, such as 0.5 or 1e-3",
    "time": "a date, such as '2026-11-01' or '2026-11-01T14:30', a span back from now, such as 7d, or milliseconds",
    "duration": "a span, such as 90s, 10m or 1h30m, or a number of seconds",
    "boolean": "true or false",
}


def _text(reader: Reader, asked: Reference, token: Token) -> str:
    if token.kind == "quoted":
        return token.value
    hint = f": write '{token.text}'" if token.kind == "word" else ", such as 'a'"
    raise reader.bad(f"{asked} takes text in quotes{hint}", token)


def _choice(reader: Reader, asked: Reference, token: Token) -> str:
    """The value as it is spelt in the store, whatever case it was typed in."""
    value = _text(reader, asked, token)
    for choice in asked.field.choices:
        if choice.lower() == value.lower():
            return choice
    near = get_close_matches(value.upper(), [each.upper() for each in asked.field.choices], n=1)
    likely = next((f" Did you mean {each!r}?" for each in asked.field.choices if each.upper() in near), "")
    raise reader.bad(f"{asked} is never {value!r}.{likely} It is one of {', '.join(asked.field.choices)}", token)


def _boolean(reader: Reader, asked: Reference, token: Token) -> bool:
    if token.keyword not in ("TRUE", "FALSE"):
        raise _not_a_value(reader, asked, token)
    return token.keyword == "TRUE"


def _number(reader: Reader, asked: Reference, token: Token) -> float:
    if token.kind == "word" and asked.field.decimal and _NOT_FINITE.fullmatch(token.text):
        value = float(token.text)
        return math.nan if math.isnan(value) else value  # always the same NaN: conditions can then be compared
    if token.kind == "word" and _NUMBER.fullmatch(token.text):
        return float(token.text) if asked.field.decimal else _as_stored(token.text)
    raise _not_a_value(reader, asked, token)


def _duration(reader: Reader, asked: Reference, token: Token) -> float:
    text = _unquoted(token)
    if _NUMBER.fullmatch(text):
        return round(_held(float(text) * 1000))
    span = _span(text)
    if span is None:
        raise _not_a_value(reader, asked, token)
    return round(span)


def _time(reader: Reader, asked: Reference, token: Token, now: int) -> float:
    if token.kind == "word" and _NUMBER.fullmatch(token.text):
        return _as_stored(token.text)
    text = _unquoted(token)
    span = _span(text)
    if span is not None:
        return round(now - span)
    try:
        return round(_held(parse_time(text, now=now)))
    except (ValueError, OverflowError):
        raise _not_a_value(reader, asked, token) from None


def _not_a_value(reader: Reader, asked: Reference, token: Token) -> BadFilter:
    hint = ", without quotes" if token.kind == "quoted" and asked.field.kind == "number" else ""
    return reader.bad(f"{asked} takes {_TAKES[asked.field.kind]}{hint}", token)


def _as_stored(text: str) -> float:
    """A number as a column holds it: exact and whole, if it is whole."""
    value = float(text)
    if abs(value) < 2**53:
        return int(value) if value.is_integer() else value
    return _held(value if abs(value) > 2 * _LARGEST else int(Decimal(text)))


def _held(value: float) -> float:
    """The nearest that a column can hold: what is compared with it is on the same side of both."""
    return min(max(value, -_LARGEST), _LARGEST)


def _unquoted(token: Token) -> str:
    return (token.value if token.kind == "quoted" else token.text).strip()


def _span(text: str) -> float | None:
    """ms of `1h30m`; None if it is no span."""
    if not _SPAN.fullmatch(text):
        return None
    return _held(sum(float(amount) * _MS[unit] for amount, unit in _PARTS.findall(text)))
