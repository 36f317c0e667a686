"""A list whose every field is an expression of one statement: what applications and experiments have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from afterglow_store.errors import BadPage
from afterglow_store.filters import And, Condition, Or, Order
from afterglow_store.search.comparing import compare, json_text
from afterglow_store.search.marks import Place, Values, as_text, from_text
from afterglow_store.search.query import COUNT_LIMIT, Page, Query

Columns = Mapping[str, sa.ColumnElement[Any]]


@dataclass(frozen=True)
class Key:
    """What a list is ordered by. What lacks it comes last, in either direction."""

    column: sa.ColumnElement[Any]
    descending: bool = False

    @property
    def clause(self) -> sa.ColumnElement[Any]:
        clause = self.column.desc() if self.descending else self.column.asc()
        # PostgreSQL leaves an index aside that has NULL in another place, even where there is none.
        return clause.nulls_last() if self.nullable else clause

    @property
    def nullable(self) -> bool:
        return bool(getattr(self.column, "nullable", True))

    def at(self, value: Values) -> sa.ColumnElement[bool]:
        return self.column.is_(None) if value is None else self.column == value

    def beyond(self, value: Values) -> sa.ColumnElement[bool]:
        if value is None:
            return sa.false()
        beyond = self.column < value if self.descending else self.column > value
        return sa.or_(beyond, self.column.is_(None)) if self.nullable else beyond

    def not_before(self, value: Values) -> sa.ColumnElement[bool]:
        """What an index can begin at."""
        if self.nullable:
            return sa.true()
        return self.column <= value if self.descending else self.column >= value

    def takes(self, value: Values) -> bool:
        """Whether the database could compare the column with it."""
        kind = self.column.type.python_type
        return value is None or isinstance(value, (int, float) if kind is float else kind)


def holds(condition: Condition, columns: Columns) -> sa.ColumnElement[bool]:
    """Whether a condition is true of what `columns` has, by the names of the fields."""
    if isinstance(condition, And | Or):
        join = sa.and_ if isinstance(condition, And) else sa.or_
        return join(*(holds(part, columns) for part in condition.parts))
    return compare(_column(columns, condition.field.name, condition.key), condition.operator, condition.value)


def ordered(orders: Sequence[Order], columns: Columns, *last: Key) -> list[Key]:
    """By these orders, then by the last ones, which tell any two rows apart."""
    return [*(Key(_column(columns, each.field.name, each.key), each.descending) for each in orders), *last]


def _column(columns: Columns, name: str, key: str | None) -> sa.ColumnElement[Any]:
    return columns[name] if key is None else json_text(columns[name], sa.literal(key))


def page(conn: sa.Connection, select: sa.Select[Any], query: Query, keys: Sequence[Key]) -> Page:
    """Raises BadPage."""
    named = [key.column.label(f"key {number}") for number, key in enumerate(keys)]
    following = select if query.after is None else select.where(_follows(keys, query.after))
    # One more than the page has: it tells whether another page follows.
    asked = following.add_columns(*named).order_by(*(key.clause for key in keys)).limit(query.limit + 1)
    found = [dict(row._mapping) for row in conn.execute(asked.offset(query.offset))]
    places = [Place(tuple(row.pop(each.name) for each in named)) for row in found]
    more = as_text(places[query.limit - 1]) if len(found) > query.limit else None
    return Page(found[: query.limit], _total(conn, select, query, len(found)) if query.count else 0, more)


def _follows(keys: Sequence[Key], after: str) -> sa.ColumnElement[bool]:
    """That a row comes after the place where the page before ended."""
    place = from_text(after)
    if not isinstance(place, Place) or len(place.values) != len(keys):
        raise BadPage("that is where a page of another list ended")
    pairs = list(zip(keys, place.values, strict=True))
    if not all(key.takes(value) for key, value in pairs):
        raise BadPage("that is where a page in another order ended")
    beyond = [
        sa.and_(*(key.at(value) for key, value in pairs[:number]), pairs[number][0].beyond(pairs[number][1]))
        for number in range(len(pairs))
    ]
    return sa.and_(pairs[0][0].not_before(pairs[0][1]), sa.or_(*beyond))


def _total(conn: sa.Connection, select: sa.Select[Any], query: Query, found: int) -> int:
    """Of a last page that is not empty it is known: `found` are on it."""
    if query.after is None and found <= query.limit and (found or not query.offset):
        return min(query.offset + found, COUNT_LIMIT + 1)
    return _count(conn, select)


def _count(conn: sa.Connection, select: sa.Select[Any]) -> int:
    # Without a condition nothing but the columns names the table: it must stay when they go.
    one_each = select.with_only_columns(sa.literal(1), maintain_column_froms=True)
    some = one_each.order_by(None).limit(COUNT_LIMIT + 1).subquery()
    return int(conn.scalar(sa.select(sa.func.count()).select_from(some)) or 0)


def seconds(milliseconds: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.func.coalesce(milliseconds, 0) / sa.literal(1000.0, sa.Float)


def contains(text: str, *columns: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    return sa.or_(*(column.icontains(text, autoescape=True) for column in columns))


def chosen(column: sa.ColumnElement[Any], values: Sequence[str]) -> list[sa.ColumnElement[bool]]:
    return [column.in_(values)] if values else []
