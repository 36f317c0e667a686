"""A list whose every field is an expression of one statement: what applications and experiments have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from afterglow_store.filters import And, Condition, Or, Order
from afterglow_store.search.comparing import compare, json_text
from afterglow_store.search.query import COUNT_LIMIT, Page, Query

Columns = Mapping[str, sa.ColumnElement[Any]]


def holds(condition: Condition, columns: Columns) -> sa.ColumnElement[bool]:
    """Whether a condition is true of what `columns` has, by the names of the fields."""
    if isinstance(condition, And | Or):
        join = sa.and_ if isinstance(condition, And) else sa.or_
        return join(*(holds(part, columns) for part in condition.parts))
    return compare(_column(columns, condition.field.name, condition.key), condition.operator, condition.value)


def ordered(orders: Sequence[Order], columns: Columns, *last: sa.ColumnElement[Any]) -> list[sa.ColumnElement[Any]]:
    """What lacks a field comes last, in either direction."""
    by = [(_column(columns, order.field.name, order.key), order.descending) for order in orders]
    return [*((column.desc() if down else column.asc()).nulls_last() for column, down in by), *last]


def _column(columns: Columns, name: str, key: str | None) -> sa.ColumnElement[Any]:
    return columns[name] if key is None else json_text(columns[name], sa.literal(key))


def page(conn: sa.Connection, select: sa.Select[Any], query: Query, order: Sequence[sa.ColumnElement[Any]]) -> Page:
    rows = conn.execute(select.order_by(*order).limit(query.limit).offset(query.offset))
    return Page([dict(row._mapping) for row in rows], _count(conn, select) if query.count else 0)


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
