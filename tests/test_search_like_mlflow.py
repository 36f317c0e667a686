"""The same question to MLflow's own search and to ours, about the same runs: the same answer, in the same order."""

import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import mlflow as mlflow_itself
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

import afterglow
from afterglow_monitor.syncing.tracking_database import TrackingDatabase
from afterglow_store import Query, Store, open_store, search_runs
from afterglow_store.runs import Origin, refresh_sums, take_in_experiment, take_in_runs
from afterglow_store.search import finding, ordering
from tests.benchmarks.draw import METRICS, PARAMS, TAGS
from tests.support.generated import NOW, RUNS

MORE = int(os.environ.get("AFTERGLOW_EXAMPLES", "1"))  # times as many
ASKED = 80 * MORE  # of each database
SEED = random.SystemRandom().randrange(10**6)

Ask = Callable[[str, str], list[Run]]
Row = dict[str, Any]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found is asked here, not how soon: machines that run tests do other things as well."""
    monkeypatch.setattr("afterglow_store.search.deadline.SECONDS", 60.0)


@pytest.fixture(scope="module")
def store(
    generated_url: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Store]:
    """Of the same kind as MLflow's database."""
    if generated_url.startswith("sqlite"):
        yield from loaded(generated_url, f"sqlite:///{tmp_path_factory.mktemp('like mlflow') / 'store.db'}")
        return
    with request.getfixturevalue("postgres_cluster").fresh_database() as url:
        yield from loaded(generated_url, url)


def loaded(mlflow_url: str, store_url: str) -> Iterator[Store]:
    opened, database = open_store(store_url), TrackingDatabase(mlflow_url)
    with opened.write() as conn:
        for each in database.experiments().values():
            take_in_experiment(conn, each, server="mlflow")
        for runs, _ in database.chunks(until=NOW):  # what other tests have added comes later
            changed = take_in_runs(conn, [dict(each) for each in runs], Origin("mlflow", mlflow_url, NOW))
            refresh_sums(conn, changed)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def mlflow(generated_url: str) -> Ask:
    client = MlflowClient(generated_url)
    generated = TrackingDatabase(generated_url).chunks(until=NOW)
    experiments = sorted({each["experiment_id"] for runs, _ in generated for each in runs})

    def ask(text: str, order: str) -> list[Run]:
        by = [order] if order else None
        return list(client.search_runs(experiments, text, ViewType.ALL, max_results=5_000, order_by=by))

    return ask


def comparison(chance: random.Random) -> str:
    kind = chance.choice(("metric", "metric", "param", "tag", "attribute"))
    if kind == "metric":
        number = chance.choice((f"{chance.uniform(-0.2, 1.2):.3f}", "0", "1e308", "-1e308", "0.5"))
        return (
            f"metrics.{chance.choice((*METRICS, 'never'))} {chance.choice(('<', '<=', '>', '>=', '=', '!='))} {number}"
        )
    if kind == "attribute":
        return chance.choice((
            f"attributes.status {chance.choice(('=', '!='))} '{chance.choice(('FINISHED', 'FAILED', 'RUNNING'))}'",
            f"attributes.start_time {chance.choice(('<', '>='))} {NOW - chance.randrange(400 * 86_400_000)}",
            f"attributes.end_time {chance.choice(('<', '>'))} {NOW - chance.randrange(400 * 86_400_000)}",
            f"attributes.run_name {chance.choice(('LIKE', 'ILIKE'))} '%{chance.choice('aeR0')}%'",
            f"attributes.user_id {chance.choice(('=', '!=', 'LIKE'))} 'user-00{chance.randrange(10)}'",
        ))  # fmt: skip
    pool = PARAMS if kind == "param" else TAGS
    key = chance.choice(list(pool))
    value = chance.choice(list(pool[key]))
    operator = chance.choice(("=", "=", "=", "!=", "LIKE", "ILIKE", "IS NULL", "IS NOT NULL"))
    if "NULL" in operator:
        return f"{kind}s.{key} {operator}"
    return f"{kind}s.{key} {operator} '{value[:2] + '%' if 'LIKE' in operator else value}'"


def test_the_generated_runs_are_all_there(store: Store) -> None:
    with store.read() as conn:
        assert search_runs(conn, Query(limit=1)).total == RUNS


@pytest.mark.timeout(300 * MORE)
@pytest.mark.parametrize("plan", ["as it is", "small"])
def test_filters_and_orders_give_what_mlflow_gives(
    store: Store, mlflow: Ask, plan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if plan == "small":
        for module, name in ((finding, "FEW"), (finding, "NEWEST"), (ordering, "SORTED"), (ordering, "BEST")):
            monkeypatch.setattr(module, name, 15)
    chance = random.Random(SEED + len(plan))
    some = 0
    for _ in range(ASKED // 2):
        text = " and ".join(comparison(chance) for _ in range(chance.choice((0, 1, 1, 2, 2, 3))))
        order = chance.choice(("", "", "attributes.start_time ASC", "attributes.end_time DESC",
                               *(f"metrics.{name} {way}" for name in METRICS for way in ("ASC", "DESC"))))  # fmt: skip
        expected = mlflow(text, order)
        with store.read() as conn:
            rows = search_runs(conn, Query(filter=text, order_by=order, limit=RUNS)).rows
        said = f"seed {SEED}: {text!r} by {order!r}"
        assert sorted(row["run_id"] for row in rows) == sorted(each.info.run_id for each in expected), said
        by = by_which(order)
        assert [by(row) for row in rows] == [by(of_mlflow(each)) for each in expected], said
        some += 0 < len(rows) < RUNS
    assert some > ASKED / 12, "most filters should find some and leave some, or they prove little"


def of_mlflow(run: Run) -> Row:
    return {"start_time": run.info.start_time, "end_time": run.info.end_time, "metrics": run.data.metrics}


def by_which(order: str) -> Callable[[Row], Any]:
    """What the place of a run in the list hangs on; runs that are the same there have no order of their own."""
    name = order.partition(" ")[0]
    kind, _, key = name.partition(".")
    if kind == "metrics":
        return lambda row: (number(row["metrics"].get(key)), row["start_time"])
    return lambda row: (row[key or "start_time"], row["start_time"])


def number(value: Any) -> str:
    """MLflow keeps infinity as the largest number that there is."""
    plain = None if value is None else float(value)
    return str({float("inf"): 1.7976931348623157e308, float("-inf"): -1.7976931348623157e308}.get(plain, plain))  # type: ignore[arg-type]


def test_the_table_has_what_mlflows_has_with_the_same_types(store: Store, generated_url: str) -> None:
    before = mlflow_itself.get_tracking_uri()
    mlflow_itself.set_tracking_uri(generated_url)
    try:
        asked = f"attributes.start_time <= {NOW}"
        theirs = mlflow_itself.search_runs(search_all_experiments=True, filter_string=asked, run_view_type=ViewType.ALL)
        nothing = mlflow_itself.search_runs(search_all_experiments=True, filter_string="tags.nowhere = 'x'")
    finally:
        mlflow_itself.set_tracking_uri(before)
    ours = afterglow.search_runs(asked, since="all", source=store.url)
    assert len(theirs) == len(ours) == RUNS
    assert set(theirs) <= set(ours)
    pd.testing.assert_frame_equal(ours.set_index("run_id")[[*theirs][1:]], theirs.set_index("run_id"), check_like=True)
    assert set(nothing) <= set(afterglow.search_runs("tags.nowhere = 'x'", source=store.url))
