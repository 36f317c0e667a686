"""The search functions of `import afterglow`: by a server's address, by a store's URL, and like REST and `--json`."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pytest
import requests
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import afterglow
from afterglow import frames, sources
from afterglow.sources import AfterglowError, CannotReach, CannotRead, NotAllowed, NotThere, Server, TookTooLong
from afterglow_monitor.cli import cli
from afterglow_store.search import deadline
from tests.support import world
from tests.support.api import Served
from tests.support.parts import ROOT
from tests.support.tracking import free_port

FUNCTIONS = sorted(afterglow._OF_SEARCH)


@pytest.fixture(autouse=True)
def no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (sources.ADDRESS, sources.STORE, sources.TOKEN):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["address", "store"])
def source(request: pytest.FixtureRequest, served: Served) -> str:
    return served.address if request.param == "address" else served.store_url


def test_runs_are_rows_with_a_column_for_each_metric_param_and_tag(source: str) -> None:
    runs = afterglow.search_runs("experiment.name = 'wine-quality'", since="all", source=source)
    assert isinstance(runs, pd.DataFrame)
    row = runs.set_index("run_id").loc[world.CV_PARENT]
    assert (row["name"], row["params.numFolds"], row["tags.team"]) == ("cross-validator", "3", "cellar")
    assert (row["metrics.best_rmse"], row["metrics.divergence"]) == (0.7133, math.inf)
    assert runs["metrics.train.loss"].isna().all()
    assert row["applications"] == (world.CV_APP,)
    assert row["total.runs"] == 7
    others = runs[runs["run_id"] != world.CV_PARENT]
    assert others["metrics.best_rmse"].isna().all()
    assert set(others["params.numFolds"]) == {None}
    assert str(runs["start_time"].dtype) == str(runs["end_time"].dtype) == "datetime64[ns, UTC]"
    assert (runs["end_time"] - runs["start_time"]).dt.total_seconds().tolist() == runs["duration_s"].tolist()
    assert {str(runs[name].dtype) for name in ("jobs", "input_bytes")} == {"int64"}
    assert {str(runs[name].dtype) for name in ("metrics.rmse", "core_seconds", "peak_heap_bytes")} == {"float64"}
    assert str(list(runs)[-1]).startswith("tags.")


def test_what_still_runs_has_no_end(source: str) -> None:
    [end] = afterglow.search_applications("status = 'RUNNING'", since="all", source=source)["end_time"]
    assert end is pd.NaT


def test_nothing_found_is_an_empty_table_with_its_columns(source: str) -> None:
    found = afterglow.search_runs(text="no such run", source=source)
    assert len(found) == 0
    assert {"run_id", "start_time", "core_seconds"} <= set(found)
    assert str(found["start_time"].dtype) == "datetime64[ns, UTC]"


def test_each_function_finds_what_is_there(source: str) -> None:
    apps = afterglow.search_applications(since="all", user=["ada", "grace"], source=source)
    assert set(apps["user"]) == {"ada", "grace"}
    experiments = afterglow.search_experiments(since="all", order_by=["runs DESC"], source=source)
    assert experiments["runs"][0] == world.SEARCH_RUNS
    kept = afterglow.snapshots(experiment="wine-quality", source=source)
    assert set(kept["experiment"]) == {"wine-quality"}
    first, other = (afterglow.snapshots(run, source=source)["id"].iloc[-1] for run in (world.CV_PARENT, world.PLAIN))
    changed = afterglow.diff(int(first), int(other), source=source)
    assert ("param", "numFolds", "removed", "3", None) in changed.itertuples(index=False, name=None)
    used = afterglow.usage("user", since="all", source=source)
    assert used["core_seconds"].is_monotonic_decreasing
    assert set(afterglow.search_runs(linked=True, app="churn-search", max_results=7, source=source)["jobs"]) == {1}


def test_a_moment_may_be_a_datetime(source: str) -> None:
    everything = afterglow.search_runs(since="all", source=source)
    middle = everything["start_time"].sort_values().iloc[len(everything) // 2].to_pydatetime()
    later = afterglow.search_runs(since=middle, source=source)
    assert set(later["run_id"]) == set(everything[everything["start_time"] >= middle]["run_id"])


def test_many_pages_are_one_table(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    ask = sources.Asking.ask

    def counted(self: sources.Asking, path: str, words: sources.Words) -> sources.Row:
        asked.append(1)
        return ask(self, path, [(name, "40" if name == "max_results" else value) for name, value in words])

    whole = afterglow.search_runs(since="all", max_results=None, source=source)
    monkeypatch.setattr(sources.Asking, "ask", counted)
    by_pages = afterglow.search_runs(since="all", max_results=None, source=source)
    assert len(asked) == math.ceil(len(whole) / 40) > 5
    pd.testing.assert_frame_equal(by_pages, whole)


# The same everywhere --------------------------------------------------------------------------------------------

comparisons = st.one_of(
    st.tuples(st.sampled_from(["metrics.auc", "metrics.rmse", "duration", "spark.jobs", "spark.core_seconds"]),
              st.sampled_from(["<", ">", ">=", "!="]), st.sampled_from(["0", "0.8", "1", "5"])),
    st.tuples(st.sampled_from(["params.maxDepth", "tags.team", "user", "run_name", "status", "experiment.name"]),
              st.sampled_from(["=", "!=", "LIKE", "ILIKE"]),
              st.sampled_from(["'4'", "'cellar'", "'ada'", "'%a%'", "'FAILED'"])),
    st.tuples(st.sampled_from(["metrics.auc", "params.rank", "tags.search", "end_time"]),
              st.sampled_from(["IS NULL", "IS NOT NULL"]), st.just("")),
).map(lambda each: f"{each[0]} {each[1]} {each[2]}".replace("duration < 0.8", "duration < 5"))  # fmt: skip
filters = st.recursive(
    comparisons,
    lambda deeper: st.tuples(deeper, st.sampled_from(["AND", "OR"]), deeper).map(lambda e: f"({e[0]} {e[1]} {e[2]})"),
    max_leaves=4,
)
BEGAN = datetime.now(UTC)


def ago(**span: float) -> str:
    """The same moment whenever it is asked for, which ``3h`` would not be."""
    return (BEGAN - timedelta(**span)).isoformat()


since_when = [ago(days=30), ago(days=4), "2020-01-01"]
windows = st.sampled_from(
    [("all", None), *((since, None) for since in since_when), (ago(days=90), ago(hours=3)), (ago(days=1), ago(hours=1))]
)
orders = st.sampled_from(["", "metrics.auc DESC", "run_name", "duration DESC, run_name", "start_time"])


@settings(max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(filter_=st.one_of(st.just(""), filters), window=windows, order=orders)
def test_rest_python_and_the_command_line_list_the_same_runs_in_the_same_order(
    served: Served, filter_: str, window: tuple[str, str | None], order: str
) -> None:
    since, until = window
    words = {"filter": filter_, "since": since, "until": until or "", "order_by": order, "max_results": "90"}
    listed = list(by_rest(served.address, words))
    for source in (served.address, served.store_url):
        found = afterglow.search_runs(filter_, since=since, until=until, order_by=order, source=source)
        assert found["run_id"].tolist() == listed, source
    assert by_command_line(served.store_url, filter_, since, until, order) == listed


def by_rest(address: str, words: dict[str, str]) -> Iterator[str]:
    token = ""
    while token is not None:
        body = requests.get(f"{address}/api/v1/runs", {**words, "page_token": token}, timeout=60).json()
        yield from (row["run_id"] for row in body["runs"])
        token = body["next_page_token"]


def by_command_line(store_url: str, filter_: str, since: str, until: str | None, order: str) -> list[str]:
    said = ["runs", "--json", "--limit", "9999", "--since", since, "--filter", filter_]
    said += ["--until", until] if until else []
    said += ["--order-by", order] if order else []
    done = CliRunner().invoke(cli, said, env={sources.STORE: store_url})
    assert done.exit_code == 0, done.output
    return [row["run_id"] for row in orjson.loads(done.stdout)]


# Trouble --------------------------------------------------------------------------------------------------------


def test_a_filter_that_cannot_be_read_is_a_value_error_that_says_where(source: str) -> None:
    with pytest.raises(CannotRead, match=r"<< is no comparator .*\(at character 14\)") as raised:
        afterglow.search_runs("metrics.rmse << 0.8", source=source)
    assert isinstance(raised.value, ValueError)
    assert isinstance(raised.value, AfterglowError)


def test_what_is_not_there_is_a_lookup_error(source: str) -> None:
    with pytest.raises(NotThere, match="snapshot 999999 is not in the store"):
        afterglow.diff(999_999, source=source)
    with pytest.raises(LookupError, match="experiment none is not in the store"):
        afterglow.snapshots(experiment="none", source=source)


def test_a_server_that_is_not_there_says_how_to_say_where_it_is() -> None:
    away = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(CannotReach, match=r"afterglow up.*AFTERGLOW_MONITOR_URL"):
        afterglow.search_runs(source=away)


def test_a_server_of_something_else_is_not_taken_for_afterglow(served: Served) -> None:
    with pytest.raises(CannotReach, match="is no Afterglow"):
        Server(f"{served.address}/elsewhere").ask("/runs", [])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("sqlite:////nowhere/store.db", "there is no store at sqlite:////nowhere/store.db"),
        ("postgresql+psycopg://me:hunter2@127.0.0.1:1/none", "does not answer"),
        ("mysql://me:hunter2@h/x", "cannot be opened|does not answer"),
        ("http://me:hunter2@127.0.0.1:8501", "without a password"),
        ("127.0.0.1:8501", "is neither the address of a server"),
    ],
)
def test_a_source_that_cannot_be_used_says_why_without_its_password(source: str, message: str) -> None:
    with pytest.raises(CannotReach, match=message) as raised:
        afterglow.search_runs(source=source)
    assert "hunter2" not in str(raised.value)


def test_a_store_of_another_version_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "other.db").touch()
    with pytest.raises(CannotReach, match="is at schema None, this Afterglow reads"):
        afterglow.search_runs(source=f"sqlite:///{tmp_path / 'other.db'}")


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, NotAllowed), (403, PermissionError), (503, CannotReach), (500, CannotReach)],
)
def test_each_answer_that_is_none_is_an_error_of_its_kind(
    served: Served, monkeypatch: pytest.MonkeyPatch, status: int, error: type[Exception]
) -> None:
    monkeypatch.setattr(Server, "ask", lambda *_: (status, {"message": "the words of the server"}))
    with pytest.raises(error, match="the words of the server"):
        afterglow.search_runs(source=served.address)


def test_a_search_that_was_stopped_is_a_timeout(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "SECONDS", 0.0)
    monkeypatch.setattr(deadline, "_STEPS", 1)
    with pytest.raises(TookTooLong, match="choose a shorter time") as raised:
        afterglow.search_runs(source=served.store_url)
    assert isinstance(raised.value, TimeoutError)


def test_the_environment_says_where_and_the_server_comes_first(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sources.STORE, served.store_url)
    assert len(afterglow.search_runs(since="all")) == 323
    monkeypatch.setenv(sources.ADDRESS, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(CannotReach):
        afterglow.search_runs(since="all")
    monkeypatch.setenv(sources.ADDRESS, f"{served.address}/")
    assert len(afterglow.search_runs(since="all")) == 323


def test_the_token_is_shown_to_the_server_and_no_one_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[str | None] = []

    def answer(request: Any, timeout: float) -> Any:
        seen.append(request.get_header("Authorization") or request.unredirected_hdrs.get("Authorization"))
        raise OSError("no")

    monkeypatch.setattr("urllib.request.urlopen", answer)
    monkeypatch.setenv(sources.TOKEN, "ag_0123456789")
    with pytest.raises(CannotReach) as raised:
        afterglow.search_runs(source="http://127.0.0.1:1")
    assert seen == ["Bearer ag_0123456789"]
    assert "ag_0123456789" not in str(raised.value)


def test_without_pandas_it_says_what_to_install(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        afterglow.search_runs(source=source)


def test_without_the_servers_part_a_store_cannot_be_read(tmp_path: Path) -> None:
    ask = (
        "import sys; sys.modules['sqlalchemy'] = None; from afterglow import sources; sources.opened({!r}).__enter__()"
    )
    script = [sys.executable, "-c", ask.format(f"sqlite:///{tmp_path}/x.db")]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert "pip install 'afterglow[monitor]'" in done.stderr


def test_importing_it_imports_nothing_that_a_driver_does_not_need() -> None:
    dear = ("pandas", "urllib.request", "sqlalchemy")
    ask = f"import sys, afterglow; print([name for name in {dear} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout == "[]\n"
    assert set(FUNCTIONS) < set(afterglow.__all__)
    with pytest.raises(AttributeError, match="no attribute 'search_everything'"):
        _ = afterglow.search_everything


# Size -----------------------------------------------------------------------------------------------------------


def test_a_run_takes_less_than_a_kilobyte() -> None:
    """A million of them less than a gigabyte, at its most, with all that they are made from."""
    rows, kept = 1_500, "x" * 30
    tracemalloc.start()
    table = frames.frame(_row(number, kept) for number in range(rows))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(table) == rows
    assert most / rows < 1_000


def _row(number: int, kept: str) -> dict[str, Any]:
    """As the JSON of a page has it: each text anew."""
    return orjson.loads(orjson.dumps({  # type: ignore[no-any-return]
        "run_id": f"{number:032x}", "name": f"trial-{number}", "experiment": kept, "experiment_id": "1", "server": kept,
        "status": "FINISHED", "effective_status": "FINISHED", "start_time": "2026-11-01T00:00:00.000Z",
        "end_time": "2026-11-01T00:00:00.000Z", "duration_s": 1.5, "user": "ada", "source": kept,
        "applications": [f"app-{number % 50}"], "link_source": ["tag"],
        "artifact_uri": f"s3://models/1/{number:032x}/artifacts",
        **{f"figure_{each}": number * 1_000 for each in range(20)}, "peak_heap_bytes": None,
        "metrics": {f"m{each}": number / 7 for each in range(10)},
        "params": {f"p{each}": str(number % 90) for each in range(10)},
        "tags": {f"t{each}": kept for each in range(8)},
    }))  # fmt: skip


def test_columns_keep_what_they_are_given_whatever_comes_first() -> None:
    mixed = frames.frame([{"a": 1, "b": None, "c": 1.5, "d": True}, {"a": "x", "b": 2, "c": "y", "d": None}, {"e": 3}])
    assert mixed["a"].tolist() == [1, "x", None]
    assert mixed["b"].tolist()[:2] == [None, 2]
    assert mixed["c"].tolist() == [1.5, "y", None]
    assert mixed["d"].tolist() == [True, None, None]
    assert math.isnan(mixed["e"][0])
    assert mixed["e"][2] == 3


# Documentation --------------------------------------------------------------------------------------------------


def test_the_examples_of_the_page_and_of_each_function_run(served: Served) -> None:
    pages = (ROOT / "docs" / "api.md").read_text() + (ROOT / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", pages, re.DOTALL)
    script = "\n".join(each for each in blocks if "display_runs" not in each and "%load_ext" not in each)
    for name in FUNCTIONS:
        assert f"afterglow.{name}(" in script
        assert re.search(rf">>> .*afterglow\.{name}\(", getattr(afterglow, name).__doc__), f"{name} has no example"
    tests = "import doctest, afterglow.search as s; print(doctest.testmod(s))"
    done = run(f"{script}\n{tests}", served)
    assert "<< is no comparator" in done
    assert "Start the server (afterglow up)" in done
    assert "failed=0" in done


def run(script: str, served: Served) -> str:
    environment = {**os.environ, sources.ADDRESS: served.address, sources.STORE: served.store_url}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
