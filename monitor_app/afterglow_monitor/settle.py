"""Settling orphaned runs: writing into MLflow what a person says became of them, with an audit row, and undoing it.

MLflow comes first, then the store: a run that MLflow did not take stays as it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mlflow.exceptions import MlflowException

from afterglow.run_details import run_details
from afterglow_monitor.clients import tracking_client
from afterglow_monitor.errors import CannotSettle
from afterglow_monitor.settings import Settings
from afterglow_store import Query, Store, audit, search_runs, snapshots, tracking
from afterglow_store.items import run_by_id
from afterglow_store.runs import refresh_sums, take_in_run
from afterglow_store.status import ORPHANED, RUNNING

Row = dict[str, Any]

TAG = "afterglow.settled"
STATUSES = ("FAILED", "KILLED")


@dataclass(frozen=True)
class Settler:
    """Who settles, and with what. `client_of` gives the MLflow client of a run's row."""

    store: Store
    who: str
    client_of: Callable[[Row], Any]

    def settle(self, run_id: str, status: str, *, now: int) -> Row:
        """Write `status` (FAILED or KILLED) and a tag to MLflow; the audit row. The run's end is when its last
        application was last heard of, if that is known.

        Raises CannotSettle when the run is not orphaned (any more), or MLflow does not take it.
        """
        with self.store.read() as conn:
            row = run_by_id(conn, run_id)
            end_time = last_sign(conn, row) or now
        if row["effective_status"] != ORPHANED:
            raise CannotSettle(f"run {run_id} is {row['effective_status']}, not ORPHANED: there is nothing to settle")
        client = self.client_of(row)
        self._expect(client, run_id, RUNNING)
        note = f"{status} by {self.who}: {row['status_reason'] or 'its process is gone'}"
        self._write(run_id, lambda: client.set_terminated(run_id, status, end_time))
        self._write(run_id, lambda: client.set_tag(run_id, TAG, note))
        return self._record(client, row, audit.SETTLE, now)

    def undo(self, run_id: str, *, now: int) -> Row:
        """Take back the last settling of this run: RUNNING again, the tag gone. MLflow keeps an end time that it has
        once; it goes with the run's next end.

        Raises CannotSettle when it was not settled, or has been changed since.
        """
        with self.store.read() as conn:
            row = run_by_id(conn, run_id)
            last = audit.last_of_run(conn, run_id, audit.SETTLE, audit.UNDO)
        if last is None or last["action"] != audit.SETTLE:
            raise CannotSettle(f"run {run_id} was not settled by Afterglow: there is nothing to undo")
        client = self.client_of(row)
        self._expect(client, run_id, last["after"]["status"])
        self._write(run_id, lambda: client.update_run(run_id, status=RUNNING))
        self._write(run_id, lambda: client.delete_tag(run_id, TAG))
        return self._record(client, row, audit.UNDO, now)

    def _expect(self, client: Any, run_id: str, status: str) -> None:
        found = self._write(run_id, lambda: client.get_run(run_id)).info.status
        if found != status:
            raise CannotSettle(f"MLflow says that run {run_id} is {found}, not {status}: it was changed meanwhile")

    def _write(self, run_id: str, change: Callable[[], Any]) -> Any:
        try:
            return change()
        except MlflowException as exc:
            raise CannotSettle(f"MLflow did not take it for run {run_id}: {exc}") from exc

    def _record(self, client: Any, row: Row, action: str, now: int) -> Row:
        details: Row = dict(run_details(client, row["run_id"], experiment_name=row["experiment"]))
        before = {name: row[name] for name in ("status", "effective_status", "end_time")}
        after = {name: details[name] for name in ("status", "end_time")}
        with self.store.write() as conn:
            take_in_run(
                conn,
                details,
                server=row["server"],
                tracking_uri=row["tracking_uri"],
                as_of=max(now, row["as_of"]),
                cause=snapshots.SYNC,
            )
            refresh_sums(conn, [row["run_id"]])
            audit.record(conn, who=self.who, time=now, action=action, run_id=row["run_id"], before=before, after=after)
        with self.store.read() as conn:
            return run_by_id(conn, row["run_id"])


def orphaned(store: Store, *, limit: int = 1_000) -> list[Row]:
    """The runs that wait to be settled, newest first."""
    with store.read() as conn:
        return search_runs(conn, Query(statuses=(ORPHANED,), limit=limit)).rows


def last_sign(conn: Any, row: Row) -> int | None:
    """When (ms) the last of the run's applications was last heard of, by its own clock."""
    times: Iterable[int | None] = audit.last_event_times(conn, [each["id"] for each in row["applications"]])
    return max((time for time in times if time is not None), default=None)


def clients(settings: Settings) -> Callable[[Row], Any]:
    """MLflow's client for a run's row: of the configured server that has it, else of the URI that its journal named.

    A person waits for the answer: a server that is down is given up after seconds, not after MLflow's four minutes.
    """

    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    servers = {server.name: server for server in settings.mlflow}
    for server in settings.mlflow:
        servers |= {tracking.plain(uri): server for uri in (server.uri, *server.aliases)}

    def client_of(row: Row) -> Any:
        server = servers.get(row["server"]) or servers.get(tracking.plain(row["tracking_uri"]))
        uri = row["tracking_uri"] if server is None else server.client_uri()
        return tracking_client(uri, row["workspace"])

    return client_of
