"""An application that our listener journalled and Spark logged too: one application, whichever is read first."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from afterglow_store import Store, ingest_event_logs, open_store
from afterglow_store.event_logs import find
from afterglow_store.schema import application, job, link, sql_execution, stage
from tests.support.demo import Demo

SAME: dict[sa.Table, str] = {
    application: "app_id name status end_time driver_outcome executor_run_ms core_ms",
    job: "job_id status start_time end_time run_id tags executor_run_ms",
    stage: "stage_id attempt status start_time end_time tasks succeeded_tasks failed_tasks executor_run_ms input_bytes",
    sql_execution: "execution_id status start_time end_time run_id plan_hash inputs outputs",
    link: "run_id source",
}


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
        return [
            tuple(row)
            for row in conn.execute(sa.select(*(table.c[name] for name in columns)).order_by(*table.primary_key))
        ]


def test_it_is_the_same_application_whichever_is_read_first(journals: list[Path], log: Path, tmp_path: Path) -> None:
    with read(tmp_path, *journals, log) as log_last, read(tmp_path, log, *journals) as log_first:
        for table, columns in SAME.items():
            found = of(log_last, table, *columns.split())
            assert found, table.name
            assert found == of(log_first, table, *columns.split()), table.name
        assert len(of(log_first, application, "app_id")) == 1


def test_what_the_journal_says_better_is_kept(journals: list[Path], log: Path, tmp_path: Path) -> None:
    with read(tmp_path, *journals) as alone, read(tmp_path, *journals, log) as both, read(tmp_path, log) as only_log:
        plans = ("execution_id", "plan", "plan_hash", "inputs", "outputs", "run_id")
        assert of(both, sql_execution, *plans) == of(alone, sql_execution, *plans)
        assert of(only_log, sql_execution, *plans) != of(alone, sql_execution, *plans)
        assert of(both, job, "job_id", "tags", "run_id") == of(alone, job, "job_id", "tags", "run_id")
        assert of(only_log, job, "tags") != of(alone, job, "tags")
        status = ("status", "driver_outcome", "end_time")
        assert of(both, application, *status) == of(alone, application, *status)
