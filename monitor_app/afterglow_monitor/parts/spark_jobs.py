"""The Spark jobs of an application or of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo

from afterglow_monitor import address, places
from afterglow_monitor import format as fmt
from afterglow_monitor.data import Row
from afterglow_monitor.listing.grid import Column, grid, table
from afterglow_monitor.listing.ordered import Keys, by, ordered
from afterglow_monitor.parts import details, skew, status

COLUMNS = (
    Column("Job", 60, "job", right=True),
    Column("Description", 240, "description"),
    Column("Status", 112, "status", config=status.column(("RUNNING", "SUCCEEDED", "FAILED"))),
    Column("Run", 150, "run"),
    Column("Start", 130, "start_time"),
    Column("Duration", 104, "duration", right=True),
    Column("Stages", 110, "stages", right=True),
    Column("Tasks", 120, "tasks", right=True),
    Column("Skew", 130, "skew", right=True),
    Column("Core time", 108, "core_ms", right=True),
    Column("Records read", 110, "input_records", right=True),
    *details.DATA_COLUMNS,
    Column("Error", 300),
)


def show(
    key: str, rows: Sequence[Row], of_stages: Mapping[int, Mapping[int, Row]], zone: tzinfo, *, now: int, of_run: bool
) -> None:
    """In the order of the address. `of_stages`: stages_by_job of their applications. In an application's list a row
    opens the run that it served."""
    if not rows:
        details.nothing("No Spark jobs", "Nothing here has made Spark compute anything yet.")
        return
    view = address.order()
    named = [row | _seen(row, of_stages[row["application_id"]].get(row["job_id"], {})) for row in rows]
    jobs = ordered(named, view, _keys(now))
    cells = [_cells(job, zone, now) for job in jobs]
    if of_run:
        table(key, [column for column in COLUMNS if column.name != "Run"], cells, view=view)
    else:
        grid(key, COLUMNS, cells, [places.run(job["run_id"]) if job["run_id"] else None for job in jobs], view=view)


def _seen(row: Row, of_stages: Row) -> Row:
    """What is shown of a job and is not in its row."""
    return {
        "said": fmt.named(row["description"] or of_stages.get("name") or fmt.NOTHING),
        "run": fmt.named(row["run_name"] or row["run_id"]) if row["run_id"] else None,
        "stages": len(row["stage_ids"] or ()),
        "stages_done": of_stages.get("done", 0),
        "skewed_stages": of_stages.get("skewed", []),
    }


def _cells(job: Row, zone: tzinfo, now: int) -> Row:
    return {
        "Job": str(job["job_id"]),
        "Description": job["said"],
        "Run": job["run"] or fmt.NOTHING,
        "Stages": _stages(job),
        "Tasks": details.tasks(job),
        "Core time": fmt.core_time(job["core_seconds"]),
        "Skew": skew.of_job(job["skewed_stages"]),
        "Records read": fmt.count(job["input_records"]) if job["input_records"] else fmt.NOTHING,
        **details.data_cells(job),
        **details.work_cells(job, zone, now=now),
    }


def _stages(job: Row) -> str:
    """Those of a job that went well and yet were not run are those that an earlier one had run already."""
    skipped = job["stages"] - job["stages_done"] if job["status"] == "SUCCEEDED" else 0
    return f"{job['stages_done']:,} / {job['stages']:,}" + (f"  ·  {skipped:,} skipped" if skipped > 0 else "")


def _keys(now: int) -> Keys:
    return {
        **details.work_keys(now=now),
        **details.data_keys(),
        **by("run", "stages", "tasks", "core_ms", "input_records"),
        "job": lambda job: job["job_id"],
        "description": lambda job: job["said"].lower(),
        "skew": lambda job: len(job["skewed_stages"]) or None,
    }
