"""Where sync reads MLflow's runs from: what both sources give.

tracking_server asks any tracking server; tracking_database reads MLflow's own database where that is within reach, some
twenty times as fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from afterglow.run_details import RegisteredVersion, RunDetails, registered_version, version_order

EXPERIMENTS_SECONDS = 30.0  # so often all experiments are read; between, those that were changed since
DEFAULT = "default"  # the workspace that is there without workspaces, too

Experiment = dict[str, Any]
Version = tuple[str | None, str, str, str | None, Sequence[str]]  # run id, model, version, stage, aliases


class RunSource(Protocol):
    """Both give the same for the same server: details without `outputs` and `registered_versions`, which have their own
    ways (files are not in the database; versions come without any change of their run)."""

    def experiments(self, *, anew: bool = False) -> dict[str, Experiment]:
        """All experiments by id, deleted ones as well. Unless they are wanted `anew`, one that is gone for good may be
        among them for EXPERIMENTS_SECONDS."""

    def registered_versions(self) -> dict[str, list[RegisteredVersion]]:
        """All registered versions by the run that they were made of."""

    def chunks(
        self, *, since: int | None = None, until: int | None = None, ended_since: int | None = None
    ) -> Iterator[tuple[list[RunDetails], int]]:
        """The runs, deleted ones as well, the latest start first, each chunk as it is when it is read.

        `since` and `until` (ms since 1970, both inclusive) bound the start, `ended_since` the end. With each chunk
        comes where it ended: the `until` under which a pass that was interrupted goes on. Runs that started in that
        very millisecond come again.
        """

    def fresh(self, since: int) -> Iterator[list[RunDetails]]:
        """The runs that were made since this was asked before, and perhaps others; where the source cannot tell, and at
        the first time, those that started at `since` (ms) or later."""

    def again(self, run_ids: Sequence[str]) -> list[RunDetails]:
        """These runs as they are now, most of which will be RUNNING; without those that are gone for good."""

    def purged(self, run_ids: Mapping[str, str | None]) -> list[str]:
        """Those of the runs that are certainly gone for good: the server was asked for each, and said that it has none
        of that id. One that may not be read is not among them; whatever else goes wrong is raised.
        With each comes the workspace that it is of."""

    def purged_experiments(self, experiment_ids: Mapping[str, str | None]) -> list[str]:
        """The same of experiments."""

    def count(self) -> int | None:
        """How many runs there are. None where only counting would tell."""

    def stamp(self) -> Any:
        """What differs once anything was written. None where the source cannot tell."""


def versions_by_run(versions: Iterator[Version]) -> dict[str, list[RegisteredVersion]]:
    """By run id, each run's in order."""
    found: dict[str, list[RegisteredVersion]] = {}
    for run_id, name, version, stage, aliases in versions:
        if run_id:
            found.setdefault(run_id, []).append(registered_version(name, version, stage, aliases))
    return {run_id: sorted(each, key=version_order) for run_id, each in found.items()}


def named_workspace(workspace: str | None) -> str | None:
    """None for the one that is there without workspaces, too."""
    return None if workspace == DEFAULT else workspace or None
