"""Where sync reads MLflow's runs from: what both sources give, and the one that asks any tracking server.

The other one, tracking_database, reads MLflow's own database where that is within reach: some twenty times as fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from afterglow.run_details import RegisteredVersion, RunDetails, run_details, version_order

PAGE = 500  # runs asked for at a time
SINGLY = 3  # so many runs are asked for one by one; beyond, one question for those that are RUNNING comes first

Experiment = dict[str, Any]


_ALL = 3  # mlflow.entities.ViewType.ALL


class RunSource(Protocol):
    """Both give the same for the same server: details without `outputs` and `registered_versions`, which have their own
    ways (files are not in the database; versions come without any change of their run)."""

    def experiments(self) -> dict[str, Experiment]:
        """All experiments by id, deleted ones as well."""

    def registered_versions(self) -> dict[str, list[RegisteredVersion]]:
        """All registered versions by the run that they were made of."""

    def chunks(
        self, *, since: int | None = None, until: int | None = None, status: str | None = None
    ) -> Iterator[tuple[list[RunDetails], int]]:
        """The runs, deleted ones as well, the latest start first, each chunk as it is when it is read.

        `since` and `until` (ms since 1970, both inclusive) bound the start; `status` is one of MLflow's. With each
        chunk comes where it ended: the `until` under which a pass that was interrupted goes on. Runs that started in
        that very millisecond come again.
        """

    def fresh(self, since: int) -> Iterator[list[RunDetails]]:
        """The runs that were made since this was asked before, and perhaps others; where the source cannot tell, and at
        the first time, those that started at `since` (ms) or later."""

    def again(self, run_ids: Sequence[str]) -> list[RunDetails]:
        """These runs as they are now, most of which will be RUNNING; without those that are gone for good."""

    def count(self) -> int | None:
        """How many runs there are. None where only counting would tell."""

    def stamp(self) -> Any:
        """What differs once anything was written. None where the source cannot tell."""


class TrackingServer:
    """A tracking server, asked through MLflow's client. Raises what the client raises."""

    def __init__(self, uri: str) -> None:
        from mlflow import MlflowClient  # noqa: PLC0415 - seconds, which reading a database does without

        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self._experiments: dict[str, Experiment] = {}

    def experiments(self) -> dict[str, Experiment]:
        search = self.client.search_experiments
        found = pages(lambda token: search(view_type=_ALL, page_token=token))
        self._experiments = {each.experiment_id: plain_experiment(each) for each in found}
        return self._experiments

    def registered_versions(self) -> dict[str, list[RegisteredVersion]]:
        found = pages(lambda token: self.client.search_model_versions(page_token=token))
        return versions_by_run((each.run_id, each.name, str(each.version)) for each in found)

    def chunks(
        self, *, since: int | None = None, until: int | None = None, status: str | None = None
    ) -> Iterator[tuple[list[RunDetails], int]]:
        names = {key: each["name"] for key, each in (self._experiments or self.experiments()).items()}
        asked, token = _filter(since, until, status), None
        while names:
            page = self.client.search_runs(
                list(names), asked, _ALL, PAGE, order_by=["attributes.start_time DESC"], page_token=token
            )
            if page:
                yield [self._details(run, names) for run in page], page[-1].info.start_time
            token = page.token
            if not token:
                return

    def fresh(self, since: int) -> Iterator[list[RunDetails]]:
        return (runs for runs, _ in self.chunks(since=since))

    def again(self, run_ids: Sequence[str]) -> list[RunDetails]:
        running = next(self.chunks(status="RUNNING"), ([], 0))[0] if len(run_ids) > SINGLY else []
        found = {each["run_id"]: each for each in running}
        return [each for run_id in run_ids if (each := found.get(run_id) or self._one(run_id)) is not None]

    def count(self) -> None:
        return None

    def stamp(self) -> None:
        return None

    def _one(self, run_id: str) -> RunDetails | None:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        try:
            run = self.client.get_run(run_id)
        except MlflowException as exc:
            if exc.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return self._details(
            run, {run.info.experiment_id: self._experiments.get(run.info.experiment_id, {}).get("name")}
        )

    def _details(self, run: Any, names: dict[str, Any]) -> RunDetails:
        name = names[run.info.experiment_id]
        return run_details(self.client, run, experiment_name=name, outputs=False, versions=False)


def _filter(since: int | None, until: int | None, status: str | None) -> str:
    asked = []
    if since is not None:
        asked.append(f"attributes.start_time >= {since}")
    if until is not None:
        asked.append(f"attributes.start_time <= {until}")
    if status is not None:
        asked.append(f"attributes.status = '{status}'")
    return " AND ".join(asked)


def versions_by_run(versions: Iterator[tuple[str | None, str, str]]) -> dict[str, list[RegisteredVersion]]:
    """(run id, model name, version) by run id, each run's in order."""
    found: dict[str, list[RegisteredVersion]] = {}
    for run_id, name, version in versions:
        if run_id:
            found.setdefault(run_id, []).append(RegisteredVersion(name=name, version=version))
    return {run_id: sorted(each, key=version_order) for run_id, each in found.items()}


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
