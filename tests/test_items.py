"""One thing and what belongs to it: of an experiment and of an application no more is read than is theirs."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from afterglow_store import (
    Query,
    Store,
    Window,
    ingest_file,
    items,
    open_store,
    search_applications,
    search_experiments,
)
from afterglow_store.retention import Counts, delete_runs
from tests.support.journals import TRACKING_URI, Journal

START = 1_790_000_000_000


@pytest.fixture
def store(store_url: str, tmp_path: Path) -> Iterator[Store]:
    """Two applications: one with three runs in experiment 1 and one in experiment 2, the other with one in 2."""
    with closing(open_store(store_url)) as found:
        for app, experiments in (("app-1", "1112"), ("app-2", "2")):
            journal = Journal(tmp_path, app, name="train", start=START)
            for number, experiment in enumerate(experiments):
                named = {"experiment_id": experiment, "experiment_name": f"experiment {experiment}"}
                run = journal.wait(1).run_start(f"{app}-{number}", f"run {number}", **named)
                journal.run_end(run, "FAILED" if number == 1 else "FINISHED")
            ingest_file(found, journal.end(), now=START)
        yield found


def _sums(rows: list[dict[str, Any]]) -> dict[str, tuple[int, int, int]]:
    return {row["experiment_id"]: (row["runs"], row["failed_runs"], row["applications"]) for row in rows}


def test_experiments_add_up_to_the_same_whether_one_is_asked_for_or_all(store: Store) -> None:
    with store.read() as conn:
        assert _sums(search_experiments(conn, Query()).rows) == {"1": (3, 1, 1), "2": (2, 0, 2)}
        assert _sums(search_experiments(conn, Query(experiment="experiment 2")).rows) == {"2": (2, 0, 2)}
        assert _sums(search_experiments(conn, Query(server=TRACKING_URI, experiment="1")).rows) == {"1": (3, 1, 1)}
        assert _sums(search_experiments(conn, Query(app="app-2")).rows) == {"2": (2, 0, 2)}


def test_what_is_noted_of_applications_is_what_the_links_of_their_runs_say(store: Store) -> None:
    in_steps = [Window(), *(Window(since=START + at * 1_000, until=START + (at + 2) * 1_000) for at in range(5))]
    for window in in_steps:
        with store.read() as conn:
            noted = _sums(search_experiments(conn, Query(window=window)).rows)
            # Those of some statuses are counted run by run.
            counted = _sums(search_experiments(conn, Query(window=window, statuses=["FINISHED", "FAILED"])).rows)
        assert noted == counted
    with store.write() as conn:
        delete_runs(conn, ["app-2-0"], Counts())
    with store.read() as conn:
        assert _sums(search_experiments(conn, Query()).rows) == {"1": (3, 1, 1), "2": (1, 0, 1)}


def test_an_application_has_the_experiments_that_it_wrote_to_the_newest_first(store: Store) -> None:
    with store.read() as conn:
        ids = {row["app_id"]: row["id"] for row in search_applications(conn, Query()).rows}
        found = items.items_of(conn, ids["app-1"])
        assert [(each["experiment_id"], each["name"], len(each["items"])) for each in found] == [
            ("2", "experiment 2", 1),
            ("1", "experiment 1", 3),
        ]
        assert [each["experiment_id"] for each in items.items_of(conn, ids["app-2"])] == ["2"]


def test_a_job_has_of_its_stages_the_last_name_how_many_are_done_and_which_are_skewed(
    store_url: str, tmp_path: Path
) -> None:
    journal = Journal(tmp_path, "app-1", name="train", start=START).job(stages=2).job(stages=1)
    journal.job(stages=2, seconds=120, uneven=True).job(stages=2, error="out of memory").job(stages=3, unfinished=True)
    path = journal.end()
    lines = path.read_text().replace('"Stage ID": 1, "Stage Attempt ID": 0, "Stage Name": "collect at train.py:57"',
                                     '"Stage ID": 1, "Stage Attempt ID": 0, "Stage Name": "the last"')  # fmt: skip
    path.write_text(lines)
    usual = "collect at train.py:57"
    with closing(open_store(store_url)) as found:
        ingest_file(found, path, now=START)
        with found.read() as conn:
            assert items.stages_by_job(conn, 1) == {
                0: {"name": "the last", "done": 2, "skewed": []},
                1: {"name": usual, "done": 1, "skewed": []},
                2: {"name": usual, "done": 2, "skewed": [3, 4]},
                3: {"name": usual, "done": 1, "skewed": []},
                4: {"name": usual, "done": 2, "skewed": []},
            }
            assert items.stages_by_job(conn, 2) == {}


def test_an_experiment_is_found_by_an_index(sqlite_url: str) -> None:
    plans: list[str] = []
    with closing(open_store(sqlite_url)) as store, store.read() as conn:

        @sa.event.listens_for(store.engine, "before_cursor_execute")
        def explain(own: sa.Connection, _: object, statement: str, values: Any, *__: object) -> None:
            raw = own.connection.dbapi_connection
            assert raw is not None
            plans.extend(row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", values))

        search_experiments(conn, Query(server="team", experiment="1"))
        items.items_of(conn, 1)
    of_runs = [plan for plan in plans if " run " in f"{plan} " or " link " in f"{plan} "]
    assert of_runs
    assert [plan for plan in of_runs if plan.startswith("SCAN")] == []
