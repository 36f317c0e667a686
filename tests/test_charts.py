"""Charts of runs: what an address says of them, and what they are drawn from."""

from typing import Any

import pandas as pd
import pytest

from afterglow_monitor.charting import charts, run_fields
from afterglow_monitor.charting.charts import Chart

CHARTS = (
    Chart("bar", "run", "metrics.rmse"),
    Chart("scatter", "params.depth", "metrics.rmse", "experiment", log=True, title="loss & depth = 5%"),
    Chart("box", "tags.team", "duration_s"),
    Chart("parallel", y="params.depth,params.kind,metrics.rmse"),
    Chart("line", "time", "metrics.rmse"),
)


def run(number: int, **other: Any) -> dict[str, Any]:
    total = dict.fromkeys(run_fields.SPARK.values(), number)
    return {
        "run_id": f"{number:032}", "name": "trial", "experiment": "churn", "workspace": None, "applications": [],
        "user_name": "ada", "effective_status": "FINISHED", "source_name": "x.py", "start_time": 1_790_000_000_000,
        "duration_ms": 1_000 * number, "metrics": {"rmse": 0.5 + number, "b.[x]": 1.0}, "total": total,
        "params": {"depth": str(number), "kind": "ab"[number % 2]}, "tags": {"team": "a", "mlflow.user": "ada"},
    } | other  # fmt: skip


RUNS = [run(number) for number in range(4)]


@pytest.mark.parametrize("chart", CHARTS, ids=[each.type for each in CHARTS])
def test_an_address_says_all_of_a_chart(chart: Chart) -> None:
    assert charts.from_text(chart.text) == chart


@pytest.mark.parametrize("text", ["", "type=pie", "nonsense", "x=%ff&y", "type=bar&log=maybe"])
def test_an_address_that_says_nonsense_is_a_chart_all_the_same(text: str) -> None:
    assert charts.from_text(text).type == charts.BAR


@pytest.mark.parametrize("chart", CHARTS, ids=[each.type for each in CHARTS])
def test_each_kind_can_be_drawn_of_many_runs_and_of_runs_that_have_nothing(chart: Chart) -> None:
    lines = pd.DataFrame({"run": ["a"], "step": [1], "time": [pd.Timestamp(0, tz="UTC")], "value": [0.5]})
    bare = run(9, metrics=None, params=None, tags=None, duration_ms=None, start_time=None)
    for rows in (RUNS, [*RUNS, bare], [bare, bare]):
        assert charts.draw(chart, rows, lines).to_dict()


def test_numbers_are_numbers_though_mlflow_has_them_as_text_and_infinities_have_no_place() -> None:
    rows = [*RUNS, run(5, metrics={"rmse": "NaN"}), run(6, metrics={"rmse": "-Infinity"})]
    table = run_fields.frame(rows, ["params.depth", "params.kind", "metrics.rmse", "start_time"])
    assert list(table["params.depth"]) == [0, 1, 2, 3, 5, 6]
    assert not run_fields.is_number(table["params.kind"])
    assert table["metrics.rmse"].isna().tolist() == [False] * 4 + [True] * 2


def test_names_with_dots_and_brackets_are_no_paths() -> None:
    drawn = charts.draw(Chart("scatter", "params.depth", "metrics.b.[x]"), RUNS).to_dict()
    assert drawn["encoding"]["y"]["title"] == "metrics.b.[x]"
    assert drawn["encoding"]["y"]["field"] == "metrics b x"


def test_the_columns_of_a_charts_data_are_named_by_its_fields() -> None:
    assert [*charts.plain_names(["_run", "metrics.rmse", "metrics:rmse", "run", "💥"]).values()] == [
        "run", "metrics rmse", "metrics rmse 2", "run name", "2",
    ]  # fmt: skip
    drawn = charts.draw(Chart("scatter", "params.depth", "metrics.rmse", "tags.team"), RUNS).to_dict()
    [first, *_] = next(iter(drawn["datasets"].values()))
    assert list(first) == ["run", "params depth", "metrics rmse", "tags team", "start_time"]


def test_runs_of_the_same_name_are_told_apart() -> None:
    assert len(set(charts.distinct_names([run(int(f"{n}" * 8)) for n in (1, 2, 3)]))) == 3


def test_at_first_the_metric_of_most_runs_is_shown_and_what_was_tried() -> None:
    first, second = charts.usual(RUNS)
    assert (first.type, first.y) == ("bar", "metrics.b.[x]")
    assert (second.type, second.y) == ("parallel", "params.depth,params.kind,metrics.b.[x]")
    assert charts.usual(RUNS[:2])[1].type == "scatter"
    assert charts.usual([run(1, metrics=None, params=None)] * 2)[0].y == "duration_s"
