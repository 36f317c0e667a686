"""MLflow's filter language is a part of ours: what its own parser accepts is read the same, and means the same."""

import os
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.entities import Metric, Param, Run, RunData, RunInfo, RunTag
from mlflow.utils.search_utils import SearchUtils

from afterglow_store.errors import BadFilter
from afterglow_store.filters import Of, parse, parse_order
from tests.support.matching import in_order, matches
from tests.support.mlflow_filters import (
    EXPERIMENT_COMPARISONS,
    RUN_COMPARISONS,
    damaged,
    filters,
    meaning_for_mlflow,
    meaning_for_us,
    order_clauses,
    order_for_mlflow,
)

NOW = 1_795_442_400_000  # 2026-11-23 14:00 UTC
MORE = int(os.environ.get("AFTERGLOW_EXAMPLES", "1"))  # times as many
quick = settings(deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])

mlflow: Any = SearchUtils  # it has no types
accepted: Counter[str] = Counter()


def same_for_both(text: str, of: Of) -> bool:
    """Whether MLflow accepts it; then ours has to read the same."""
    for_mlflow = meaning_for_mlflow(text, of)
    if for_mlflow is not None:
        assert meaning_for_us(parse(text, of, now=NOW)) == for_mlflow
    return for_mlflow is not None


@pytest.mark.parametrize(
    "text",
    [
        """metrics.rmse < 1 and params.model = "LogisticRegression\"""",
        """params.batch_size = "2" AND tags.task ILIKE "classif%\"""",
        """metrics."cross-entropy-loss" < 0.3 AND params."batch size" != '2'""",
        """tags.`mlflow.parentRunId` = "abc" AND tags."mlflow.source.name" = "scratch.ipynb\"""",
        """attributes.status = 'ACTIVE' and attribute.artifact_uri = '1/23/4' and run.user_id = 'user1'""",
        """attributes.run_id IN ("a1b2c3d4", 'e5f6') AND run_id NOT IN ('c3')""",
        """attributes.start_time >= 1664067852747 AND `run name` LIKE 'my%' and metrics.`F1 score` > -1e-6""",
        """params.a IS NULL AND tags.b is not null""",
    ],
)
def test_filters_as_people_write_them_are_read_the_same(text: str) -> None:
    assert same_for_both(text, "runs")


@settings(quick, max_examples=600 * MORE)
@given(filters(RUN_COMPARISONS))
def test_what_mlflow_reads_in_a_filter_of_runs_is_read_the_same(text: str) -> None:
    accepted["runs"] += same_for_both(text, "runs")


@settings(quick, max_examples=200 * MORE)
@given(filters(EXPERIMENT_COMPARISONS))
def test_what_mlflow_reads_in_a_filter_of_experiments_is_read_the_same(text: str) -> None:
    accepted["experiments"] += same_for_both(text, "experiments")


def test_most_of_the_made_up_filters_are_ones_that_mlflow_accepts() -> None:
    if not accepted:  # this test alone
        test_what_mlflow_reads_in_a_filter_of_runs_is_read_the_same()
        test_what_mlflow_reads_in_a_filter_of_experiments_is_read_the_same()
    assert accepted["runs"] > 400
    assert accepted["experiments"] > 130


def is_key(key: str, text: str) -> bool:
    """Of damaged names MLflow makes keys with quotes, brackets and unquoted spaces in them, which it would refuse to
    log, or which nobody meant."""
    meant = any(quote + key + quote in text for quote in "`\"'") or not re.search(r"\s", key)
    return meant and re.fullmatch(r"[/\w.\- :]*", key) is not None


@settings(quick, max_examples=200 * MORE)
@given(damaged(filters(RUN_COMPARISONS)))
def test_also_a_filter_with_a_slip_in_it_is_read_the_same_if_mlflow_accepts_it(text: str) -> None:
    for_mlflow = meaning_for_mlflow(text)
    if all(is_key(key, text) for _, key, *_ in for_mlflow or () if key is not None) and '"."' not in text:
        same_for_both(text, "runs")


def run_of(row: dict[str, Any]) -> Run:
    info = RunInfo(
        run_id=row["run_id"], run_name=row["name"], experiment_id="1", user_id=row["user_name"], status=row["status"],
        start_time=row["start_time"], end_time=row["end_time"], lifecycle_stage="active", artifact_uri="file:/a"
    )  # fmt: skip
    metrics = [Metric(key, float(value), 0, 0) for key, value in row["metrics"].items()]
    params = [Param(key, value) for key, value in row["params"].items()]
    tags = [RunTag(key, value) for key, value in row["tags"].items()]
    return Run(info, RunData(metrics, params, tags))


