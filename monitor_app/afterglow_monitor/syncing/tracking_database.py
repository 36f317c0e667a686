"""MLflow's own database, read past its server: a RunSource for the runs by the ten thousand a second.

It is only read, a chunk a transaction: a longer one would hold up the writers of a SQLite database. MLflow has no index
on the start of a run, so what to read is listed first, LISTED ids at a time; memory does not grow with the runs.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

import orjson

from afterglow.run_details import RegisteredVersion, RunDetails, json_number
from afterglow_monitor.errors import BadTrackingDatabase
from afterglow_monitor.syncing.sources import Experiment, named_workspace, versions_by_run
from afterglow_monitor.syncing.tracking_connections import Connection, Database, named_database

CHUNK = 2_000  # runs read at a time, some MB
LISTED = 200_000  # ids asked for at a time, 18 MB

# What is read of each table. MLflow has had all of it, and its indexes by run, since 1.28.
NEEDED = {
    "experiments": "experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time",
    "experiment_tags": "experiment_id, key, value",
    "runs": "run_uuid, name, experiment_id, status, start_time, end_time, user_id, lifecycle_stage, artifact_uri",
    "params": "run_uuid, key, value",
    "tags": "run_uuid, key, value",
    "latest_metrics": "run_uuid, key, value, is_nan",
    "model_versions": "run_id, name, version, current_stage",
}
# What newer ones have, too.
ADDED = {"registered_model_aliases": "name, version, alias"}
_LATEST = 2**63 - 1


class TrackingDatabase:
    """A RunSource. `url` is MLflow's backend store: ``sqlite:///FILE``, or ``postgresql://USER@HOST/DB``. `chunk`: how
    many runs it reads at a time, if fewer than CHUNK.

    Making one and all of its methods raise BadTrackingDatabase when it cannot be read.
    """

    def __init__(self, url: str, chunk: int | None = None) -> None:
        self._database = named_database(url)
        self._chunk = chunk
        self._mark: str | None = None  # after the runs that were there when `fresh` was asked before
        there = _check(self._database)
        self._has_workspaces = "workspace" in there["model_versions"]
        self._has_aliases = "registered_model_aliases" in there

    def experiments(self, *, anew: bool = False) -> dict[str, Experiment]:  # they always are
        with self._database.connect() as conn:
            found = {str(row[0]): _experiment(row) for row in conn.rows(_every("experiments"))}
            if self._has_workspaces:
                for experiment_id, workspace in conn.rows("SELECT experiment_id, workspace FROM experiments"):
                    found[str(experiment_id)]["workspace"] = named_workspace(workspace)
            for experiment_id, key, value in conn.rows(_every("experiment_tags")):
                if (experiment := found.get(str(experiment_id))) is not None:
                    experiment["tags"][key] = value
        return found

    def registered_versions(self) -> dict[str, list[RegisteredVersion]]:
        with self._database.connect() as conn, conn.snapshot():
            rows = conn.rows(self._with_workspace("model_versions"))
            named = conn.rows(self._with_workspace("registered_model_aliases")) if self._has_aliases else []
        aliases: dict[Any, list[str]] = {}
        for name, version, alias, workspace in named:
            aliases.setdefault((workspace, name, version), []).append(alias)
        # MLflow keeps a version that was deleted, under this name of a stage.
        return versions_by_run(
            (run_id, name, str(version), stage, aliases.get((workspace, name, version), ()))
            for run_id, name, version, stage, workspace in rows
            if stage != "Deleted_Internal"
        )

    def _with_workspace(self, table: str) -> str:
        workspace = "workspace" if self._has_workspaces else "'' AS workspace"
        return f"SELECT {(NEEDED | ADDED)[table]}, {workspace} FROM {table}"  # noqa: S608 - all ours

    def chunks(
        self, *, since: int | None = None, until: int | None = None, ended_since: int | None = None
    ) -> Iterator[tuple[list[RunDetails], int]]:
        names = {key: each["name"] for key, each in self.experiments().items()}
        size = min(CHUNK, self._chunk or CHUNK)
        with self._database.connect() as conn:
            for run_ids, starts in _listed(conn, since=since or 0, until=until, ended_since=ended_since):
                for first in range(0, len(run_ids), size):
                    chunk = run_ids[first : first + size]
                    yield _read(conn, chunk, names), starts[first + len(chunk) - 1]

    def fresh(self, since: int) -> Iterator[list[RunDetails]]:
        with self._database.connect() as conn:
            mark = conn.mark()
            started = f"start_time >= {since}"
            made = started if self._mark is None else conn.made_since(self._mark)
            found = conn.rows(f"SELECT run_uuid FROM runs WHERE {made} AND start_time IS NOT NULL")  # noqa: S608 - ours
        run_ids = [run_id for (run_id,) in found]
        for first in range(0, len(run_ids), CHUNK):
            yield self.again(run_ids[first : first + CHUNK])
        self._mark = mark

    def again(self, run_ids: Sequence[str]) -> list[RunDetails]:
        if not run_ids:
            return []
        names = {key: each["name"] for key, each in self.experiments().items()}
        with self._database.connect() as conn:
            return _read(conn, run_ids, names)

    def purged(self, run_ids: Mapping[str, str | None]) -> list[str]:
        with self._database.connect() as conn:
            there = {run_id for (run_id,) in conn.rows_of(list(run_ids), "run_uuid", "runs")}
        return [each for each in run_ids if each not in there]

    def purged_experiments(self, experiment_ids: Mapping[str, str | None]) -> list[str]:
        there = self.experiments()
        return [each for each in experiment_ids if each not in there]

    def count(self) -> int:
        with self._database.connect() as conn:
            [(found,)] = conn.rows("SELECT count(*) FROM runs")
        return int(found)

    def stamp(self) -> Any:
        with self._database.connect() as conn:
            return conn.stamp()


def _check(database: Database) -> dict[str, set[str]]:
    """The columns of its tables. Raises BadTrackingDatabase if it has not those that are read here."""
    with database.connect() as conn:
        there = conn.columns()
        missing = [
            f"{table}.{column}" for table, columns in NEEDED.items() for column in columns.split(", ")
            if column not in there.get(table, ())
        ]  # fmt: skip
        if not missing:
            return there
        if "alembic_version" not in there or "runs" not in there:
            raise BadTrackingDatabase(f"{database.name} is no database of an MLflow tracking server: it has no runs")
        [(revision,)] = conn.rows("SELECT version_num FROM alembic_version")
    raise BadTrackingDatabase(
        f"{database.name} is of a version of MLflow (revision {revision}) that cannot be read directly: it has no "
        f"{', '.join(missing)}. `mlflow db upgrade` may help; else have the server asked by its URI alone"
    )


def _every(table: str) -> str:
    return f"SELECT {NEEDED[table]} FROM {table}"  # noqa: S608 - both are ours


def _listed(
    conn: Connection, *, since: int, until: int | None, ended_since: int | None
) -> Iterator[tuple[list[str], array[int]]]:
    """Run ids and their starts, the latest first; LISTED at a time, beginning after the last one of those before."""
    last, last_id = (_LATEST if until is None else until + 1), ""
    ended = "" if ended_since is None else "AND end_time >= {value}"
    query = f"""SELECT run_uuid, start_time FROM runs WHERE start_time >= {{value}}
        AND (start_time < {{value}} OR (start_time = {{value}} AND run_uuid > {{value}})) {ended}
        ORDER BY start_time DESC, run_uuid LIMIT {LISTED}"""  # noqa: S608 - LISTED is a number of ours
    while True:
        values = [since, last, last, last_id] + ([] if ended_since is None else [ended_since])
        run_ids, starts = list[str](), array("q")
        for run_id, start in conn.each(query, values):
            run_ids.append(run_id)
            starts.append(start)
        yield run_ids, starts
        if len(run_ids) < LISTED:
            return
        last_id, last = run_ids[-1], starts[-1]


def _read(conn: Connection, run_ids: Sequence[str], experiments: dict[str, str]) -> list[RunDetails]:
    """The details of those of the runs that are still there, in that order, all as of one moment."""
    columns = f"{NEEDED['runs']}, {conn.gather('params')}, {conn.gather('tags')}"
    with conn.snapshot():
        runs = {row[0]: row for row in conn.rows_of(run_ids, columns, "runs")}
        metrics = conn.rows_of(run_ids, NEEDED["latest_metrics"], "latest_metrics")
    # Not gathered: what JSON makes of a number in SQLite is not the number to the last digit.
    by_run: dict[str, dict[str, float | str]] = {}
    for run_id, key, value, is_nan in metrics:
        by_run.setdefault(run_id, {})[key] = "NaN" if is_nan else value if isfinite(value) else json_number(value)
    there = [row for run_id in run_ids if (row := runs.get(run_id)) is not None]
    return [_details(row, experiments, by_run.get(row[0], {})) for row in there]


def _details(row: tuple[Any, ...], experiments: dict[str, str], metrics: dict[str, float | str]) -> RunDetails:
    """As `run_details` of the driver's side has them; the test of this file holds the two together."""
    run_id, name, experiment, status, start_time, end_time, user_id, stage, artifact_uri, params, tagged = row
    tags = orjson.loads(tagged or "{}")
    return RunDetails(
        run_id=run_id,
        run_name=name or tags.get("mlflow.runName"),
        experiment_id=str(experiment),
        experiment_name=experiments.get(str(experiment)),
        status=status,
        start_time=start_time,
        end_time=end_time,
        user=tags.get("mlflow.user") or user_id,
        lifecycle_stage=stage,
        source_name=tags.get("mlflow.source.name"),
        source_type=tags.get("mlflow.source.type"),
        artifact_uri=artifact_uri,
        params=orjson.loads(params or "{}"),
        metrics=metrics,
        tags=tags,
    )


def _experiment(row: tuple[Any, ...]) -> Experiment:
    experiment_id, name, artifact_location, lifecycle_stage, created_time, updated_time = row
    return {
        "experiment_id": str(experiment_id),
        "name": name,
        "lifecycle_stage": lifecycle_stage,
        "artifact_location": artifact_location,
        "created_time": created_time,
        "updated_time": updated_time,
        "tags": {},
        "workspace": None,
    }
