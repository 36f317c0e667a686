"""Comparisons in SQL, and the text inside a JSON object, in which SQLite and PostgreSQL differ."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from afterglow_store.filters.condition import Value


class json_text(sa.sql.functions.FunctionElement[str]):
    """`json_text(column, key)`: the text under a key of the JSON object in a column, NULL where it is not there."""

    name = "json_text"
    type = sa.Text()
    inherit_cache = True


@compiles(json_text, "sqlite")
def _sqlite(element: Any, compiler: SQLCompiler, **kw: Any) -> str:
    column, key = (compiler.process(each, **kw) for each in element.clauses)
    return f"(SELECT value FROM json_each({column}) WHERE key = {key})"  # noqa: S608 - compiled, with bound values


@compiles(json_text, "postgresql")
def _postgresql(element: Any, compiler: SQLCompiler, **kw: Any) -> str:
    column, key = (compiler.process(each, **kw) for each in element.clauses)
    return f"(({column})::json ->> ({key})::text)"


def compare(column: sa.ColumnElement[Any], operator: str, value: Value) -> sa.ColumnElement[bool]:
    """Whether `column operator value` holds; where the column is NULL it does for IS NULL only."""
    holds: sa.ColumnElement[bool] = _OPERATORS[operator](column, value)
    return holds


def _like(column: sa.ColumnElement[Any], pattern: str) -> sa.ColumnElement[bool]:
    """No character takes its meaning from another: by itself PostgreSQL would have a backslash do that."""
    return like_as_is(column, sa.literal(pattern))


class like_as_is(sa.sql.functions.FunctionElement[bool]):
    name = "like_as_is"
    type = sa.Boolean()
    inherit_cache = True


@compiles(like_as_is, "sqlite")
def _sqlite_like(element: Any, compiler: SQLCompiler, **kw: Any) -> str:
    column, pattern = (compiler.process(each, **kw) for each in element.clauses)
    return f"({column} LIKE {pattern})"


@compiles(like_as_is, "postgresql")
def _postgresql_like(element: Any, compiler: SQLCompiler, **kw: Any) -> str:
    column, pattern = (compiler.process(each, **kw) for each in element.clauses)
    return f"({column} LIKE {pattern} ESCAPE '')"


_OPERATORS: dict[str, Any] = {
    "=": lambda column, value: column == value,
    "!=": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
    "LIKE": _like,
    "NOT LIKE": lambda column, value: ~_like(column, value),
    "ILIKE": lambda column, value: _like(sa.func.lower(column), value.lower()),
    "NOT ILIKE": lambda column, value: ~_like(sa.func.lower(column), value.lower()),
    "IN": lambda column, value: column.in_(value),
    "NOT IN": lambda column, value: column.not_in(value),
    "IS NULL": lambda column, value: column.is_(None),
    "IS NOT NULL": lambda column, value: column.is_not(None),
}
