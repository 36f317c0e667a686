"""A metric from run to run, and the models that were registered of runs."""

from pathlib import Path

from afterglow_store import Query, Store, ingest_file, registered, search_applications, trend
from afterglow_store.windows import ALL, Window
from tests.support.journals import TRACKING_URI, Journal, run_id_of

START = 1_790_000_000_000
DAY_MS = 86_400_000


def nightly(store: Store, folder: Path, *values: float | str | None) -> None:
    """An application a day, with a run and a child run of it; `values` of the run's metric."""
    for day, value in enumerate(values):
        journal = Journal(folder, f"app-{day}", name="nightly", start=START + day * DAY_MS)
        run = journal.run_start(run_id_of(f"n{day}"), f"n{day}")
        child = journal.wait(1).run_start(run_id_of(f"c{day}"), "child", parent=run["run_id"])
        journal.run_end(child, metrics={"other": 1.0})
        versions = [{"name": "wine", "version": str(day + 9), "aliases": ["best"]}] if day else []
        metrics = {} if value is None else {"rmse": value}
        journal.run_end(run, "FAILED" if value is None else "FINISHED", metrics=metrics, registered_versions=versions)
        ingest_file(store, journal.end(), now=START)


def test_an_experiments_runs_come_with_the_value_that_each_has(store: Store, tmp_path: Path) -> None:
    nightly(store, tmp_path, 0.5, "NaN", None)
    with store.read() as conn:
        names = trend.metrics_of_experiment(conn, TRACKING_URI, "1")
        rows = trend.of_experiment(conn, TRACKING_URI, "1", ALL, metric="rmse", most=10)
        late = trend.of_experiment(conn, TRACKING_URI, "1", Window(START + DAY_MS), metric="rmse", most=3)
    assert names == ["other", "rmse"]
    assert [row["value"] for row in rows if row["name"] != "child"] == [None, None, 0.5]
    assert [(row["name"], row["effective_status"]) for row in late][:2] == [("child", "FINISHED"), ("n2", "FAILED")]
    assert len(late) == 3


def test_of_each_application_the_latest_run_that_has_the_metric_counts(store: Store, tmp_path: Path) -> None:
    nightly(store, tmp_path, 0.5, 0.75, None)
    with store.read() as conn:
        ids = {row["app_id"]: row["id"] for row in search_applications(conn, Query()).rows}
        values = trend.of_applications(conn, list(ids.values()), "rmse")
        assert trend.metrics_of_applications(conn, [ids["app-0"]]) == ["other", "rmse"]
    assert values == {ids["app-0"]: 0.5, ids["app-1"]: 0.75}


def test_a_model_has_the_versions_that_were_made_of_known_runs_each_with_its_run(store: Store, tmp_path: Path) -> None:
    nightly(store, tmp_path, 0.5, 0.75, 0.25)
    with store.read() as conn:
        [model] = registered.models(conn, text="WIN", most=5)
        assert registered.models(conn, text="beer", most=5) == []
        rows = registered.versions(conn, model["server"], model["workspace"], "wine")
        assert registered.versions(conn, "elsewhere", None, "wine") == []
    assert (model["versions"], model["latest"], model["last_run_time"]) == (2, 11, START + 2 * DAY_MS)
    assert [(row["version"], row["name"], row["aliases"]) for row in rows] == [
        ("11", "n2", ["best"]),
        ("10", "n1", ["best"]),
    ]
    assert rows[0]["applications"][0]["app_id"] == "app-2"