texts = st.sampled_from(["", "a", "A", "ab", "b%", "a_b", "5"])
metric_values = st.sampled_from([0.5, -1.0, 5, 0, 0.8, "NaN", "Infinity", "-Infinity"])
keyed = st.sampled_from(["a", "b", "rmse"])
small = st.integers(0, 5)
rows = st.fixed_dictionaries(
    {
        "run_id": st.uuids().map(lambda each: each.hex),
        "name": texts,
        "user_name": texts,
        "status": st.sampled_from(["RUNNING", "FINISHED", "FAILED"]),
        "start_time": small,
        "end_time": st.none() | small,
        "metrics": st.dictionaries(keyed, metric_values),
        "params": st.dictionaries(keyed, texts),
        "tags": st.dictionaries(keyed, texts),
    }
)
ordering = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
metric_filters = st.tuples(keyed, ordering, st.sampled_from(["0.5", "5", "-1", "1e999", "-1e999", "0"]))
text_filters = st.tuples(
    st.sampled_from(["params.a", "tags.b", "tags.rmse", "run_name", "status", "user_id"]),
    st.sampled_from(["=", "!=", "LIKE", "ILIKE"]),
    texts | st.sampled_from(["%", "a%", "%B", "_", "RUNNING"]),
)
null_filters = st.tuples(st.sampled_from(["params.a", "tags.b"]), st.sampled_from(["NULL", "NOT NULL"]))
time_filters = st.tuples(st.sampled_from(["start_time", "end_time"]), ordering, small)
simple_filters = filters(
    st.one_of(
        metric_filters.map(lambda each: "metrics.{} {} {}".format(*each)),
        text_filters.map(lambda each: "{} {} '{}'".format(*each)),
        null_filters.map(lambda each: "{} IS {}".format(*each)),
        time_filters.map(lambda each: "{} {} {}".format(*each)),
    )
)


@settings(quick, max_examples=150 * MORE)
@given(simple_filters, st.lists(rows, min_size=1, max_size=6))
def test_the_runs_that_mlflow_finds_are_those_that_match(text: str, some: list[dict[str, Any]]) -> None:
    condition = parse(text, now=NOW)
    assert condition is not None
    found = mlflow.filter([run_of(row) for row in some], text)
    assert [row["run_id"] for row in some if matches(condition, row)] == [run.info.run_id for run in found]


@settings(quick, max_examples=150 * MORE)
@given(order_clauses())
def test_what_mlflow_orders_runs_by_is_read_the_same(text: str) -> None:
    for_mlflow = order_for_mlflow(text)
    if for_mlflow is not None:
        (order,) = parse_order(text, "runs")
        assert (order.field.name, order.key, order.descending) == for_mlflow


def test_what_mlflow_orders_experiments_by_is_read_the_same() -> None:
    for name in ("name", "experiment_id", "creation_time", "last_update_time"):
        for text, descending in ((name, False), (f"attribute.{name} ASC", False), (f"`{name}` desc", True)):
            assert order_for_mlflow(text, "experiments") == (name, None, descending)
            (order,) = parse_order(text, "experiments")
            assert (order.field.name, order.descending) == (name, descending)


clauses = st.sampled_from(["metrics.a", "metrics.rmse DESC", "params.a DESC", "end_time", "run_name DESC", "tags.b"])


@settings(quick, max_examples=100 * MORE)
@given(st.lists(clauses, min_size=1, max_size=3, unique=True), st.lists(rows, max_size=8))
def test_runs_are_in_mlflows_order_with_nan_and_then_nothing_at_the_end(
    by: list[str], some: list[dict[str, Any]]
) -> None:
    by_age = sorted(some, key=lambda row: (-row["start_time"], row["run_id"]))
    for_mlflow = mlflow.sort([run_of(row) for row in some], by)
    ordered = in_order(by_age, parse_order(", ".join(by)))
    assert [row["run_id"] for row in ordered] == [run.info.run_id for run in for_mlflow]


def test_datasets_are_what_mlflow_searches_by_and_the_store_does_not_have() -> None:
    for name in ("name", "digest", "context"):
        assert meaning_for_mlflow(f"datasets.{name} = 'x'") == [(f"dataset.{name}", None, "=", "x")]
        with pytest.raises(BadFilter, match="keeps no datasets"):
            parse(f"datasets.{name} = 'x'", now=NOW)


def test_in_a_list_mlflow_reads_pythons_escapes_and_we_read_what_stands_there() -> None:
    text = r"run_id IN ('a\tb')"
    assert meaning_for_mlflow(text) == [("run_id", None, "IN", ("a\tb",))]
    assert meaning_for_us(parse(text, now=NOW)) == [("run_id", None, "IN", (r"a\tb",))]
