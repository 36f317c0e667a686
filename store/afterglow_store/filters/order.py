"""What to order a list by: fields as in filters, each with ASC (the default) or DESC after it."""

from __future__ import annotations

from dataclasses import dataclass

from afterglow_store.filters.fields import Field, Of, Reference
from afterglow_store.filters.reader import Reader


@dataclass(frozen=True)
class Order:
    """One field to order by. Whatever the direction, items that do not have it come last, and NaN just before them."""

    field: Field
    descending: bool = False
    key: str | None = None  # of fields that are keyed

    def __str__(self) -> str:
        return f"{Reference(self.field, self.key)} {'DESC' if self.descending else 'ASC'}"


def parse_order(text: str, of: Of = "runs") -> tuple[Order, ...]:
    """What `metrics.rmse DESC, start_time` orders by, the first field first; () for nothing. Raises BadFilter."""
    reader = Reader(text, of)
    if reader.at_end():
        return ()
    found = [_one(reader, [])]
    while reader.accept(","):
        found.append(_one(reader, found))
    if not reader.at_end():
        raise reader.bad("ASC, DESC or a comma is expected here")
    return tuple(found)


def _one(reader: Reader, before: list[Order]) -> Order:
    first = reader.next
    field, key = reader.field()
    if field.many:
        raise reader.bad(f"A run may have several {field.name}: nothing can be ordered by it", first, reader.before)
    if any((each.field, each.key) == (field, key) for each in before):
        raise reader.bad(f"{Reference(field, key)} is there twice", first, reader.before)
    descending = reader.accept("DESC")
    if not descending:
        reader.accept("ASC")
    return Order(field, descending, key)
