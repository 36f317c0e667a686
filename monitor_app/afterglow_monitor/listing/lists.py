"""The three lists: applications, experiments, runs. The same wherever they are shown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from typing import Any

from afterglow_monitor import data, places
from afterglow_monitor import format as fmt
from afterglow_monitor.address import View
from afterglow_monitor.data import Row
from afterglow_monitor.listing import grid, list_columns, run_columns
from afterglow_monitor.listing.grid import Column
from afterglow_monitor.parts import details, status
from afterglow_store.suggest import Suggestion

STATUS_OF_APPLICATIONS = Column("Status", 108, "status", config=status.column(status.APPLICATION_STATUSES))
STATUS_OF_RUNS = run_columns.STATUS

APPLICATIONS = (
    Column("Name", 222, "name"),
    STATUS_OF_APPLICATIONS,
    Column("Start", 196, "start_time"),
    Column("Duration", 96, "duration", right=True),
    Column("User", 84, "user_name"),
    Column("Runs", 108, "runs", right=True),
    Column("Jobs", 116, "jobs", right=True),
    Column("Core time", 88, "core_ms", right=True),
    Column("Idle", 72, "idle_share", right=True),
    Column("Experiments", 92, "experiments", right=True),
    Column("Master", 92, "master"),
    Column("App ID", 176),
)
MORE_OF_APPLICATIONS = (
    Column("End", 140),
    Column("Allocated", 96, right=True),
    Column("Outside of runs", 110, right=True),
    Column("Tasks", 130, right=True),
    Column("Input", 96, right=True),
    Column("Written", 96, right=True),
    Column("Shuffle read", 100, right=True),
    Column("Shuffle write", 100, right=True),
    Column("Spill", 96, right=True),
    Column("Events lost", 100, right=True),
    Column("Spark", 80),
    Column("Attempt", 80),
    Column("Why", 320),
)
EXPERIMENTS = (
    Column("Name", 320, "name"),
    Column("Last run", 210, "last_run"),
    Column("Runs", 84, "runs", right=True),
    Column("Success", 84, right=True),
    Column("Failed", 84, "failed_runs", right=True),
    Column("Running", 84, right=True),
    Column("Applications", 104, "applications", right=True),
    Column("Users", 84, "users", right=True),
    Column("Core time", 108, "core_seconds", right=True),
    Column("Server", 220),
)
BEST = Column("Best", 170, right=True)
MORE_OF_EXPERIMENTS = (Column("Experiment ID", 170), Column("Created", 140), Column("Tags", 220))


def applications(key: str, rows: list[Row], view: View | None, zone: tzinfo, *, now: int) -> None:
    def cells(row: Row) -> dict[str, Any]:
        return {
            "Name": fmt.named(row["name"]),
            "Status": [status.label(row["status"])],
            "Start": fmt.when(row["start_time"], zone, now=now),
            "Duration": fmt.lasting(row, now=now),
            "User": fmt.short(row["user_name"], 60),
            "Runs": fmt.with_failed(row["runs"], row["failed_runs"]),
            "Jobs": fmt.with_failed(row["jobs"], row["failed_jobs"]),
            "Core time": fmt.core_time(row["core_seconds"]),
            "Idle": fmt.share(row["idle_share"]),
            "Experiments": fmt.count(row["experiments"]),
            "Master": fmt.short(row["master"], 60),
            "App ID": fmt.short(row["app_id"], 80),
            "End": fmt.moment(row["end_time"], zone, now=now),
            "Allocated": fmt.core_time(row["allocated_core_seconds"]),
            "Outside of runs": fmt.core_time(row["overhead_core_seconds"]),
            "Tasks": details.run_tasks(row),
            **details.data_cells(row),
            "Events lost": fmt.count(row["lost_events"]) if row["lost_events"] else fmt.NOTHING,
            "Spark": fmt.short(row["spark_version"], 40),
            "Attempt": fmt.short(row["attempt"], 40) or fmt.NOTHING,
            "Why": fmt.short(row["status_reason"], 300) or fmt.NOTHING,
        }

    columns = list_columns.of(view, APPLICATIONS, MORE_OF_APPLICATIONS)
    _draw(key, columns, rows, cells, places.application, view)


def experiments(key: str, rows: list[Row], view: View, zone: tzinfo, *, now: int) -> None:
    def cells(row: Row) -> dict[str, Any]:
        return {
            "Name": fmt.named(row["name"]),
            "Last run": fmt.when(row["last_run_time"], zone, now=now),
            "Runs": fmt.count(row["runs"]),
            "Success": fmt.share(row["success_share"]),
            "Failed": fmt.count(row["failed_runs"]),
            "Running": fmt.count(row["running_runs"]),
            "Applications": fmt.count(row["applications"]),
            "Users": fmt.count(row["users"]),
            "Core time": fmt.core_time(row["core_seconds"]),
            "Server": fmt.in_workspace(row["server"], row["workspace"]),
            "Best": best(row),
            "Experiment ID": row["experiment_id"],
            "Created": fmt.moment(row["created_time"], zone, now=now),
            "Tags": fmt.pairs(fmt.own_tags(row["tags"])),
        }

    def target(row: Row) -> places.Place:
        return places.experiment(row["server"], row["experiment_id"])

    columns = list_columns.of(view, *columns_of_experiments())
    if BEST in columns:
        found = data.best_of_experiments(view, rows)
        rows = [row | each for row, each in zip(rows, found, strict=True)]
    _draw(key, columns, rows, cells, target, view)


def columns_of_experiments() -> tuple[tuple[Column, ...], tuple[Column, ...]]:
    """The usual ones and the others: the best of a metric is usual only where an experiment says which one counts."""
    after = EXPERIMENTS.index(next(each for each in EXPERIMENTS if each.name == "Success")) + 1
    if data.primary_metrics():
        return (*EXPERIMENTS[:after], BEST, *EXPERIMENTS[after:]), MORE_OF_EXPERIMENTS
    return EXPERIMENTS, (*MORE_OF_EXPERIMENTS, BEST)


def best(row: Row) -> str:
    """Of an experiment: the best value of its primary metric."""
    if row.get("best_value") is None:
        return fmt.NOTHING
    return f"{fmt.short(row['primary_metric'], 40)} {fmt.metric(row['best_value'])}"


def runs(
    key: str,
    rows: list[Row],
    view: View | None,
    zone: tzinfo,
    *,
    now: int,
    without: tuple[str, ...] = (),
    choose: bool = False,
) -> None:
    """`without`: columns that say the same in each row here. `choose`: whether runs can be selected."""
    columns = run_columns.of(view, without)
    ids = [row["run_id"] for row in rows] if choose else []
    cells = [{column.name: _run_cell(row, column.name, zone, now) for column in columns} for row in rows]
    grid.grid(key, columns, cells, [places.run(row["run_id"]) for row in rows], view=view, ids=ids)


def _run_cell(row: Row, name: str, zone: tzinfo, now: int) -> Any:
    cell = _RUN_CELLS.get(name)
    return run_columns.cell(row, name) if cell is None else cell(row, zone, now)


# What each column says of a run: only those that are shown are worked out, in each second that a list is open.
_RUN_CELLS: dict[str, Callable[[Row, tzinfo, int], Any]] = {
    "Name": lambda row, *_: fmt.named(row["name"]),
    "Status": lambda row, *_: [status.label(row["effective_status"])],
    "Start": lambda row, zone, now: fmt.when(row["start_time"], zone, now=now),
    "Duration": lambda row, _, now: fmt.lasting(row, now=now),
    "Experiment": lambda row, *_: fmt.in_workspace(row["experiment"], row["workspace"]),
    "Application": lambda row, *_: ", ".join(fmt.named(each["name"]) for each in row["applications"]) or fmt.NOTHING,
    "Suggested application": lambda row, *_: fmt.named(found.name) if (found := _suggested(row)) else fmt.NOTHING,
    "Because": lambda row, *_: fmt.short(found.why, 300) if (found := _suggested(row)) else fmt.NOTHING,
    "User": lambda row, *_: fmt.short(row["user_name"], 60),
    "Metrics": lambda row, *_: fmt.metrics(row["metrics"]),
    "Source": lambda row, *_: fmt.source(row["source_name"]),
    "Registered version": lambda row, *_: fmt.versions(row["registered_versions"]),
    "Core time": lambda row, *_: fmt.core_time(row["core_seconds"]),
    "Jobs": lambda row, *_: fmt.with_failed(row["jobs"], row["failed_jobs"]),
    "Tasks": lambda row, *_: details.run_tasks(row),
    **{name: lambda row, *_, name=name: details.data_cells(row)[name] for name in details.DATA_CELLS},
    "Commit": lambda row, *_: fmt.commit(row["tags"]) or fmt.NOTHING,
    "Branch": lambda row, *_: fmt.branch(row["tags"]) or fmt.NOTHING,
    "Parameters": lambda row, *_: fmt.pairs(row["params"]),
    "Tags": lambda row, *_: fmt.pairs(fmt.own_tags(row["tags"])),
    "Run ID": lambda row, *_: row["run_id"],
}


def _suggested(row: Row) -> Suggestion | None:
    found: Suggestion | None = row.get("suggestion")
    return found


def _draw(
    key: str,
    columns: tuple[Column, ...],
    rows: list[Row],
    cells: Callable[[Row], dict[str, Any]],
    target: Callable[[Row], places.Place],
    view: View | None,
) -> None:
    grid.grid(key, columns, [cells(row) for row in rows], [target(row) for row in rows], view=view)
