"""What one tracking server says of its runs, on its way into the store: only what differs is written."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from afterglow.run_details import RegisteredVersion, list_outputs
from afterglow_monitor.settings import MlflowServer
from afterglow_monitor.syncing.clients import tracking_client
from afterglow_store import Store, snapshots, tracking
from afterglow_store.comparing import Known, compare, keep_what_was, runs_to_list, versions_known
from afterglow_store.items import known_run_details
from afterglow_store.new_runs import NewRuns
from afterglow_store.runs import OVER, PURGED, Origin, refresh_sums, take_in_new, take_in_outputs, take_in_runs

LISTED_ANEW = 20  # of more runs that change at once, after their end, the files are taken to be those of before
LISTING_SECONDS = 1.0  # for the files of runs, in one pass

Details = dict[str, Any]


class Unlisted:
    """The ids of runs whose files are yet to be listed, each once, the newest first. One thread adds them, another one
    takes them."""

    def __init__(self, run_ids: Iterable[str] = ()) -> None:
        self._in_order = deque(run_ids)  # the newest last
        self._all = set(self._in_order)

    def add(self, run_id: str, *, oldest: bool = False) -> None:
        if run_id not in self._all:
            self._all.add(run_id)
            (self._in_order.appendleft if oldest else self._in_order.append)(run_id)

    def take(self) -> str | None:
        if not self._in_order:
            return None
        run_id = self._in_order.pop()
        self._all.discard(run_id)
        return run_id


class Intake:
    """`others` are the names of the other configured servers: what these have stays theirs."""

    def __init__(self, store: Store, server: MlflowServer, others: Collection[str] = ()) -> None:
        self._store, self._server, self._others = store, server, frozenset(others) - {server.name}
        self._versions: dict[str, list[RegisteredVersion]] | None = None  # none before they have been read
        self._unlisted: Unlisted | None = None  # none before the store was asked
        self._clients: dict[str | None, Any] = {}  # by workspace

    def take_in(self, runs: Sequence[Any], as_of: int, *, list_since: int, **progress: int | None) -> int:
        """Bring the store up to `runs`, as they were at `as_of` (ms) or later; how many that changed.

        The files of those that are over are listed later, of those alone that started at `list_since` (ms) or later.
        `progress` is noted of the server in the same transaction.
        """
        with self._store.read() as conn:
            known = compare(conn, runs)
        plain: list[Details] = []
        changed: list[Details] = []  # after, or by, their end
        for each in runs:
            was = known.get(each["run_id"])
            if was is not None and was.server in self._others:
                continue
            self._note_unlisted(each, was, list_since)
            if was is None or not was.same or was.server != self._server.name or self._other_versions(each, was):
                (changed if was is not None and each["status"] in OVER else plain).append(self._with_versions(each))
        self._list_outputs(changed, known)
        if plain or changed or progress:
            return self._write(plain, changed, as_of, progress)
        return 0

    def take_in_purged(self, run_ids: Sequence[str], as_of: int) -> int:
        """The server has deleted these for good, as of `as_of` (ms): how many the store had otherwise."""
        if not run_ids:
            return 0
        origin = Origin(self._server.name, tracking.plain(self._server.uri), as_of)
        with self._store.write() as conn:
            keep_what_was(conn, run_ids)
            gone = [{**each, "lifecycle_stage": PURGED} for each in known_run_details(conn, run_ids).values()]
            return len(take_in_runs(conn, gone, origin, cause=snapshots.SYNC))

    def take_in_new(
        self, runs: NewRuns, experiments: Mapping[str, str | None], *, list_since: int, **progress: int | None
    ) -> set[str]:
        """Write what was read in the first load. The ids of runs that the store has already: they are left as they are.

        `list_since` and `progress` as for `take_in`.
        """
        with self._store.write() as conn:
            known = take_in_new(conn, runs, self._server.name, experiments)
            tracking.note_progress(conn, self._server.name, **progress)
        if self._unlisted is not None:
            columns = map(runs.column, ("run_id", "status", "start_time"))
            for run_id, status, start in zip(*columns, strict=True):
                if status in OVER and start >= list_since and run_id not in known:
                    self._unlisted.add(run_id, oldest=True)  # than those that were read before
        return known

    def take_in_versions(self, versions: dict[str, list[RegisteredVersion]]) -> list[str]:
        """What is registered now. The ids of runs of which the store has it otherwise, to be taken in again."""
        self._versions = versions
        with self._store.read() as conn:
            known = versions_known(conn, self._server.name)
        return [each for each in known.keys() | versions.keys() if known.get(each, []) != versions.get(each, [])]

    def list_files(self, since: int) -> int:
        """List the files of runs that are over, the newest first, for a second at most; of how many it did.

        `since` (ms): at the first time, the store is asked for such runs that started since.
        """
        if self._unlisted is None:
            with self._store.read() as conn:
                self._unlisted = Unlisted(runs_to_list(conn, self._server.name, since))
        deadline, done = time.monotonic() + LISTING_SECONDS, 0
        while time.monotonic() < deadline and (run_id := self._unlisted.take()) is not None:
            outputs, complete = list_outputs(self._asked(run_id), run_id)
            with self._store.write() as conn:
                take_in_outputs(conn, run_id, [dict(each) for each in outputs], complete=complete)
            done += 1
        return done

    def _note_unlisted(self, run: Any, was: Known | None, list_since: int) -> None:
        waits = run["status"] in OVER and (was is None or (was.same and not was.listed))
        if not waits or self._unlisted is None or (run["start_time"] or 0) < list_since:
            return
        self._unlisted.add(run["run_id"])

    def _other_versions(self, run: Any, was: Known) -> bool:
        return self._versions is not None and was.versions != self._versions.get(run["run_id"], [])

    def _with_versions(self, run: Any) -> Details:
        if self._versions is None:
            return dict(run)
        return {**run, "registered_versions": self._versions.get(run["run_id"], [])}

    def _list_outputs(self, changed: list[Details], known: Mapping[str, Known]) -> None:
        """Listing costs a request a folder: of a run that has just ended, and of a few that changed since."""
        ended = [each for each in changed if not known[each["run_id"]].over]
        edited = [each for each in changed if known[each["run_id"]].over]
        if len(edited) > LISTED_ANEW:
            with self._store.read() as conn:
                before = known_run_details(conn, [each["run_id"] for each in edited])
            for each in edited:
                was = before[each["run_id"]]
                each.update({name: was[name] for name in ("outputs", "outputs_complete") if name in was})
            edited = []
        for each in ended + edited:
            each["outputs"], each["outputs_complete"] = list_outputs(self._asked(each["run_id"]), each["run_id"])

    def _write(
        self, plain: list[Details], changed: list[Details], as_of: int, progress: Mapping[str, int | None]
    ) -> int:
        origin = Origin(self._server.name, tracking.plain(self._server.uri), as_of)
        with self._store.write() as conn:
            written = take_in_runs(conn, plain, origin) if plain else []
            if changed:
                keep_what_was(conn, [each["run_id"] for each in changed])
                written += take_in_runs(conn, changed, origin, cause=snapshots.SYNC)
            if written:
                refresh_sums(conn, written)
            tracking.note_progress(conn, self._server.name, **progress)
        return len(written)

    def _asked(self, run_id: str) -> Any:
        """MLflow's client, in the workspace of the run."""
        with self._store.read() as conn:
            workspace = tracking.workspaces_of(conn, [run_id]).get(run_id)
        if workspace not in self._clients:
            self._clients[workspace] = tracking_client(self._server.client_uri(), workspace)
        return self._clients[workspace]
