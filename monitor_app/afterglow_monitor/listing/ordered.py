"""Rows that are all at hand, in the order that the address asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from afterglow_monitor.address import View
from afterglow_monitor.data import Row

Keys = Mapping[str, Callable[[Row], Any]]  # by `Column.sort`: what rows are put in order by, None where one has nothing


def ordered(rows: Sequence[Row], view: View, keys: Keys) -> list[Row]:
    """Rows that have nothing there come last either way. In an order that none of `keys` is for, they are as they came,
    the newest first; the address is then of another list, or written by hand."""
    key = keys.get(view.order_by)
    if key is None:
        return list(rows)
    there = [each for each in rows if key(each) is not None]
    return [*sorted(there, key=key, reverse=view.descending), *(each for each in rows if key(each) is None)]


def by(*names: str) -> Keys:
    """For columns that are sorted by the field of their name. A 0 is shown as nothing, and is nothing here."""
    return {name: _field(name) for name in names}


def _field(name: str) -> Callable[[Row], Any]:
    return lambda row: row[name] or None
