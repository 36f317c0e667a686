"""The demo's two real jobs, held against MLflow's own list and Spark's own event log."""

from collections import defaultdict
from typing import Any

import mlflow
import orjson
import pytest
from mlflow.entities import ViewType

from afterglow_store import open_store, snapshots
from tests.support.demo import Demo

Row = dict[str, Any]

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def runs(demo: Demo) -> dict[str, Row]:
    return {row["run_id"]: row for row in orjson.loads(demo.afterglow("runs", "--since", "1h", "--json"))}


@pytest.fixture(scope="module")
def apps(demo: Demo) -> dict[str, Row]:
    return {row["name"]: row for row in orjson.loads(demo.afterglow("apps", "--since", "1h", "--json"))}


@pytest.fixture(scope="module")
def in_mlflow(demo: Demo) -> dict[str, Any]:
    """Every run that MLflow itself lists."""
    client = mlflow.MlflowClient(tracking_uri=demo.tracking_uri)
    experiments = [each.experiment_id for each in client.search_experiments(view_type=ViewType.ALL)]
    return {run.info.run_id: run for run in client.search_runs(experiments, run_view_type=ViewType.ALL)}


def by_name(runs: dict[str, Row], name: str) -> Row:
    return next(row for row in runs.values() if row["name"] == name)


def test_the_demo_tells_of_each_run_as_it_ends(demo: Demo) -> None:
    assert "a column that is not there: FAILED after" in demo.output
    assert "2 applications, 9 runs in the last hour" in demo.output


def test_every_run_of_mlflow_is_listed_with_exactly_its_application(
    runs: dict[str, Row], apps: dict[str, Row], in_mlflow: dict[str, Any]
) -> None:
    assert set(runs) == set(in_mlflow)
    assert len(runs) == 9
    for row in runs.values():
        app = apps["wine-quality" if row["experiment"] == "wine quality" else "diabetes-progression"]
        assert row["applications"] == [app["app_id"]], row["name"]


def test_every_run_says_what_mlflow_says(runs: dict[str, Row], in_mlflow: dict[str, Any]) -> None:
    for run_id, row in runs.items():
        run = in_mlflow[run_id]
        assert row["status"] == row["effective_status"] == run.info.status
        assert row["params"] == run.data.params
        assert row["metrics"] == run.data.metrics
        assert row["tags"] == run.data.tags
        assert row["duration_s"] == (run.info.end_time - run.info.start_time) / 1000


def test_children_point_to_their_parents(runs: dict[str, Row]) -> None:
    tuned = by_name(runs, "tuned by cross validation")
    candidates = [row for row in runs.values() if row["parent_run_id"] == tuned["run_id"]]
    assert len(candidates) == 2
    assert by_name(runs, "ridge, men only")["parent_run_id"] == by_name(runs, "ridge")["run_id"]


def test_the_run_that_failed_is_failed_and_the_others_are_not(runs: dict[str, Row]) -> None:
    failed = [row["name"] for row in runs.values() if row["status"] != "FINISHED"]
    assert failed == ["a column that is not there"]
    assert by_name(runs, failed[0])["status"] == "FAILED"


def test_both_applications_ended_as_they_did(apps: dict[str, Row]) -> None:
    assert {name: app["status"] for name, app in apps.items()} == {
        "wine-quality": "SUCCEEDED",
        "diabetes-progression": "SUCCEEDED",
    }
    assert apps["wine-quality"]["failed_jobs"] == 0
    assert apps["diabetes-progression"]["failed_jobs"] > 0
    assert (apps["wine-quality"]["runs"], apps["diabetes-progression"]["runs"]) == (5, 4)


def test_jobs_and_core_seconds_equal_those_of_sparks_own_event_log(apps: dict[str, Row], demo: Demo) -> None:
    for app in apps.values():
        log = EventLog(demo.events(app["app_id"]))
        assert app["jobs"] == len(log.jobs)
        assert app["failed_jobs"] == log.failed_jobs
        assert app["core_seconds"] == pytest.approx(log.run_ms / 1000, abs=1e-9)
        assert app["failed_tasks"] == log.failed_tasks
        assert app["spark_version"] == log.spark_version


def test_every_run_has_exactly_the_jobs_that_spark_tagged_with_it(
    runs: dict[str, Row], apps: dict[str, Row], demo: Demo
) -> None:
    logs = {app["app_id"]: EventLog(demo.events(app["app_id"])) for app in apps.values()}
    for row in runs.values():
        log = logs[row["applications"][0]]
        tagged = log.jobs_of_run.get(row["run_id"], [])
        assert row["jobs"] == len(tagged), row["name"]
        assert row["core_seconds"] == pytest.approx(sum(log.run_ms_of_job[job] for job in tagged) / 1000, abs=1e-9)


