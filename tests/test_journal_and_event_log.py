"""An application that our listener journalled and Spark logged too: one application, whichever is read first."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from afterglow_store import Store, ingest_event_logs, open_store
from afterglow_store.event_logs import find
from afterglow_store.schema import application, job, sql_execution
from tests.support.demo import Demo
from tests.support.ingesting import contents

Rows = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def log(demo: Demo) -> Path:
    """What Spark wrote of an application with MLflow runs and failed stages."""
    return max(demo.event_logs.iterdir(), key=lambda path: path.stat().st_size)


@pytest.fixture(scope="module")
def journals(demo: Demo, log: Path) -> list[Path]:
    """What the listener wrote of it, and the hook if it had a journal of its own."""
    return [path for path in demo.journals if log.name in path.read_text()]


@contextmanager
def read(home: Path, *files: Path) -> Iterator[Store]:
    with closing(open_store(f"sqlite:///{home / '-'.join(path.name[:4] for path in files)}.db")) as store:
        for path in files:
            for _, result in ingest_event_logs(store, list(find([path])), now=0):
                assert not isinstance(result, Exception), result
        yield store


def of(store: Store, table: sa.Table, *columns: str) -> list[tuple[Any, ...]]:
    with store.read() as conn:
        return [tuple(row) for row in conn.execute(sa.select(*(table.c[name] for name in columns)).order_by(*table.c))]


def test_it_is_the_same_application_whichever_is_read_first(journals: list[Path], log: Path, tmp_path: Path) -> None:
    with read(tmp_path, *journals, log) as store:
        first = contents(store)
    with read(tmp_path, log, *journals) as store:
        last = contents(store)
    assert len(first["application"]) == len(last["application"]) == 1
    for table in ("application", "application_conf", "executor", "job", "stage", "sql_execution", "run", "link"):
        assert first[table] == last[table], table


def test_what_the_journal_says_better_is_kept(journals: list[Path], log: Path, tmp_path: Path) -> None:
    with read(tmp_path, *journals) as alone, read(tmp_path, *journals, log) as both, read(tmp_path, log) as only_log:
        plans = ("execution_id", "plan", "plan_hash", "inputs", "outputs", "run_id")
        assert of(both, sql_execution, *plans) == of(alone, sql_execution, *plans)
        assert of(only_log, sql_execution, *plans) != of(alone, sql_execution, *plans)
        assert of(both, job, "job_id", "tags", "run_id") == of(alone, job, "job_id", "tags", "run_id")
        assert of(only_log, job, "tags") != of(alone, job, "tags")
        status = ("status", "driver_outcome", "end_time")
        assert of(both, application, *status) == of(alone, application, *status)
