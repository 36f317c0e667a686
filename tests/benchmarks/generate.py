"""`python -m tests.benchmarks.generate --runs N --seed S DATABASE_URL`: an MLflow server's database with N runs in it.

MLflow makes the tables itself; what `draw` gives is then written past it, as it would have been logged: 5 params,
5 metrics (each on 80 % of the runs) and 5 tags a run beside the tags that MLflow and Afterglow put there.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from psycopg import sql

from afterglow.spark import Application
from tests.benchmarks.draw import (
    DAY,
    EXPERIMENTS,
    METRICS,
    PARAMS,
    STATUSES,
    SWEEP_FROM,
    TAGS,
    Column,
    Drawn,
    Shares,
    app_id,
    draw,
)

Rows = dict[str, list[tuple[Any, ...]]]

BATCH = 5_000  # runs written at a time
ARTIFACTS = "mlflow-artifacts:/"
_STATUS = list(STATUSES)
_LARGE = ("params", "metrics", "latest_metrics", "tags")
_PRIMARY_KEY = re.compile(r"\s*CONSTRAINT \w+ PRIMARY KEY \(([^)]*)\),")
_METRIC = ("key", "value", "timestamp", "step", "is_nan", "run_uuid")
COLUMNS = {
    "experiments": (
        *("experiment_id", "name", "artifact_location", "lifecycle_stage", "creation_time", "last_update_time"),
        "workspace",
    ),
    "experiment_tags": ("key", "value", "experiment_id"),
    "runs": (
        *("run_uuid", "name", "source_type", "source_name", "entry_point_name", "user_id", "status", "start_time"),
        *("end_time", "deleted_time", "source_version", "lifecycle_stage", "artifact_uri", "experiment_id"),
    ),
    "params": ("key", "value", "run_uuid"),
    "metrics": _METRIC,
    "latest_metrics": _METRIC,
    "tags": ("key", "value", "run_uuid"),
}


def generate(url: str, runs: int, *, seed: int = 1, now: int) -> Drawn:
    """Fill the empty database at `url` (SQLite or PostgreSQL) with `runs` runs of the 400 days before `now` (ms since
    1970), and give what was drawn. The same arguments give the same rows."""
    engine = SqlAlchemyStore(url, ARTIFACTS).engine  # type: ignore[no-untyped-call]
    drawn = draw(runs, seed, now)
    write = _write_postgres if engine.dialect.name == "postgresql" else _write_sqlite
    with engine.connect() as conn:
        write(conn.connection.dbapi_connection, _batches(drawn, now))
    engine.dispose()
    return drawn


def _write_sqlite(conn: Any, batches: Iterator[Rows]) -> None:
    conn.isolation_level = None
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "foreign_keys=OFF", "cache_size=-500000", "threads=2"):
        conn.execute(f"PRAGMA {pragma}")
    conn.execute("BEGIN")
    declared = {table: _without_indexes(conn, table) for table in _LARGE}
    for batch in batches:
        for table, rows in batch.items():
            columns = ", ".join(COLUMNS[table])
            marks = ", ".join("?" * len(COLUMNS[table]))
            conn.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)
    for table, (statement, *indexes) in declared.items():
        for index in indexes:
            conn.execute(index)
        _make_primary_key(conn, table, statement)
    conn.execute("COMMIT")
    conn.execute("PRAGMA journal_mode=DELETE")


# Keys come at random: kept up row by row, indexes take most of the time; made at the end, each is sorted once. SQLite
# cannot add a primary key: it is left out of the table at first, then declared over an index made like any other.


def _without_indexes(conn: Any, table: str) -> list[str]:
    """Make an empty table anew, without any index. The statements that made it, the table's first."""
    query = "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND sql > '' ORDER BY type = 'index'"
    statements = [statement for (statement,) in conn.execute(query, [table])]
    conn.execute(f"DROP TABLE {table}")
    conn.execute(_PRIMARY_KEY.sub("", statements[0]))
    return statements


def _make_primary_key(conn: Any, table: str, declared: str) -> None:
    found = _PRIMARY_KEY.search(declared)
    assert found is not None
    conn.execute(f"CREATE UNIQUE INDEX {table}_key ON {table} ({found[1]})")
    conn.execute("PRAGMA writable_schema=ON")
    conn.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", [declared, table])
    conn.execute(
        "UPDATE sqlite_master SET sql = NULL, name = ? WHERE name = ?", [f"sqlite_autoindex_{table}_1", f"{table}_key"]
    )
    conn.execute("PRAGMA writable_schema=RESET")


def _write_postgres(conn: Any, batches: Iterator[Rows]) -> None:
    conn.execute("SET LOCAL session_replication_role = replica")  # the rows refer to one another as they should
    for batch in batches:
        for table, rows in batch.items():
            columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS[table]))
            with conn.cursor().copy(sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), columns)) as copy:
                for row in rows:
                    copy.write_row(row)
    conn.execute("SELECT setval('experiments_experiment_id_seq', %s)", [EXPERIMENTS])
    conn.commit()
    conn.autocommit = True
    conn.execute("VACUUM ANALYZE")  # as its daemon would have by now


