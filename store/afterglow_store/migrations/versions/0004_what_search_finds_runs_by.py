"""What search finds runs by: a short id for each, and the runs of each param, tag and metric"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Any

import orjson
import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
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
    "ix_run_facets": ["start_time", "effective_status", "user_name", "server", "experiment_id", "run_id", "name"],
    "ix_run_effective_status_start_time_id": ["effective_status", "start_time", "id"],
    "ix_run_user_name_start_time_id": ["user_name", "start_time", "id"],
    "ix_run_server_experiment_id_start_time_id": ["server", "experiment_id", "start_time", "id"],
    "ix_run_app_id_tag_start_time_id": ["app_id_tag", "start_time", "id"],
    "ix_run_parent_run_id": ["parent_run_id"],
    "ix_run_end_time": ["end_time"],
    "ix_run_core_ms": ["core_ms"],
}
ELSEWHERE = frozenset(
    {
        "mlflow.runName", "mlflow.parentRunId", "mlflow.user", "mlflow.source.name", "mlflow.source.type",
        "spark.app.id", "spark.app.name", "spark.app.startTime", "spark.app.attempt.id", "spark.master", "spark.user",
        "spark.driver.host",
    }
)  # fmt: skip


def upgrade() -> None:
    _give_runs_ids()
    run_term, run_metric, registered_version = _make_tables()
    conn = op.get_bind()
    for rows in _rows(conn):
        terms = [(term, row.start_time or 0, row.id) for row in rows for term in set(_terms_of(row))]
        _put(conn, run_term, ("term", "start_time", "run"), terms)
        metrics = [
            (row.id, _number_of("metric", key), _comparable(value), row.start_time or 0)
            for row in rows
            for key, value in orjson.loads(row.metrics or "{}").items()
        ]
        _put(conn, run_metric, ("run", "key", "value", "start_time"), metrics)
        versions = [
            (row.id, each["name"], int(each["version"]))
            for row in rows
            for each in orjson.loads(row.registered_versions or "[]")
        ]
        _put(conn, registered_version, ("run", "name", "version"), versions)


def _give_runs_ids() -> None:
    """A new table with the old one's rows: SQLite changes no primary key in place."""
    conn = op.get_bind()
    for name in OLD_INDEXES:
        op.drop_index(f"ix_run_{name}", "run")
    op.rename_table("run", "run_old")
    if conn.dialect.name == "postgresql":
        op.execute("ALTER TABLE run_old RENAME CONSTRAINT pk_run TO pk_run_old")
    old = sa.Table("run_old", sa.MetaData(), autoload_with=conn)
    columns = [
        sa.Column(c.name, c.type, nullable=False, server_default="0")
        if c.name == "start_time"
        else sa.Column(c.name, c.type, nullable=c.nullable, server_default=c.server_default)
        for c in old.columns
    ]
    new = op.create_table(
        "run",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("id", name="pk_run"),
        sa.UniqueConstraint("run_id", name="uq_run_run_id"),
    )
    number = sa.func.row_number().over(order_by=[old.c.start_time, old.c.run_id])
    values = [sa.func.coalesce(c, 0) if c.name == "start_time" else c for c in old.columns]
    conn.execute(sa.insert(new).from_select(["id", *old.columns.keys()], sa.select(number, *values)))
    op.drop_table("run_old")
    for name, of in INDEXES.items():
        op.create_index(name, "run", of)


def _make_tables() -> tuple[sa.Table, sa.Table, sa.Table]:
    run_term = op.create_table(
        "run_term",
        sa.Column("term", ID, autoincrement=False, nullable=False),
        sa.Column("start_time", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("run", ID, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("term", "start_time", "run", name="pk_run_term"),
        sqlite_with_rowid=False,
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
    registered_version = op.create_table(
        "registered_version",
        sa.Column("run", ID, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("run", "name", "version", name="pk_registered_version"),
    )
    op.create_index("ix_registered_version_name_version", "registered_version", ["name", "version"])
    return run_term, run_metric, registered_version


def _rows(conn: sa.Connection) -> Iterator[list[Any]]:
    last = 0
    while True:
        asked = sa.text(
            "SELECT id, start_time, params, metrics, tags, registered_versions FROM run WHERE id > :last ORDER BY id LIMIT :most"
        )
        rows = list(conn.execute(asked, {"last": last, "most": CHUNK}))
        if not rows:
            return
        yield rows
        last = rows[-1].id


def _terms_of(row: Any) -> Iterator[int]:
    for kind, text in (("param", row.params), ("tag", row.tags)):
        for key, value in orjson.loads(text or "{}").items():
            if kind == "param" or key not in ELSEWHERE:
                yield _number_of(kind, key, value)


def _number_of(kind: str, key: str, value: str = "") -> int:
    digest = hashlib.blake2b(f"{kind}\0{key}\0{value}".encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _comparable(value: Any) -> float | None:
    number = float(value)
    return None if math.isnan(number) else number


def _put(conn: sa.Connection, table: sa.Table, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    if rows:
        conn.execute(sa.insert(table), [dict(zip(columns, row, strict=True)) for row in rows])
