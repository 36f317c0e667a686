"""The store's tables: columns and indexes of the metadata, and what the comments beside them in schema.py say."""

from __future__ import annotations

import inspect
import re

import sqlalchemy as sa

from afterglow_store import schema
from reference.markdown import code, page, paragraphs, prose, table

ABOUT = (
    "The store is a read model: MLflow stays the truth for runs, Spark for applications. Monitor, the command line, "
    "[REST](../rest.md) and [Python](../api.md) read it; read it yourself where these have no answer, and do not write "
    "to it. Times are milliseconds since 1970 UTC, sizes bytes. SQLite and PostgreSQL have the same tables."
)
Comments = dict[tuple[str, str], str]  # by table and column; of the column '': of the table itself


def tables() -> str:
    said = comments(inspect.getsource(schema))
    return page("Tables of the store", ABOUT, *(_shown(each, said) for each in schema.metadata.tables.values()))


def comments(source: str) -> Comments:
    """What stands behind a column or a table, or in the lines before it."""
    found: Comments = {}
    before: list[str] = []
    name = ""
    for line in source.splitlines():
        if comment := re.fullmatch(r" *# (.*)", line):
            before.append(comment[1])
            continue
        if named := re.fullmatch(r'    "(\w+)",', line):
            name = named[1]
            found[name, ""] = " ".join(before)
        elif column := re.match(r'    Column\("(\w+)".*?(?:\),  # (.*))?$', line):
            found[name, column[1]] = " ".join([*before, column[2] or ""]).strip()
        if not re.search(r"= (?:sa\.)?Table\($", line):
            before = []
    return found


def _shown(each: sa.Table, said: Comments) -> str:
    rows = [
        (code(column.name), _type(column), prose(said.get((each.name, column.name), _shared(column.name))))
        for column in each.columns
    ]
    listed = table(["column", "type", "what"], rows)
    return paragraphs(f"## {each.name}", prose(said[each.name, ""]), listed, _indexes(each))


def _shared(name: str) -> str:
    """Of the columns that several tables have."""
    if name in schema.FIGURES:
        return "sum of Spark's " + " and ".join(schema.FIGURES[name])
    return {"core_ms": "executor_run_ms × spark.task.cpus", "application_id": "application.id"}.get(name, "")


def _type(column: sa.Column[object]) -> str:
    kind = {"BIGINT": "bigint", "INTEGER": "integer"}.get(str(column.type), str(column.type).lower())
    kind = "JSON" if isinstance(column.type, schema.Json) else kind
    marks = [kind, "primary key" if column.primary_key else "" if column.nullable else "not null"]
    return ", ".join(filter(None, marks))


def _indexes(each: sa.Table) -> str:
    found = [(index.unique, ", ".join(column.name for column in index.columns)) for index in each.indexes]
    return "; ".join(f"{'unique' if unique else 'index'} {code(columns)}" for unique, columns in sorted(found))