def _batches(drawn: Drawn, now: int) -> Iterator[Rows]:
    yield _experiments(now)
    for first in range(0, len(drawn), BATCH):
        yield _runs(drawn, slice(first, first + BATCH))


def _experiments(now: int) -> Rows:
    made = now - 500 * DAY
    experiments, tags = [], []
    for number in range(1, EXPERIMENTS + 1):
        place = f"{ARTIFACTS}{number}"
        experiments.append((number, f"experiment {number:02}", place, "active", made, made, "default"))
        tags.append(("mlflow.note.content", f"What experiment {number} is for", number))
        tags.append(("area", f"area-{number % 7}", number))
    return {"experiments": experiments, "experiment_tags": tags}


def _runs(drawn: Drawn, part: slice) -> Rows:
    metrics = list(_metric_rows(drawn, part))
    return {
        "runs": list(_run_rows(drawn, part)),
        "params": list(_param_rows(drawn, part)),
        "metrics": metrics,
        "latest_metrics": metrics,
        "tags": list(_tag_rows(drawn, part)),
    }


def _run_rows(drawn: Drawn, part: slice) -> Iterator[tuple[Any, ...]]:
    application = drawn.application[part]
    experiments, users = drawn.experiment[application].tolist(), drawn.user[application].tolist()
    columns = [each[part].tolist() for each in (drawn.number, drawn.status, drawn.start, drawn.end, drawn.deleted)]
    for run_id, experiment, user, number, status, start, end, deleted in zip(
        drawn.ids[part], experiments, users, *columns, strict=True
    ):
        ended = None if _STATUS[status] == "RUNNING" else end
        stage, deleted_time = ("deleted", end) if deleted else ("active", None)
        place = f"{ARTIFACTS}{experiment}/{run_id}/artifacts"
        named = (run_id, f"train-{number}", "UNKNOWN", "", "", f"user-{user:03}")
        yield *named, _STATUS[status], start, ended, deleted_time, "", stage, place, experiment


def _param_rows(drawn: Drawn, part: slice) -> Iterator[tuple[str, str, str]]:
    for run_id, *values in _named(drawn, part, PARAMS, drawn.params):
        for name, value in zip(PARAMS, values, strict=True):
            yield name, value, run_id


def _metric_rows(drawn: Drawn, part: slice) -> Iterator[tuple[Any, ...]]:
    # As MLflow has them: NaN is a 0 with a mark, infinity the largest number.
    nan = [np.isnan(drawn.metrics[name][part]).tolist() for name in METRICS]
    values = [np.nan_to_num(drawn.metrics[name][part], nan=0.0).tolist() for name in METRICS]
    there = [drawn.has_metric[name][part].tolist() for name in METRICS]
    for at, (run_id, end) in enumerate(zip(drawn.ids[part], drawn.end[part].tolist(), strict=True)):
        for number, name in enumerate(METRICS):
            if there[number][at]:
                yield name, values[number][at], end, 0, nan[number][at], run_id


def _tag_rows(drawn: Drawn, part: slice) -> Iterator[tuple[str, str, str]]:
    sizes, known = np.bincount(drawn.application), -1
    of_application: list[tuple[str, str]] = []
    columns = (each[part].tolist() for each in (drawn.application, drawn.number))
    for (run_id, *values), application, number in zip(_named(drawn, part, TAGS, drawn.tags), *columns, strict=True):
        if application != known:
            known, of_application = application, list(_application_tags(drawn, application).items())
            first = int(np.searchsorted(drawn.application, application))
        yield "mlflow.runName", f"train-{number}", run_id
        for name, value in (*of_application, *zip(TAGS, values, strict=True)):
            yield name, value, run_id
        if number and sizes[application] >= SWEEP_FROM:
            yield "mlflow.parentRunId", drawn.ids[first], run_id


def _application_tags(drawn: Drawn, number: int) -> dict[str, str]:
    """What the runs of an application have in common: MLflow's tags and those of Afterglow's own code."""
    user, start = f"user-{drawn.user[number]:03}", int(drawn.application_start[number])
    application = Application(
        app_id=app_id(number), attempt="", name=f"nightly {drawn.experiment[number]}", start_time=start, user=user,
        master="yarn", driver_host=f"worker-{number % 40:02}", spark_version="4.2.0",
    )  # fmt: skip
    source = {"mlflow.source.name": f"train_{drawn.experiment[number]}.py", "mlflow.source.type": "LOCAL"}
    return {"mlflow.user": user} | source | application.run_tags()


def _named(
    drawn: Drawn, part: slice, shares: Mapping[str, Shares], columns: Mapping[str, Column]
) -> Iterator[tuple[str, ...]]:
    """For each run its id and the value of each name."""
    values = [np.array(list(shares[name]), dtype=object)[columns[name][part]].tolist() for name in shares]
    return zip(drawn.ids[part], *values, strict=True)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--now", type=int, default=int(time.time() * 1_000), help="ms since 1970; the last run's time")
    parser.add_argument("url", metavar="DATABASE_URL", help="sqlite:///FILE or postgresql+psycopg://USER@HOST/DB")
    said = parser.parse_args()
    started = time.monotonic()
    generate(said.url, said.runs, seed=said.seed, now=said.now)
    print(f"{said.runs:,} runs in {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    _main()
