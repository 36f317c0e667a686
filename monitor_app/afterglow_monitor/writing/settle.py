"""Settling orphaned runs: writing into MLflow what a person says became of them, and undoing it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from afterglow_monitor.errors import CannotSettle
from afterglow_monitor.writing import Row, Writer
from afterglow_store import Query, Store, audit, search_runs
from afterglow_store.items import run_by_id
from afterglow_store.status import ORPHANED, RUNNING

TAG = "afterglow.settled"
STATUSES = ("FAILED", "KILLED")


class Settler(Writer):
    refusal = CannotSettle

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
        with self.audited(audit.SETTLE, run_id, {"status": status}, now) as entry:
            self._write(run_id, lambda: client.set_terminated(run_id, status, end_time))
            self._write(run_id, lambda: client.set_tag(run_id, TAG, note))
            return self._record(client, row, audit.SETTLE, entry, now)

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
        with self.audited(audit.UNDO, run_id, {"status": RUNNING}, now) as entry:
            self._write(run_id, lambda: client.update_run(run_id, status=RUNNING))
            self._write(run_id, lambda: client.delete_tag(run_id, TAG))
            return self._record(client, row, audit.UNDO, entry, now)

    def _expect(self, client: Any, run_id: str, status: str) -> None:
        found = self._write(run_id, lambda: client.get_run(run_id)).info.status
        if found != status:
            raise CannotSettle(f"MLflow says that run {run_id} is {found}, not {status}: it was changed meanwhile")

    def _write(self, run_id: str, change: Callable[[], Any]) -> Any:
        return self.ask(f"run {run_id}", change)

    def _record(self, client: Any, row: Row, action: str, entry: int, now: int) -> Row:
        details = self.details(client, row)
        before = {name: row[name] for name in ("status", "effective_status", "end_time")}
        after = {name: details[name] for name in ("status", "end_time")}
        with self.store.write() as conn:
            self.take_in(conn, row, details, now)
            audit.finish(conn, entry, action=action, before=before, after=after)
        return self.row(row["run_id"])


def orphaned(store: Store, *, limit: int = 1_000) -> list[Row]:
    """The runs that wait to be settled, newest first."""
    with store.read() as conn:
        return search_runs(conn, Query(statuses=(ORPHANED,), limit=limit)).rows


def last_sign(conn: Any, row: Row) -> int | None:
    """When (ms) the last of the run's applications was last heard of, by its own clock."""
    times: Iterable[int | None] = audit.last_event_times(conn, [each["id"] for each in row["applications"]])
    return max((time for time in times if time is not None), default=None)
