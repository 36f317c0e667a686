"""Any tracking server as a source of runs, asked through MLflow's client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mlflow.entities import ViewType
from mlflow.exceptions import RestException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED, RESOURCE_DOES_NOT_EXIST, ErrorCode

from afterglow.run_details import RegisteredVersion, RunDetails, run_details
from afterglow_monitor.syncing.clients import tracking_client
from afterglow_monitor.syncing.sources import DEFAULT, EXPERIMENTS_SECONDS, Experiment, named_workspace, versions_by_run

PAGE = 1_000  # runs asked for at a time: at each page MLflow sorts all of them
NAMED = 100  # of those that are asked for by their ids
CLOCKS_MS = 60_000  # that servers behind one address may differ

NOT_THERE, NOT_ALLOWED = ErrorCode.Name(RESOURCE_DOES_NOT_EXIST), ErrorCode.Name(PERMISSION_DENIED)

Aliases = dict[tuple[str, str], list[str]]  # by model and version


class TrackingServer:
    """A tracking server, or one of its workspaces, asked through MLflow's client. Raises what the client raises."""

    def __init__(self, uri: str, workspace: str | None = None) -> None:
        self.client = tracking_client(uri, workspace)
        self._workspace = workspace or DEFAULT
        self._experiments: dict[str, Experiment] = {}
        self._experiments_due = 0.0

    def experiments(self, *, anew: bool = False) -> dict[str, Experiment]:
        if anew or time.monotonic() >= self._experiments_due:
            self._experiments = self._search_experiments("")
            self._experiments_due = time.monotonic() + EXPERIMENTS_SECONDS
        else:
            latest = max((each["updated_time"] or 0 for each in self._experiments.values()), default=0)
            changed = self._search_experiments(f"last_update_time >= {latest - CLOCKS_MS}")
            self._experiments = self._experiments | changed
        return self._experiments

    def _search_experiments(self, asked: str) -> dict[str, Experiment]:
        search = self.client.search_experiments
        found = pages(lambda token: search(view_type=ViewType.ALL, filter_string=asked, page_token=token))
        return {each.experiment_id: plain_experiment(each) for each in found}

    def registered_versions(self) -> dict[str, list[RegisteredVersion]]:
        models = pages(lambda token: self.client.search_registered_models(page_token=token))
        aliases: Aliases = {}
        for model in models:
            for alias, version in model.aliases.items():
                aliases.setdefault((model.name, str(version)), []).append(alias)
        found = pages(lambda token: self.client.search_model_versions(page_token=token))
        return versions_by_run(
            (
                each.run_id,
                each.name,
                str(each.version),
                each.current_stage,
                aliases.get((each.name, str(each.version)), ()),
            )
            for each in found
        )

    def chunks(
        self, *, since: int | None = None, until: int | None = None, ended_since: int | None = None
    ) -> Iterator[tuple[list[RunDetails], int]]:
        asked, token = _filter(since, until, ended_since), None
        while experiments := self._experiments or self.experiments():
            page = self.client.search_runs(
                list(experiments), asked, ViewType.ALL, PAGE, order_by=["attributes.start_time DESC"], page_token=token
            )
            if page:
                yield [self._details(run) for run in page], page[-1].info.start_time or 0
            token = page.token
            if not token:
                return

    def fresh(self, since: int) -> Iterator[list[RunDetails]]:
        return (runs for runs, _ in self.chunks(since=since))

    def again(self, run_ids: Sequence[str]) -> list[RunDetails]:
        found: list[RunDetails] = []
        for first in range(0, len(run_ids), NAMED):
            named = ", ".join(f"'{run_id}'" for run_id in run_ids[first : first + NAMED])
            asked = f"attributes.run_id IN ({named})"  # through the index of their ids, however many runs there are
            runs = self.client.search_runs(list(self._experiments or self.experiments()), asked, ViewType.ALL, NAMED)
            found += [self._details(run) for run in runs]
        return found

    def purged(self, run_ids: Mapping[str, str | None]) -> list[str]:
        """In another workspace, nobody knows of the runs of this one."""
        here = self._of_this_workspace(run_ids)
        there = {each["run_id"] for each in self.again(here)}
        return [each for each in here if each not in there and _has_not(self.client.get_run, each)]

    def purged_experiments(self, experiment_ids: Mapping[str, str | None]) -> list[str]:
        here = self._of_this_workspace(experiment_ids)
        return [each for each in here if _has_not(self.client.get_experiment, each)]

    def _of_this_workspace(self, ids: Mapping[str, str | None]) -> list[str]:
        return [each for each, workspace in ids.items() if (workspace or DEFAULT) == self._workspace]

    def count(self) -> None:
        return None

    def stamp(self) -> None:
        return None

    def _details(self, run: Any) -> RunDetails:
        name = self._experiments[run.info.experiment_id]["name"]
        return run_details(self.client, run, experiment_name=name, outputs=False, versions=False)


def _has_not(get: Callable[[str], Any], id_: str) -> bool:
    try:
        get(id_)
    except RestException as exc:  # MLflow's own answer; a proxy's is none
        if exc.error_code == NOT_THERE:
            return True
        if exc.error_code == NOT_ALLOWED:
            return False
        raise
    return False


def _filter(since: int | None, until: int | None, ended_since: int | None) -> str:
    asked = []
    if since is not None:
        asked.append(f"attributes.start_time >= {since}")
    if until is not None:
        asked.append(f"attributes.start_time <= {until}")
    if ended_since is not None:
        asked.append(f"attributes.end_time >= {ended_since}")
    return " AND ".join(asked)


def plain_experiment(experiment: Any) -> Experiment:
    """MLflow's entity in the form that `take_in_experiment` takes."""
    return {
        "experiment_id": experiment.experiment_id,
        "name": experiment.name,
        "lifecycle_stage": experiment.lifecycle_stage,
        "artifact_location": experiment.artifact_location,
        "created_time": experiment.creation_time,
        "updated_time": experiment.last_update_time,
        "tags": dict(experiment.tags or {}),
        "workspace": named_workspace(getattr(experiment, "workspace", None)),
    }


def pages(ask: Callable[[str | None], Any]) -> Iterator[Any]:
    """All entries of a paged MLflow answer."""
    token = None
    while True:
        page = ask(token)
        yield from page
        token = page.token
        if not token:
            return
