"""What went wrong in an application, in one list: its end, its runs, jobs, stages, queries and executors; and skew."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo

from afterglow_monitor import data, places
from afterglow_monitor import format as fmt
from afterglow_monitor.charting import timeline
from afterglow_monitor.data import Row
from afterglow_monitor.listing.grid import Column, grid
from afterglow_monitor.parts import details, skew
from afterglow_monitor.places import Place

TROUBLES = (Column("When", 150), Column("What", 240), Column("Reason", 900))
SAID = {"FAILED": "failed", "LOST": "is lost", "ORPHANED": "is orphaned", "SUSPECT": "is suspect"}

Trouble = tuple[int | None, str, str | None, Place | None]  # when (ms), what, why, and its page


def show(row: Row, zone: tzinfo, now: int) -> None:
    found = sorted(of(row), key=lambda each: each[0] or 0)
    if not found:
        details.nothing("Nothing went wrong", "Failed runs, jobs, stages and queries, and lost executors appear here.")
        return
    cells = [
        {
            "When": fmt.moment(when, zone, now=now),
            "What": what,
            "Reason": fmt.short(why, 2_000) or "no reason was given",
        }
        for when, what, why, _ in found
    ]
    grid("errors", TROUBLES, cells, [place for *_, place in found])


def of(row: Row) -> Iterator[Trouble]:
    if row["status"] in ("FAILED", "LOST"):
        yield row["end_time"], f"The application {SAID[row['status']]}", row["status_reason"], None
    for writer in data.writers_in_trouble(row["id"]):
        why = (
            f"{writer['trouble']}: what Spark did from then on is missing here. Runs and the end are told all the same."
        )
        yield writer["updated_time"], f"The {writer['writer']} only counts events", why, None
    for run in timeline.flat(run for each in data.items_of(row["id"]) for run in each["items"]):
        if run["effective_status"] in SAID:
            name = f"Run {fmt.short(run['name'], 60)} {SAID[run['effective_status']]}"
            yield run["end_time"] or run["start_time"], name, run["status_reason"], places.run(run["run_id"])
    for job in data.jobs_of(row["id"]):
        if job["status"] == "FAILED":
            run_page = places.run(job["run_id"], tab="jobs") if job["run_id"] else None
            yield job["end_time"], f"Job {job['job_id']} failed", job["error"], run_page
    for stage in data.stages_of(row["id"]):
        if stage["status"] == "FAILED":
            yield stage["end_time"], f"Stage {stage['stage_id']}.{stage['attempt']} failed", stage["error"], None
    for query in data.sql_executions_of(row["id"]):
        if query["status"] == "FAILED":
            yield query["end_time"], f"Query {query['execution_id']} failed", query["error"], None
    for executor in data.executors_of(row["id"]):
        reason = executor["removed_reason"]
        if reason and executor["removed_time"] and executor["removed_time"] < (row["end_time"] or 2**62):
            yield executor["removed_time"], f"Executor {executor['executor_id']} was removed", reason, None
    yield from _skewed(row)


def _skewed(row: Row) -> Iterator[Trouble]:
    """All of it in one line: these stages went well, if slower than they had to."""
    found = [(times, each) for each in data.stages_of(row["id"]) if (times := skew.worst(each))]
    if found:
        _, worst = max(found, key=lambda each: each[0])
        more = f"; and {fmt.counted(len(found) - 1, 'more stage')}" if len(found) > 1 else ""
        place = places.application(row, tab="stages", sort="-skew")
        yield worst["end_time"], "Unequal tasks", skew.said(worst) + more, place
