"""The statements that insert rows, or change those that are there: one a row, or one for all of them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from afterglow_store.schema import Json, as_json

STATEMENTS = 200  # that are kept compiled: with what people type as filters there is no end of different ones
Rows = Sequence[Mapping[str, Any]]


class Kind(NamedTuple):
    """Of an upsert. `newer`, `key`, `keep` and `unless` as in `engine.upsert`."""

    dialect: str
    table: sa.Table
    columns: tuple[str, ...]
    newer: str | None
    key: tuple[str, ...]
    keep: bool
    unless: tuple[tuple[str, str], ...]

    @property
    def keys(self) -> list[str]:
        return list(self.key) or [column.name for column in self.table.primary_key]


@functools.lru_cache(maxsize=STATEMENTS)  # to put one together takes longer than SQLite takes for its rows
def upsert_each(kind: Kind) -> Any:
    """To be executed with each row."""
    return _or_change((postgresql if kind.dialect == "postgresql" else sqlite).insert(kind.table), kind)


@functools.lru_cache(maxsize=STATEMENTS)
def upsert_at_once(kind: Kind) -> Any:
    """Of PostgreSQL, where a statement a row takes several times as long, on both sides: executed with all `rows`, as
    `as_one` gives them."""
    columns = [sa.column(name, kind.table.c[name].type) for name in kind.columns]
    given = sa.cast(sa.bindparam("rows", type_=sa.Text), postgresql.JSON)
    rows = sa.func.json_to_recordset(given).table_valued(*columns, name="given").render_derived(with_types=True)
    return _or_change(postgresql.insert(kind.table).from_select(kind.columns, sa.select(*rows.c)), kind)


def fit_in_one(kind: Kind, rows: Rows) -> bool:
    """Whether one statement can take them: it changes no row twice, and JSON has no bytes, and not all numbers."""
    plain = all(isinstance(kind.table.c[name].type, sa.Integer | sa.Text | sa.Boolean | Json) for name in kind.columns)
    return plain and len(rows) > 1 and len({tuple(map(row.get, kind.keys)) for row in rows}) == len(rows)


def as_one(kind: Kind, rows: Rows) -> str:
    texts = {name for name in kind.columns if isinstance(kind.table.c[name].type, Json)}
    names = [(str(name), name in texts) for name in kind.columns]  # SQLAlchemy's are no plain texts, as JSON needs them
    return orjson.dumps(
        [{name: as_json(row[name]) if text else row[name] for name, text in names} for row in rows]
    ).decode()


def _or_change(statement: Any, kind: Kind) -> Any:
    stored, given = kind.table.c, statement.excluded
    changes: dict[str, sa.ColumnElement[Any]] = {name: given[name] for name in kind.columns if name not in kind.keys}
    for name, other in kind.unless:
        if name in changes:
            changes[name] = sa.case((stored[other].is_not(None), stored[name]), else_=changes[name])
    if kind.keep or not changes:
        return statement.on_conflict_do_nothing(index_elements=kind.keys)
    where = None
    if kind.newer is not None:
        where = sa.or_(stored[kind.newer].is_(None), stored[kind.newer] <= given[kind.newer])
    return statement.on_conflict_do_update(index_elements=kind.keys, set_=changes, where=where)
