"""What a filter says, as a tree. `str()` of it is a filter that says the same, whenever it is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from afterglow_store.filters.fields import Field, Reference
from afterglow_store.filters.tokens import quoted

Value = str | float | int | bool | tuple[str, ...] | None


@dataclass(frozen=True)
class Comparison:
    """`field` of the item, compared with `value`: text, a number, a time (ms since 1970 UTC), a duration (ms), a
    boolean; several texts for IN; None for IS NULL. False wherever the item has no such thing, whatever the operator,
    except IS NULL."""

    field: Field
    operator: str  # one of field.comparators
    value: Value = None
    key: str | None = None  # of fields that are keyed

    def __str__(self) -> str:
        said = f"{Reference(self.field, self.key)} {self.operator}"
        return said if self.value is None else f"{said} {value_text(self.field, self.value)}"


@dataclass(frozen=True)
class And:
    """All of at least two, none of which is an And."""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        return " AND ".join(f"({part})" if isinstance(part, Or) else str(part) for part in self.parts)


@dataclass(frozen=True)
class Or:
    """One of at least two, none of which is an Or."""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        return " OR ".join(map(str, self.parts))


Condition = Comparison | And | Or


def all_of(parts: Iterable[Condition]) -> Condition:
    """The parts, joined by AND; a single one is itself."""
    flat = [each for part in parts for each in (part.parts if isinstance(part, And) else (part,))]
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def any_of(parts: Iterable[Condition]) -> Condition:
    """The parts, joined by OR; a single one is itself."""
    flat = [each for part in parts for each in (part.parts if isinstance(part, Or) else (part,))]
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def comparisons(condition: Condition | None) -> Iterator[Comparison]:
    """All comparisons in it, from left to right."""
    if isinstance(condition, Comparison):
        yield condition
    elif condition is not None:
        for part in condition.parts:
            yield from comparisons(part)


def value_text(field: Field, value: Value) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(quoted, value))})"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if field.kind == "duration" and value is not None:
        return _span(round(value))
    return repr(value)


def _span(ms: int) -> str:
    """A duration as a person types it: 1h30m."""
    if ms < 0:
        return f"{ms / 1000!r}"  # seconds: spans are never negative
    parts = []
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)):
        amount, ms = divmod(ms, size)
        parts += [f"{amount}{unit}"] if amount else []
    return "".join(parts) or "0s"