def test_runs_and_overhead_are_all_that_an_application_used(
    runs: dict[str, Row], apps: dict[str, Row], demo: Demo
) -> None:
    for app in apps.values():
        log = EventLog(demo.events(app["app_id"]))
        outside = sum(log.run_ms_of_job[job] for job in log.untagged_jobs)
        assert app["overhead_core_seconds"] == pytest.approx(outside / 1000, abs=1e-9)
        of_runs = sum(row["executor_run_ms"] for row in runs.values() if row["applications"] == [app["app_id"]])
        assert of_runs + outside == app["executor_run_ms"] == log.run_ms
        assert app["peak_execution_memory_bytes"] == log.peak_execution_memory > 0
        assert 0 < app["core_seconds"] < app["allocated_core_seconds"] <= 2 * app["duration_s"]
        assert app["idle_share"] == pytest.approx(1 - app["core_seconds"] / app["allocated_core_seconds"])


def test_what_experiments_used_adds_up_to_what_both_applications_did(demo: Demo, apps: dict[str, Row]) -> None:
    rows = orjson.loads(demo.afterglow("usage", "--by", "experiment", "--since", "1h", "--json"))
    assert {row["experiment"] for row in rows} == {"wine quality", "diabetes progression", None}
    assert sum(row["executor_run_ms"] for row in rows) == sum(app["executor_run_ms"] for app in apps.values())


def test_each_part_of_the_jobs_worked_inside_its_run(runs: dict[str, Row], apps: dict[str, Row], demo: Demo) -> None:
    for name in ("logistic regression", "tuned by cross validation", "class balance", "ridge", "ridge, men only",
                 "random forest", "a column that is not there"):  # fmt: skip
        assert by_name(runs, name)["jobs"] > 0, name
    inside = sum(row["jobs"] for row in runs.values())
    # Outside of any run: caching the training data, and nothing else of what was submitted after the session began.
    outside = [job for app in apps.values() for job in EventLog(demo.events(app["app_id"])).untagged_jobs]
    assert inside + len(outside) == sum(app["jobs"] for app in apps.values())


def test_the_candidates_of_a_cross_validation_have_no_jobs_of_their_own(runs: dict[str, Row]) -> None:
    tuned = by_name(runs, "tuned by cross validation")
    for row in runs.values():
        if row["parent_run_id"] == tuned["run_id"]:
            assert row["jobs"] == 0
            assert row["core_seconds"] == 0


def test_the_store_keeps_a_snapshot_of_each_run_as_it_ended(demo: Demo, runs: dict[str, Row]) -> None:
    store = open_store(demo.store_url)
    with store.read() as conn:
        for run_id, row in runs.items():
            causes = {each["cause"] for each in snapshots.snapshots_of(conn, "run", run_id)}
            assert {"run end", "application end"} <= causes, (row["name"], causes)
            newest = snapshots.snapshots_of(conn, "run", run_id)[0]
            assert snapshots.content(conn, newest["id"])["params"] == row["params"]
    store.close()


class EventLog:
    """What a Spark event log adds up to, read the plain way."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        of: dict[str, list[Row]] = defaultdict(list)
        for event in events:
            of[event["Event"]].append(event)
        self.spark_version = of["SparkListenerLogStart"][0]["Spark Version"]
        self.jobs = {event["Job ID"]: event for event in of["SparkListenerJobStart"]}
        self.failed_jobs = sum(event["Job Result"]["Result"] != "JobSucceeded" for event in of["SparkListenerJobEnd"])
        tasks = of["SparkListenerTaskEnd"]
        self.run_ms = sum(run_ms(task) for task in tasks)
        self.failed_tasks = sum(task["Task Info"]["Failed"] and not task["Task Info"]["Killed"] for task in tasks)
        self.peak_execution_memory = max(task["Task Metrics"]["Peak Execution Memory"] for task in tasks)
        ran_by = self._jobs_of_stages(events)
        self.run_ms_of_job: dict[int, int] = defaultdict(int)
        for task in tasks:
            self.run_ms_of_job[ran_by[task["Stage ID"], task["Stage Attempt ID"]]] += run_ms(task)
        self.jobs_of_run: dict[str, list[int]] = defaultdict(list)
        for job, event in self.jobs.items():
            for tag in event.get("Properties", {}).get("spark.job.tags", "").split(","):
                if tag.startswith("mlflow.run_id="):
                    self.jobs_of_run[tag.removeprefix("mlflow.run_id=")].append(job)
        tagged = {job for jobs in self.jobs_of_run.values() for job in jobs}
        self.untagged_jobs = [job for job in self.jobs if job not in tagged]

    @staticmethod
    def _jobs_of_stages(events: list[dict[str, Any]]) -> dict[tuple[int, int], int]:
        """A stage belongs to the first of the running jobs that need it when it is submitted."""
        running: dict[int, list[int]] = {}
        found: dict[tuple[int, int], int] = {}
        for event in events:
            if event["Event"] == "SparkListenerJobStart":
                running[event["Job ID"]] = event["Stage IDs"]
            elif event["Event"] == "SparkListenerJobEnd":
                running.pop(event["Job ID"], None)
            elif event["Event"] == "SparkListenerStageSubmitted":
                info = event["Stage Info"]
                needing = [job for job, stages in running.items() if info["Stage ID"] in stages]
                found[info["Stage ID"], info["Stage Attempt ID"]] = min(needing)
        return found


def run_ms(task: dict[str, Any]) -> int:
    return int((task.get("Task Metrics") or {}).get("Executor Run Time", 0))
