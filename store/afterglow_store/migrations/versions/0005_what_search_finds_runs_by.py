"""What search finds runs by: a short id for each, and the runs of each param, tag and metric"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Any

import orjson
import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
CHUNK = 5_000
OLD_INDEXES = (
    "start_time_run_id",
    "status_start_time",
    "server_experiment_id_start_time",
    "parent_run_id",
    "app_id_tag",
)
INDEXES = {
    "ix_run_facets": ["start_time", "effective_status", "user_name", "server", "experiment_id"],
    "ix_run_effective_status_start_time_id": ["effective_status", "start_time", "id"],
    "ix_run_user_name_start_time_id": ["user_name", "start_time", "id"],
    "ix_run_server_experiment_id_start_time_id": ["server", "experiment_id", "start_time", "id"],
    "ix_run_app_id_tag_start_time_id": ["app_id_tag", "start_time", "id"],
    "ix_run_parent_run_id": ["parent_run_id"],
}
ELSEWHERE = frozenset(
    {
        "mlflow.runName", "mlflow.parentRunId", "mlflow.user", "mlflow.source.name", "mlflow.source.type",
        "spark.app.id", "spark.app.name", "spark.app.startTime", "spark.app.attempt.id", "spark.master", "spark.user",
        "spark.driver.host",
    }
)  # fmt: skip
LONGEST = 200


def upgrade() -> None:
    _give_runs_ids()
    term, run_term, metric_key, run_metric = _make_tables()
    conn = op.get_bind()
    terms: dict[tuple[str, str, str], int] = {}
    keys: dict[str, int] = {}
    for rows in _rows(conn):
        found = [(which, row.start_time or 0, row.id) for row in rows for which in _terms_of(row)]
        _insert(conn, term, _new(terms, (which for which, *_ in found)), ("kind", "key", "value"))
        _put(conn, run_term, ("term", "start_time", "run"), [(terms[which], *rest) for which, *rest in found])
        metrics = [(row, key, value) for row in rows for key, value in (orjson.loads(row.metrics or "{}")).items()]
        _insert(conn, metric_key, _new(keys, (key for _, key, _ in metrics)), ("key",))
        values = [(row.id, keys[key], _number(value), row.start_time or 0) for row, key, value in metrics]
        _put(conn, run_metric, ("run", "key", "value", "start_time"), values)


def _give_runs_ids() -> None:
    """A new table with the old one's rows: SQLite changes no primary key in place."""
    conn = op.get_bind()
    for name in OLD_INDEXES:
        op.drop_index(f"ix_run_{name}", "run")
    op.rename_table("run", "run_old")
    if conn.dialect.name == "postgresql":
        op.execute("ALTER TABLE run_old RENAME CONSTRAINT pk_run TO pk_run_old")
    old = sa.Table("run_old", sa.MetaData(), autoload_with=conn)
    columns = [sa.Column(c.name, c.type, nullable=c.nullable, server_default=c.server_default) for c in old.columns]
    new = op.create_table(
        "run",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("id", name="pk_run"),
        sa.UniqueConstraint("run_id", name="uq_run_run_id"),
    )
    number = sa.func.row_number().over(order_by=[old.c.start_time, old.c.run_id])
    conn.execute(sa.insert(new).from_select(["id", *old.columns.keys()], sa.select(number, *old.columns)))
    op.drop_table("run_old")
    for name, of in INDEXES.items():
        op.create_index(name, "run", of)


def _make_tables() -> tuple[sa.Table, sa.Table, sa.Table, sa.Table]:
    term = op.create_table(
        "term",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_term"),
        sa.UniqueConstraint("kind", "key", "value", name="uq_term_kind_key_value"),
    )
    run_term = op.create_table(
        "run_term",
        sa.Column("term", ID, autoincrement=False, nullable=False),
        sa.Column("start_time", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("run", ID, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("term", "start_time", "run", name="pk_run_term"),
        sqlite_with_rowid=False,
    )
    metric_key = op.create_table(
        "metric_key",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_metric_key"),
        sa.UniqueConstraint("key", name="uq_metric_key_key"),
    )
    run_metric = op.create_table(
        "run_metric",
        sa.Column("run", ID, autoincrement=False, nullable=False),
        sa.Column("key", ID, autoincrement=False, nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("start_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run", "key", name="pk_run_metric"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_run_metric_key_value_start_time_run", "run_metric", ["key", "value", "start_time", "run"])
    return term, run_term, metric_key, run_metric


def _rows(conn: sa.Connection) -> Iterator[list[Any]]:
    last = 0
    while True:
        asked = sa.text(
            "SELECT id, start_time, params, metrics, tags FROM run WHERE id > :last ORDER BY id LIMIT :most"
        )
        rows = list(conn.execute(asked, {"last": last, "most": CHUNK}))
        if not rows:
            return
        yield rows
        last = rows[-1].id


def _terms_of(row: Any) -> Iterator[tuple[str, str, str]]:
    for kind, text in (("param", row.params), ("tag", row.tags)):
        for key, value in orjson.loads(text or "{}").items():
            if key not in ELSEWHERE:
                yield kind, key, _indexed(value)


def _indexed(value: str) -> str:
    if len(value) <= LONGEST:
        return value
    return value[: LONGEST - 64] + hashlib.sha256(value.encode()).hexdigest()


def _number(value: Any) -> float | None:
    number = float(value)
    return None if math.isnan(number) else number


def _new(known: dict[Any, int], seen: Iterator[Any]) -> dict[Any, int]:
    """Gives ids to what is not known yet."""
    new: dict[Any, int] = {}
    for each in seen:
        if each not in known:
            known[each] = new[each] = len(known) + 1
    return new


def _insert(conn: sa.Connection, table: sa.Table, new: dict[Any, int], columns: tuple[str, ...]) -> None:
    _put(conn, table, ("id", *columns), [(id_, *(key if len(columns) > 1 else (key,))) for key, id_ in new.items()])


def _put(conn: sa.Connection, table: sa.Table, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    if rows:
        conn.execute(sa.insert(table), [dict(zip(columns, row, strict=True)) for row in rows])
