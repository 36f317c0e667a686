"""What runs, users and applications used: each job's share, once, and nothing left over."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from afterglow_store import Query, Store, Window, ingest_file, search_applications, search_runs
from afterglow_store.schema import SUMS, stage
from afterglow_store.usage import BY, usage
from afterglow_store.windows import ALL
from tests.support.journals import Journal, run_id_of

START = 1_790_000_000_000
PARENT, CHILD, GRANDCHILD, OTHER = (run_id_of(name) for name in ("parent", "child", "grandchild", "other"))


def family(folder: Path) -> Journal:
    """An application with 2 executors of 8 cores: overhead of 4 s, a parent with 2, 3 and 5 s at its three levels."""
    journal = Journal(folder, "app-1", name="train", start=START, user="ada", master="yarn").executors(2)
    journal.job(seconds=4, description="read the data")
    parent = journal.run_start(PARENT, "parent")
    journal.job(PARENT, seconds=2)
    child = journal.run_start(CHILD, "child", parent=PARENT)
    journal.job(CHILD, seconds=3)
    grandchild = journal.run_start(GRANDCHILD, "grandchild", parent=CHILD, user="lin")
    journal.job(GRANDCHILD, seconds=5, error="no room")
    for started in (grandchild, child, parent):
        journal.run_end(started)
    return journal


def core_seconds(seconds: float, tasks: int = 8) -> float:
    """What such a job of the journal uses: every other task slot, for as long as it takes."""
    return seconds * tasks / 2


def only(store: Store, app_id: str = "app-1") -> dict[str, Any]:
    with store.read() as conn:
        return search_applications(conn, Query(app=app_id)).rows[0]


def runs(store: Store) -> dict[str, dict[str, Any]]:
    with store.read() as conn:
        return {row["run_id"]: row for row in search_runs(conn, Query()).rows}


def used(store: Store, by: str, window: Window = ALL) -> list[dict[str, Any]]:
    with store.read() as conn:
        return usage(conn, by, window)


def test_a_run_has_its_own_jobs_and_a_parent_the_total_of_those_below_it(store: Store, tmp_path: Path) -> None:
    ingest_file(store, family(tmp_path).end(), now=START)
    found = runs(store)
    own = {run_id: row["core_seconds"] for run_id, row in found.items()}
    assert own == {PARENT: core_seconds(2), CHILD: core_seconds(3), GRANDCHILD: core_seconds(5)}
    total = {run_id: (row["total"]["runs"], row["total"]["core_seconds"]) for run_id, row in found.items()}
    assert total == {
        PARENT: (3, core_seconds(2 + 3 + 5)),
        CHILD: (2, core_seconds(3 + 5)),
        GRANDCHILD: (1, core_seconds(5)),
    }
    assert found[PARENT]["failed_tasks"] == 0
    assert found[PARENT]["total"]["failed_tasks"] == found[GRANDCHILD]["failed_tasks"] == 4


def test_runs_that_name_each_other_as_parents_are_still_added_up(store: Store, tmp_path: Path) -> None:
    journal = Journal(tmp_path, "app-1", name="circle", start=START)
    for one, other in ((PARENT, CHILD), (CHILD, PARENT)):
        journal.run_end(journal.job(one, seconds=1).run_start(one, "one", parent=other))
    ingest_file(store, journal.end(), now=START)
    assert {row["total"]["core_seconds"] for row in runs(store).values()} == {2 * core_seconds(1)}


def test_an_application_is_its_runs_and_its_overhead_to_the_last_millisecond(store: Store, tmp_path: Path) -> None:
    ingest_file(store, family(tmp_path).end(), now=START)
    row = only(store)
    assert row["overhead_core_ms"] == core_seconds(4) * 1000
    assert row["core_ms"] == row["overhead_core_ms"] + sum(each["core_ms"] for each in runs(store).values())


def test_what_was_allocated_is_each_executors_cores_for_as_long_as_it_was_there(store: Store, tmp_path: Path) -> None:
    ingest_file(store, family(tmp_path).end(), now=START)
    row = only(store)
    took = 4 + 2 + 3 + 5
    assert row["allocated_core_seconds"] == took * (4 + 2 * 8)  # the journal's driver counts its 4 as in local mode
    assert row["idle_share"] == pytest.approx(1 - core_seconds(took) / row["allocated_core_seconds"])


def test_while_it_runs_what_is_allocated_grows_with_what_was_heard(store: Store, tmp_path: Path) -> None:
    journal = Journal(tmp_path, "app-1", name="live", start=START)
    ingest_file(store, journal.path, now=START)
    assert (only(store)["allocated_core_seconds"], only(store)["idle_share"]) == (0, None)
    ingest_file(store, journal.job(seconds=10).path, now=START)
    assert only(store)["allocated_core_seconds"] == 40
    journal._write("SparkListenerExecutorRemoved", Timestamp=journal.clock, **{"Executor ID": "driver"})
    ingest_file(store, journal.wait(60).job(seconds=1).path, now=START)
    assert only(store)["allocated_core_seconds"] == 40, "a removed executor costs nothing more"


@pytest.mark.parametrize("by", BY)
def test_each_job_is_in_one_group_so_that_they_add_up_to_all_that_was_used(
    store: Store, tmp_path: Path, by: str
) -> None:
    ingest_file(store, family(tmp_path).end(), now=START)
    other = Journal(tmp_path, "app-2", name="score", start=START + 60_000, user="lin").job(OTHER, seconds=7)
    ingest_file(store, other.end(), now=START)
    rows = used(store, by)
    with store.read() as conn:
        everything = conn.execute(sa.select(*(sa.func.sum(stage.c[name]) for name in SUMS))).one()
    assert tuple(sum(row[name] for row in rows) for name in SUMS) == tuple(everything)
    assert sum(row["jobs"] for row in rows) == 5
    assert sum(row["overhead_core_seconds"] for row in rows) == core_seconds(4)
    assert rows == sorted(rows, key=lambda row: -int(row["core_ms"]))


def test_a_job_counts_for_its_runs_user_and_without_a_run_for_the_applications(store: Store, tmp_path: Path) -> None:
    ingest_file(store, family(tmp_path).end(), now=START)
    by_user = {row["user"]: (row["core_seconds"], row["overhead_core_seconds"]) for row in used(store, "user")}
    assert by_user == {"ada": (core_seconds(4 + 2 + 3), core_seconds(4)), "lin": (core_seconds(5), 0)}


def test_a_window_takes_the_jobs_that_started_in_it(store: Store, tmp_path: Path) -> None:
    ingest_file(store, family(tmp_path).end(), now=START)
    rows = used(store, "run", Window(START + 4_000, START + 9_000))
    assert {row["run_id"]: row["core_seconds"] for row in rows} == {PARENT: core_seconds(2), CHILD: core_seconds(3)}
    assert used(store, "run", Window(START - 9, START - 1)) == []


def test_the_most_memory_that_a_task_held_is_the_largest_of_all_stages(store: Store, tmp_path: Path) -> None:
    journal = Journal(tmp_path, "app-1", name="peaks", start=START).job(OTHER, stages=3)
    journal.run_end(journal.run_start(OTHER, "other"))
    for number, peak in enumerate((10, 70, 30)):
        journal._write("AfterglowStageTasks", Metrics={}, **{
            "Stage ID": number, "Stage Attempt ID": 0, "Peak Execution Memory": peak, "Peak JVM Heap": number,
        })  # fmt: skip
    ingest_file(store, journal.end(), now=START)
    row = runs(store)[OTHER]
    assert (row["peak_execution_memory_bytes"], row["peak_heap_bytes"]) == (70, 2)
    assert (only(store)["peak_execution_memory_bytes"], row["total"]["peak_execution_memory_bytes"]) == (70, 70)
