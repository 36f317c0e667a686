"""The metric that an experiment is about, and the best of its runs by it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from afterglow_store import Query, Store, Window, ingest_file, open_store
from afterglow_store.schema import experiment
from afterglow_store.search import any_primary_metric, experiments_with_best
from afterglow_store.search.primary import GREATER, NAME, primary_metric
from tests.support.journals import Journal

START = 1_790_000_000_000
VALUES: dict[str, list[Any]] = {"1": [0.5, 0.3, "NaN", 0.4], "2": [0.1, 0.9], "3": ["NaN"], "4": [0.01]}
TAGS = {
    "1": {NAME: "rmse"},
    "2": {NAME: "rmse", GREATER: "True"},
    "3": {NAME: "rmse"},
    "4": {"team": "a"},
}


@pytest.fixture
def store(store_url: str, tmp_path: Path) -> Iterator[Store]:
    """Four experiments, whose runs start a second apart: 1-0, 1-1, …, and 2-0 a second later."""
    with closing(open_store(store_url)) as found:
        journal = Journal(tmp_path, "app-1", name="train", start=START)
        for which, values in VALUES.items():
            for number, value in enumerate(values):
                named = {"experiment_id": which, "experiment_name": f"experiment {which}"}
                run = journal.wait(1).run_start(f"{which}-{number}", f"run {number}", **named)
                journal.run_end(run, "FINISHED", metrics={"rmse": value})
        ingest_file(found, journal.end(), now=START)
        with found.write() as conn:
            for which, tags in TAGS.items():
                conn.execute(sa.update(experiment).where(experiment.c.experiment_id == which).values(tags=tags))
        yield found


def best(store: Store, query: Query) -> dict[str, tuple[str | None, float | None, str | None]]:
    with store.read() as conn:
        rows = experiments_with_best(conn, query).rows
    return {row["experiment_id"]: (row["primary_metric"], row["best_value"], row["best_run_id"]) for row in rows}


def test_the_best_run_is_the_one_with_the_least_or_greatest_value_as_the_tags_say(store: Store) -> None:
    assert best(store, Query()) == {
        "1": ("rmse", 0.3, "1-1"),
        "2": ("rmse", 0.9, "2-1"),
        "3": ("rmse", None, None),
        "4": (None, None, None),
    }


def test_only_runs_that_are_counted_are_compared(store: Store) -> None:
    with store.read() as conn:
        rows = experiments_with_best(conn, Query(experiment="1")).rows
    later = Window(since=rows[0]["last_run_time"])
    assert best(store, Query(experiment="1", window=later)) == {"1": ("rmse", 0.4, "1-3")}
    assert best(store, Query(experiment="1", statuses=["FAILED"])) == {}


def test_it_is_known_whether_any_experiment_has_one(store: Store) -> None:
    with store.write() as conn:
        assert any_primary_metric(conn)
        conn.execute(sa.update(experiment).values(tags={"mlflow": NAME.replace(".", "_")}))
        assert not any_primary_metric(conn)


@pytest.mark.parametrize(
    ("tags", "means"),
    [
        ({}, None),
        ({NAME: ""}, None),
        ({NAME: "val_loss"}, ("val_loss", False)),
        ({NAME: "auc"}, ("auc", True)),
        ({NAME: "val_loss", GREATER: "true"}, ("val_loss", True)),
        ({NAME: "auc", GREATER: "False"}, ("auc", False)),
        ({NAME: "auc", GREATER: "perhaps"}, ("auc", True)),
    ],
)
def test_which_way_is_better_is_what_mlflow_says_or_what_the_name_says(tags: dict[str, str], means: Any) -> None:
    assert primary_metric({"tags": tags}) == means
