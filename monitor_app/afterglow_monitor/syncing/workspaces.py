"""Reading a tracking server that has MLflow's workspaces on: it answers for one at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from afterglow.run_details import RegisteredVersion, RunDetails
from afterglow_monitor.syncing.clients import workspaces
from afterglow_monitor.syncing.sources import DEFAULT, EXPERIMENTS_SECONDS, Experiment, RunSource
from afterglow_monitor.syncing.tracking_server import TrackingServer


def asked_server(uri: str) -> RunSource:
    """The runs of a tracking server that is asked through MLflow's client, of all its workspaces where it has them."""
    return TrackingServer(uri) if workspaces(uri) is None else AllWorkspaces(uri)


class AllWorkspaces:
    """A RunSource: those of the workspaces that may be read, taken together."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._of: dict[str, TrackingServer] = {}
        self._listed_due = 0.0
        self._found_in: dict[str, str] = {}  # the workspaces of runs that were asked for by their ids

    def experiments(self, *, anew: bool = False) -> dict[str, Experiment]:
        if anew or time.monotonic() >= self._listed_due:
            names = workspaces(self._uri) or []
            self._of = {name: self._of.get(name) or TrackingServer(self._uri, name) for name in names}
            self._listed_due = time.monotonic() + EXPERIMENTS_SECONDS
        return {key: each for source in self._of.values() for key, each in source.experiments(anew=anew).items()}

    def registered_versions(self) -> dict[str, list[RegisteredVersion]]:
        return {key: each for source in self._of.values() for key, each in source.registered_versions().items()}

    def chunks(
        self, *, since: int | None = None, until: int | None = None, ended_since: int | None = None
    ) -> Iterator[tuple[list[RunDetails], int]]:
        """Chunk by chunk of the workspace that is the furthest behind; each ends where all of them have come to."""
        if not self._of:
            self.experiments()
        readers = {
            name: source.chunks(since=since, until=until, ended_since=ended_since) for name, source in self._of.items()
        }
        first = {name: found for name, reader in readers.items() if (found := next(reader, None)) is not None}
        reached = {name: until for name, (_, until) in first.items()}
        if first:
            yield [run for runs, _ in first.values() for run in runs], max(reached.values())
        while reached:
            name = max(reached, key=lambda each: reached[each])
            found = next(readers[name], None)
            if found is None:
                del reached[name]
                continue
            runs, reached[name] = found
            yield runs, max(reached.values())

    def fresh(self, since: int) -> Iterator[list[RunDetails]]:
        for source in self._of.values():
            yield from source.fresh(since)

    def again(self, run_ids: Sequence[str]) -> list[RunDetails]:
        found: list[RunDetails] = []
        for name, source in self._of.items():
            some = [each for each in run_ids if self._found_in.get(each, name) == name]
            runs = source.again(some) if some else []
            self._found_in |= {each["run_id"]: name for each in runs}
            found += runs
        self._found_in = {each: self._found_in[each] for each in run_ids if each in self._found_in}
        return found

    def purged(self, run_ids: Mapping[str, str | None]) -> list[str]:
        """Each is asked for in its own workspace: elsewhere, nobody knows it."""
        gone: list[str] = []
        for name, source in self._of.items():
            gone += source.purged(_of(name, run_ids))
        return gone

    def purged_experiments(self, experiment_ids: Mapping[str, str | None]) -> list[str]:
        gone: list[str] = []
        for name, source in self._of.items():
            gone += source.purged_experiments(_of(name, experiment_ids))
        return gone

    def count(self) -> None:
        return None

    def stamp(self) -> None:
        return None


def _of(name: str, ids: Mapping[str, str | None]) -> dict[str, str | None]:
    return {each: workspace for each, workspace in ids.items() if (workspace or DEFAULT) == name}
