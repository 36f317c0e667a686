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

from afterglow_monitor import downloads, export, row_files
from afterglow_monitor.downloads import DONE, LOOKING, SENDING, STOPPED
from afterglow_store import Page, Query, Store, open_store
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


@pytest.fixture
def reads(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Of each page of runs that has been read, what it follows: pages of 50, and pieces of a file as small."""
    read: list[str | None] = []
    search, public = export.SEARCHES["runs"]

    def noted(conn: Any, query: Query) -> Page:
        read.append(query.after)
        return search(conn, query)

    monkeypatch.setitem(export.SEARCHES, "runs", (noted, lambda row: Told(public(row))))
    monkeypatch.setattr(export, "PAGE", 50)
    monkeypatch.setattr(row_files, "PIECE", 20_000)
    monkeypatch.setattr(row_files, "BATCH", 50)
    monkeypatch.setattr(row_files, "GROUP", 100)
    return read


class Told(dict[str, Any]):
    """A row that counts how many of it there are."""

    alive = most = 0

    def __init__(self, row: dict[str, Any]) -> None:
        super().__init__(row)
        Told.alive += 1
        Told.most = max(Told.most, Told.alive)

    def __del__(self) -> None:
        Told.alive -= 1


@pytest.mark.parametrize("kind", ["csv", "parquet", "json"])
def test_a_file_begins_before_its_rows_are_read_and_holds_no_more_of_them_than_it_writes_at_once(
    store: Store, reads: list[str | None], kind: str
) -> None:
    Told.most = Told.alive
    pieces = export.written(store, "runs", kind, export.query_of("runs", QueryParams("window=all")))
    first = next(pieces)
    assert (bool(first), len(reads)) == (True, 1)
    second = next(pieces)
    assert len(reads) <= 3
    data = first + second + b"".join(pieces)
    assert len(reads) == 7
    assert Told.most <= 100 + 2
    assert rows_in(data, kind) == 323


def rows_in(data: bytes, kind: str) -> int:
    if kind == "parquet":
        read = pq.ParquetFile(io.BytesIO(data))
        assert read.num_row_groups == 4
        return int(read.metadata.num_rows)
    return len(from_csv(data) if kind == "csv" else json.loads(data))


@pytest.mark.parametrize("what", ["applications", "experiments", "runs"])
def test_there_is_a_column_for_all_that_any_row_has(store: Store, what: str) -> None:
    rows = [row_files.flat(row) for row in export.rows(store, what, export.query_of(what, QueryParams("window=all")))]
    header = file(store, what, "csv").decode().splitlines()[0].split(",")
    assert {*header} == {name for row in rows for name in row}
    assert pq.read_schema(io.BytesIO(file(store, what, "parquet"))).names == header


def test_what_a_run_got_after_the_columns_were_known_is_left_out() -> None:
    late = [{"run_id": "a", "params": {"late": "1"}, "jobs": 2}]
    [row] = from_csv(b"".join(row_files.csv_file(late, row_files.columns("Run", {}))))
    assert (row["run_id"], row["jobs"], "params.late" in row) == ("a", "2", False)


def test_how_far_a_download_is_can_be_asked_by_its_name(store: Store, reads: list[str | None]) -> None:
    name = f"{'0' * 31}1-csv"
    query = export.query_of("runs", QueryParams("window=all"))
    pieces = export.written(store, "runs", "csv", query, name=name)
    progress = downloads.progress_of(name)
    assert progress is not None
    assert (progress.state, progress.total) == (LOOKING, None)
    next(pieces)
    assert (progress.state, progress.rows, progress.total) == (SENDING, 0, 323)
    next(pieces)
    assert 0 < progress.rows < 323
    assert b"".join(pieces)
    assert (progress.state, progress.rows) == (DONE, 323)
    left = export.written(store, "runs", "csv", query, name=name)
    next(left)
    left.close()  # type: ignore[attr-defined]  # as when the browser goes
    again = downloads.progress_of(name)
    assert again is not None
    assert (again.state, again.total) == (STOPPED, 323)
    list(export.written(store, "runs", "csv", query, name="anybody's"))
    assert downloads.progress_of("anybody's") is None


def test_of_more_runs_than_an_address_names_the_selection_is_downloaded(
    store: Store, reads: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afterglow_monitor.artifacts.store", lambda: store)
    ids = [row["run_id"] for row in json.loads(file(store, "runs", "json"))][::2]
    name = downloads.keep_selection(ids)
    queries = export._queries("runs", QueryParams({"selection": name, "window": "1h"}))
    assert len(queries) == 4
    found = json.loads(b"".join(export.written(store, "runs", "json", *queries)))
    assert sorted(row["run_id"] for row in found) == sorted(ids)
    asgi = Asgi(Starlette(routes=export.routes()))
    for path in ("/api/v1/runs/export?selection=gone", f"/api/v1/applications/export?selection={name}"):
        gone = asgi.ask("GET", path)
        assert (gone.status_code, gone.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_only_the_latest_downloads_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_selections", downloads._Latest[tuple[str, ...]](2))
    one, two, three = (downloads.keep_selection([each]) for each in "abc")
    assert [downloads.selection(each) for each in (one, two, three)] == [None, ("b",), ("c",)]
    assert downloads.keep_selection(["b"]) == two


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
        assert row_files.harmless(text) == f"'{text}"
    assert row_files.harmless("a=b") == "a=b"
    assert row_files.harmless(-1.5) == -1.5
