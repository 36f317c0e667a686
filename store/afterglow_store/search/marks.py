"""`Page.next` and `Query.after`: where a page ended, as text for an address."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import orjson

from afterglow_store.errors import BadPage
from afterglow_store.search.finding import Mark
from afterglow_store.search.ordering import MetricMark

Values = str | int | float | None


@dataclass(frozen=True)
class Place:
    """Where a page of a list that has no marks of its own ended: the values of all that the list is ordered by."""

    values: tuple[Values, ...]


AnyMark = Mark | MetricMark | Place | int  # an int: how many rows came before
_PLACE = "at"


def as_text(mark: AnyMark) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(_parts(mark))).decode().rstrip("=")


def _parts(mark: AnyMark) -> list[Any]:
    if isinstance(mark, int):
        return [mark]
    if isinstance(mark, Mark):
        return [mark.start_time, mark.id]
    if isinstance(mark, Place):
        return [_PLACE, *mark.values]
    # Not as a number: JSON has no infinity.
    value = None if mark.value is None else mark.value.hex()
    return [mark.phase, value, mark.mark.start_time, mark.mark.id]


def from_text(text: str) -> AnyMark:
    """Raises BadPage."""
    try:
        return _mark(orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))
    except (binascii.Error, orjson.JSONDecodeError, ValueError, TypeError, OverflowError) as exc:
        raise BadPage(
            f"{text!r} is not where a page ended: take the `next` of the page before, or none for the first"
        ) from exc


def _mark(parts: Any) -> AnyMark:
    if not isinstance(parts, list) or not all(_fits(each) for each in parts):
        raise ValueError(parts)
    match parts:
        case [int(offset)] if 0 <= offset < 2**31:
            return offset
        case [int(start_time), int(id_)]:
            return Mark(start_time, id_)
        case [int(phase), str(value), int(start_time), int(id_)] if phase == 0:
            return MetricMark(phase, float.fromhex(value), Mark(start_time, id_))
        case [int(phase), None, int(start_time), int(id_)] if phase in (1, 2):
            return MetricMark(phase, None, Mark(start_time, id_))
        case [str(kind), *values] if kind == _PLACE:
            return Place(tuple(values))
    raise ValueError(parts)


def _fits(value: Any) -> bool:
    """Whether a database takes it: tokens come from anyone."""
    if isinstance(value, str):
        return "\0" not in value
    return value is None or isinstance(value, float) or (isinstance(value, int) and -(2**63) <= value < 2**63)
