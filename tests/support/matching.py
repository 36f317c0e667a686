"""What a condition means, in plain Python: what the search's SQL is held against.

A comparison with something that an item does not have is false, `!=` and NOT IN too; only IS NULL is true. Where an
item has several of a thing, it holds if it does for one of them.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from afterglow_store.filters import And, Comparison, Condition, Field, Or, Order

Row = Mapping[str, Any]  # as search_runs, search_experiments and search_applications give them

# Where a row has it, if not under the field's own name.
_COLUMNS = {
    "run_name": "name",
    "user": "user_name",
    "source": "source_name",
    "duration": "duration_ms",
    "experiment.id": "experiment_id",
    "experiment.name": "experiment",
    "experiment.workspace": "workspace",
    "creation_time": "created_time",
    "last_update_time": "updated_time",
}
_OF_APPLICATIONS = {
    "link.source": "source",
    "application.id": "app_id",
    "application.name": "name",
    "application.master": "master",
    "application.status": "status",
    "application.user": "user_name",
}


def matches(condition: Condition, row: Row) -> bool:
    if isinstance(condition, And):
        return all(matches(part, row) for part in condition.parts)
    if isinstance(condition, Or):
        return any(matches(part, row) for part in condition.parts)
    found = values(condition.field, condition.key, row)
    if condition.operator in ("IS NULL", "IS NOT NULL"):
        return (not found) == (condition.operator == "IS NULL")
    return any(_holds(condition, each) for each in found)


def in_order(rows: Iterable[Row], orders: Sequence[Order]) -> list[Row]:
    """The rows by these; those that are the same keep their order. Last are those without a value, before them NaN."""
    ordered = list(rows)
    for order in reversed(orders):
        having = [row for row in ordered if values(order.field, order.key, row)]
        lacking = [row for row in ordered if not values(order.field, order.key, row)]
        of = {id(row): values(order.field, order.key, row)[0] for row in having}
        nan = [row for row in having if of[id(row)] != of[id(row)]]
        some = [row for row in having if of[id(row)] == of[id(row)]]
        some.sort(key=lambda row, of=of: of[id(row)], reverse=order.descending)  # type: ignore[misc]
        ordered = some + nan + lacking
    return ordered


def values(field: Field, key: str | None, row: Row) -> list[Any]:
    """What the row has of it: nothing, one or several."""
    return [each for each in _values(field, key, row) if each is not None]


def _values(field: Field, key: str | None, row: Row) -> list[Any]:
    if field.keyed:
        found = (row[field.name] or {}).get(key)
        return [float(found) if found is not None and field.kind == "number" else found]
    if field.name == "linked":
        return [bool(row["applications"])]
    if field.name in _OF_APPLICATIONS:
        return [each[_OF_APPLICATIONS[field.name]] for each in row["applications"]]
    group, _, name = field.name.partition(".")
    if group == "registered_model":
        found = [each[name] for each in row["registered_versions"] or ()]
        return found if name == "name" else [int(each) for each in found]
    if group == "spark":
        return [row[name]]
    return [row[_COLUMNS.get(field.name, field.name)]]


def _holds(comparison: Comparison, found: Any) -> bool:
    operator, value = comparison.operator, comparison.value
    if isinstance(value, float) and math.isnan(value):
        return math.isnan(found) == (operator == "=")
    return _OPERATORS[operator](found, value)


def _like(found: str, pattern: str) -> bool:
    parts = {"%": ".*", "_": "."}
    regex = "".join(parts.get(each) or re.escape(each) for each in pattern)
    return re.fullmatch(regex, found, re.DOTALL) is not None


def _ilike(found: str, pattern: str) -> bool:
    return _like(found.lower(), pattern.lower())


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda found, value: found == value,
    "!=": lambda found, value: found != value,
    "<": lambda found, value: found < value,
    "<=": lambda found, value: found <= value,
    ">": lambda found, value: found > value,
    ">=": lambda found, value: found >= value,
    "LIKE": _like,
    "NOT LIKE": lambda found, value: not _like(found, value),
    "ILIKE": _ilike,
    "NOT ILIKE": lambda found, value: not _ilike(found, value),
    "IN": lambda found, value: found in value,
    "NOT IN": lambda found, value: found not in value,
}
