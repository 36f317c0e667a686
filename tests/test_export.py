"""Whole lists as files: CSV, JSON and Parquet, by the words of a page's address."""

import csv
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from starlette.applications import Starlette
from starlette.datastructures import QueryParams

from afterglow_monitor import export
from afterglow_store import Store, open_store
from afterglow_store.errors import BadFilter
from tests.support import world
from tests.support.asgi import Asgi

NOW = 1_795_000_000_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("export")
    opened = open_store(f"sqlite:///{folder / 'store.db'}")
    world.fill(opened, folder / "journal", now=NOW)
    yield opened
    opened.close()


def file(store: Store, what: str, kind: str, asked: str = "window=all") -> bytes:
    return b"".join(export.written(store, what, kind, export.query_of(what, QueryParams(asked))))


def from_csv(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode())))


def test_each_format_has_all_rows_of_the_list_in_its_order(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE", 50)  # several pages of the runs
    found: list[dict[str, Any]] = json.loads(file(store, "runs", "json"))
    assert len(found) == 323
    starts = [row["start_time"] for row in found]
    assert starts == sorted(starts, reverse=True)
    ids = [row["run_id"] for row in found]
    assert [row["run_id"] for row in from_csv(file(store, "runs", "csv"))] == ids
    assert pq.read_table(io.BytesIO(file(store, "runs", "parquet")))["run_id"].to_pylist() == ids
    by_name = [row["name"] for row in json.loads(file(store, "runs", "json", "window=all&sort=name"))]
    assert by_name == sorted(by_name, key=str)
    for what, many in (("applications", 14), ("experiments", 5)):
        assert len(json.loads(file(store, what, "json"))) == many
        assert len(from_csv(file(store, what, "csv"))) == many


def test_only_what_the_address_asks_for(store: Store) -> None:
    failed = json.loads(file(store, "runs", "json", "window=all&status=FAILED"))
    assert {row["effective_status"] for row in failed} == {"FAILED"}
    assert len(json.loads(file(store, "runs", "json", "window=all&filter=metrics.auc >= 0 and spark.jobs = 1"))) == 293
    assert len(json.loads(file(store, "runs", "json", "experiment=3"))) == 300
    assert json.loads(file(store, "runs", "json", "window=all&q=no such run")) == []
    assert from_csv(file(store, "runs", "csv", "window=all&q=no such run")) == []
    assert pq.read_table(io.BytesIO(file(store, "runs", "parquet", "window=all&q=no such run"))).num_rows == 0
    with pytest.raises(BadFilter):
        file(store, "runs", "json", "filter=metrics.auc >> 1")


def test_params_metrics_and_tags_are_columns_and_metrics_numbers(store: Store) -> None:
    [row] = [row for row in from_csv(file(store, "runs", "csv")) if row["run_id"] == world.CV_PARENT]
    assert (row["params.numFolds"], row["metrics.best_rmse"], row["tags.team"]) == ("3", "0.7133", "cellar")
    assert row["params.maxDepth"] == ""
    table = pq.read_table(io.BytesIO(file(store, "runs", "parquet")))
    [at] = [at for at, run_id in enumerate(table["run_id"].to_pylist()) if run_id == world.CV_PARENT]
    assert str(table.schema.field("metrics.best_rmse").type) == "double"
    assert str(table.schema.field("jobs").type) == "int64"
    assert math.isnan(table["metrics.train.loss"][at].as_py())
    assert table["metrics.divergence"][at].as_py() == math.inf


def test_what_is_wrong_is_said_as_the_rest_of_the_api_says_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afterglow_monitor.artifacts.store", lambda: store)
    asgi = Asgi(Starlette(routes=export.routes()))
    for asked, status, code in (
        ("runs/export?filter=metrics.auc+%3C%3C+1", 400, "INVALID_PARAMETER_VALUE"),
        ("runs/export?q=a%00b", 400, "INVALID_PARAMETER_VALUE"),
        ("runs/export?format=xls", 404, "ENDPOINT_NOT_FOUND"),
        ("snapshots/export", 404, "ENDPOINT_NOT_FOUND"),
    ):
        answer = asgi.ask("GET", f"/api/v1/{asked}")
        assert (answer.status_code, answer.json()["error_code"]) == (status, code)


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    for text in ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1"):
        assert export._harmless(text) == f"'{text}"
    assert export._harmless("a=b") == "a=b"
    assert export._harmless(-1.5) == -1.5
