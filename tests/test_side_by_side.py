"""Runs side by side: what is the same, what differs, and what of that can be seen."""

import csv
import io
from datetime import UTC
from typing import Any

import pytest

from afterglow_monitor.charting import run_fields, side_by_side
from afterglow_monitor.charting.side_by_side import Line

START = 1_790_000_000_000
TOTAL = dict.fromkeys((*run_fields.SPARK.values(), "succeeded_tasks", "failed_jobs", "memory_spilled_bytes"), 0)


def run(number: int, **other: Any) -> dict[str, Any]:
    return {
        "run_id": f"{number:032}", "name": f"run {number}", "experiment": "churn", "workspace": None, "server": "team",
        "applications": [], "user_name": "ada", "status": "FINISHED", "effective_status": "FINISHED",
        "source_name": "/a/x.py", "start_time": START, "end_time": START + 61_000, "duration_ms": 61_000,
        "registered_versions": None, "metrics": {}, "params": {}, "tags": {}, "total": TOTAL,
    } | other  # fmt: skip


def lines(*rows: dict[str, Any], read: list[list[dict[str, str]]] | None = None, **more: Any) -> dict[str, Line]:
    of_runs = {
        row["run_id"]: {"inputs": files, "outputs": []}
        for row, files in zip(rows, read or [[] for _ in rows], strict=True)
    }
    found = side_by_side.lines(rows, of_runs, more.pop("properties", {}), UTC, now=START, **more)
    return {each.what: each for each in found}


def long_reads(last: str) -> list[dict[str, str]]:
    return [{"format": "parquet", "path": f"/data/part-{n:03}"} for n in range(40)] + [{"path": last}]


DIFFERENT: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("rmse", {"metrics": {"rmse": 0.9123451}}, {"metrics": {"rmse": 0.9123449}}),
    ("loss", {"metrics": {"loss": "NaN"}}, {"metrics": {"loss": float("inf")}}),
    ("query", {"params": {"query": "x" * 600 + "1"}}, {"params": {"query": "x" * 600 + "2"}}),
    ("Source", {"source_name": "/a/train.py"}, {"source_name": "/b/train.py"}),
    ("Start", {"start_time": START + 1}, {"start_time": START + 2}),
    ("Duration", {"duration_ms": 61_200}, {"duration_ms": 61_400}),
    ("Server", {"server": "team"}, {"server": "other"}),
    ("Application ID", {"applications": [{"id": 1, "name": "nightly", "app_id": "app-1"}]},
     {"applications": [{"id": 2, "name": "nightly", "app_id": "app-2"}]}),
    ("Input", {"total": TOTAL | {"input_bytes": 1_000_000_001}}, {"total": TOTAL | {"input_bytes": 1_000_000_002}}),
    ("Core time", {"total": TOTAL | {"core_seconds": 7200.25}}, {"total": TOTAL | {"core_seconds": 7201.5}}),
    ("Failed jobs", {"total": TOTAL | {"failed_jobs": 1}}, {"total": TOTAL}),
    ("Price", {"price": 1.001}, {"price": 1.002}),
]  # fmt: skip


@pytest.mark.parametrize(("what", "one", "other"), DIFFERENT, ids=[each[0] for each in DIFFERENT])
def test_what_rounding_would_hide_differs_and_is_shown_as_it_is(
    what: str, one: dict[str, Any], other: dict[str, Any]
) -> None:
    line = lines(run(1, **one), run(2, **other))[what]
    assert line.differs
    assert line.shown[0] != line.shown[1]


def test_data_differ_whatever_of_them_has_room_in_a_cell() -> None:
    line = lines(run(1), run(2), read=[long_reads("/data/a"), long_reads("/data/b")])["Reads"]
    assert line.differs
    assert [each[-2:] for each in line.shown] == ["/a", "/b"]
    assert not lines(run(1), run(2), read=[long_reads("/data/a")] * 2)["Reads"].differs


def test_the_configuration_is_that_of_each_runs_application() -> None:
    rows = [run(n, applications=[{"id": n, "name": "nightly", "app_id": "app"}]) for n in (1, 2, 3)]
    properties = {1: {"spark.executor.memory": "4g", "spark.master": "yarn"}, 2: {"spark.master": "yarn"}}
    found = lines(*rows[:2], properties=properties)
    assert found["spark.executor.memory"].shown == ["4g", "–"]
    assert found["spark.executor.memory"].differs
    assert not found["spark.master"].differs


def test_values_are_rounded_where_that_hides_nothing_and_the_same_do_not_differ() -> None:
    found = lines(run(1, metrics={"rmse": 0.12345678, "nan": float("nan")}),
                  run(2, metrics={"rmse": 0.5, "nan": float("nan")}, duration_ms=3_600_000))  # fmt: skip
    assert found["rmse"].shown == ["0.12346", "0.5"]
    assert found["Duration"].shown == ["1 min 01 s", "1 h 00 min"]
    assert not found["nan"].differs
    assert [what for what, line in lines(run(1), run(2)).items() if line.differs] == []
    assert "Price" not in found


def test_the_download_has_the_values_themselves() -> None:
    rows = [run(1, metrics={"rmse": 0.9123451}, price=1.001, params={"=1+1": "=2"}), run(2, duration_ms=61_200)]
    found = side_by_side.lines(rows, {row["run_id"]: {"inputs": [], "outputs": []} for row in rows}, {}, UTC,
                               now=START, currency="EUR")  # fmt: skip
    head, *read = csv.reader(io.StringIO(side_by_side.as_csv(found, rows).decode()))
    assert head == ["Group", "What", "Differs", "run 1", "run 2"]
    cells = {what: values for _, what, *values in read}
    assert cells["rmse"] == ["≠", "0.9123451", ""]
    assert cells["Duration (s)"] == ["≠", "61.0", "61.2"]
    assert cells["Price (EUR)"] == ["≠", "1.001", ""]
    assert cells["Start"] == ["", "2026-09-21T14:13:20.000Z", "2026-09-21T14:13:20.000Z"]
    assert cells["'=1+1"] == ["≠", "'=2", ""]


def test_runs_may_have_the_names_of_the_other_columns() -> None:
    rows = [run(1, name="Group"), run(2, name="Differs"), run(3, name="Differs")]
    found = list(lines(*rows).values())
    table = side_by_side.shown(found, rows)
    assert len(set(table.columns)) == len(table.columns) == 6
    head = side_by_side.as_csv(found, rows).decode().splitlines()[0].split(",")
    assert head[:3] == ["Group", "What", "Differs"]
    assert head[3] == f"Group ({rows[0]['run_id']})"


def test_a_price_is_an_axis_where_the_runs_have_one() -> None:
    rows = [run(1, price=1.5), run(2, price=3.0)]
    assert run_fields.PRICE in run_fields.names(rows)
    assert run_fields.PRICE not in run_fields.names([run(1), run(2, price=None)])
    assert list(run_fields.frame(rows, [run_fields.PRICE])[run_fields.PRICE]) == [1.5, 3.0]
