"""The generated MLflow database of the benchmarks: what MLflow itself makes of it."""

import sqlite3
from collections import Counter

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from afterglow.run_details import json_number
from tests.benchmarks.draw import (
    DAY,
    DAYS,
    EXPERIMENTS,
    FILTERS,
    METRICS,
    PARAMS,
    STATUSES,
    TAGS,
    Column,
    Filter,
    Shares,
    app_id,
    draw,
)
from tests.support.generated import NOW, RUNS, SEED

DRAWN = draw(RUNS, SEED, NOW)
EVERY = [str(number) for number in range(EXPERIMENTS + 1)]
MANY = draw(400_000, 3, NOW)


@pytest.fixture(scope="module")
def client(generated_url: str) -> MlflowClient:
    return MlflowClient(generated_url)


def value(shares: dict[str, Shares], columns: dict[str, Column], name: str, at: int) -> str:
    return list(shares[name])[int(columns[name][at])]


def test_mlflow_has_every_run_that_was_drawn(client: MlflowClient) -> None:
    found = client.search_runs(EVERY, run_view_type=ViewType.ALL, max_results=RUNS + 1)
    assert sorted(run.info.run_id for run in found) == sorted(DRAWN.ids)
    statuses = [list(STATUSES)[status] for status in DRAWN.status.tolist()]
    assert Counter(run.info.status for run in found) == Counter(statuses)
    deleted = {run.info.run_id for run in found if run.info.lifecycle_stage == "deleted"}
    assert deleted == {run_id for run_id, gone in zip(DRAWN.ids, DRAWN.deleted, strict=True) if gone}


@pytest.mark.parametrize("at", [0, RUNS // 2, RUNS - 1])
def test_a_run_has_exactly_what_was_drawn_for_it(client: MlflowClient, at: int) -> None:
    run = client.get_run(DRAWN.ids[at])
    application = DRAWN.application[at]
    assert run.info.start_time == DRAWN.start[at]
    assert run.info.experiment_id == str(DRAWN.experiment[application])
    assert run.data.params == {name: value(PARAMS, DRAWN.params, name, at) for name in PARAMS}
    drawn = {name: DRAWN.metrics[name][at] for name in METRICS if DRAWN.has_metric[name][at]}
    stored = {name: float(np.nan_to_num(each, nan=np.nan)) for name, each in drawn.items()}
    assert {name: json_number(each) for name, each in run.data.metrics.items()} == {
        name: json_number(each) for name, each in stored.items()
    }
    assert {name: run.data.tags[name] for name in TAGS} == {name: value(TAGS, DRAWN.tags, name, at) for name in TAGS}
    assert run.data.tags["spark.app.id"] == app_id(application)
    assert run.data.tags["mlflow.user"] == run.info.user_id
    assert run.data.tags["mlflow.runName"] == run.info.run_name


def test_mlflow_finds_an_applications_runs_by_its_tag(client: MlflowClient) -> None:
    application = DRAWN.application[-1]
    found = client.search_runs(EVERY, f"tags.`spark.app.id` = '{app_id(application)}'", run_view_type=ViewType.ALL)
    expected = [run_id for run_id, each in zip(DRAWN.ids, DRAWN.application, strict=True) if each == application]
    assert sorted(run.info.run_id for run in found) == sorted(expected)


@pytest.mark.parametrize("asked", FILTERS.values(), ids=FILTERS)
def test_mlflow_finds_the_runs_that_a_filter_was_drawn_to_match(client: MlflowClient, asked: Filter) -> None:
    found = client.search_runs(EVERY, asked.text, run_view_type=ViewType.ALL)
    expected = np.flatnonzero(DRAWN.matching(asked))
    assert sorted(run.info.run_id for run in found) == sorted(DRAWN.ids[at] for at in expected)


@pytest.mark.parametrize("asked", FILTERS.values(), ids=FILTERS)
def test_a_filter_matches_its_share_of_many_runs(asked: Filter) -> None:
    """Within five standard deviations of what chance allows, and a tenth for what `share` leaves out."""
    expected = asked.share * len(MANY)
    assert abs(int(MANY.matching(asked).sum()) - expected) <= 0.1 * expected + 5 * expected**0.5


def test_many_runs_are_spread_as_the_benchmark_says() -> None:
    assert len(MANY.application_start) == len(MANY) // 5
    assert set(np.unique(MANY.experiment)) == set(range(1, EXPERIMENTS + 1))
    assert len(np.unique(MANY.user)) == 500
    assert MANY.start.min() >= NOW - DAYS * DAY
    days = np.bincount((MANY.start - (NOW - DAYS * DAY)) // DAY, minlength=DAYS)
    assert days[:DAYS].min() > 0.3 * len(MANY) / DAYS
    for name in METRICS:
        there = MANY.metrics[name][MANY.has_metric[name]]
        assert len(there) / len(MANY) == pytest.approx(0.8, abs=0.01)
        assert np.mean(~np.isfinite(there)) == pytest.approx(0.01, abs=0.001)
    regions = np.bincount(MANY.tags["region"])
    assert regions.max() > 4 * regions.min()


def test_the_same_seed_gives_the_same_runs_and_another_one_others() -> None:
    again, other = draw(RUNS, SEED, NOW), draw(RUNS, SEED + 1, NOW)
    assert again.ids == DRAWN.ids
    assert (again.metrics["rmse"] == DRAWN.metrics["rmse"]).sum() > 0.98 * RUNS  # NaN is not itself
    assert not set(other.ids) & set(DRAWN.ids)


@pytest.mark.parametrize("table", ["params", "metrics", "latest_metrics", "tags"])
def test_the_tables_of_sqlite_are_as_mlflow_made_them(generated_sqlite: str, table: str) -> None:
    """They were filled without their keys, which were put back afterwards."""
    with sqlite3.connect(generated_sqlite.removeprefix("sqlite:///")) as conn:
        assert conn.execute(f"PRAGMA integrity_check({table})").fetchall() == [("ok",)]
        indexes = {name for _, name, *_ in conn.execute(f"PRAGMA index_list({table})")}
        assert {f"sqlite_autoindex_{table}_1", f"index_{table}_run_uuid"} <= indexes
        with pytest.raises(sqlite3.IntegrityError, match=f"UNIQUE constraint failed: {table}.key"):
            conn.execute(f"INSERT INTO {table} SELECT * FROM {table} LIMIT 1")
    conn.close()
