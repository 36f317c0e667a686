"""Sync: what the MLflow tracking servers know, into the store.

New and running runs are asked for at every pass; recent runs every half minute, for edits; all runs at the start and
then once an hour, for what was edited, deleted or registered long after. MLflow's search has no "changed since".
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import mlflow
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from requests import RequestException
from sqlalchemy.exc import SQLAlchemyError

from afterglow.run_details import RegisteredVersion, list_outputs, run_details
from afterglow_monitor.clock import now_ms
from afterglow_monitor.settings import MlflowServer, SyncSettings
from afterglow_monitor.sources import pages, plain_experiment, versions_by_run
from afterglow_store import Store, snapshots, tracking
from afterglow_store.items import known_run_details
from afterglow_store.runs import OVER, refresh_sums, take_in_experiment, take_in_run

logger = logging.getLogger(__name__)

PAGE = 500  # runs asked for, and written, at a time
OVERLAP_MS = 600_000  # a run may be started well before it is created, and clocks differ

# What a tracking server that is down, slow or broken may raise. OSError covers a database file that is gone.
TROUBLE = (MlflowException, RequestException, SQLAlchemyError, OSError)


class ServerSync:
    """One tracking server, one pass at a time."""

    def __init__(self, store: Store, server: MlflowServer, settings: SyncSettings) -> None:
        self.server = server
        self._store = store
        self._client = mlflow.MlflowClient(tracking_uri=server.uri, registry_uri=server.uri)
        self._due = {
            self._sweep: _Due(settings.sweep_interval_seconds),
            self._recent(int(settings.recent_days * 86_400_000)): _Due(settings.recent_interval_seconds),
        }
        self._experiments: dict[str, Any] = {}
        self._versions: dict[str, list[RegisteredVersion]] = {}
        self._newest = 0
        with store.write() as conn:
            tracking.know_server(conn, server.name, server.uri, list(server.aliases))

    def poll(self, now: int) -> int:
        """One pass; how many runs it changed. A server in trouble is noted in the store, not raised."""
        try:
            changed = self._pass(now)
        except TROUBLE as exc:
            logger.warning("MLflow server %s (%s): %s", self.server.name, self.server.uri, exc)
            self._note(now, str(exc).splitlines()[0] if str(exc) else repr(exc))
            return 0
        self._note(now, None)
        return changed

    def _note(self, now: int, error: str | None) -> None:
        with self._store.write() as conn:
            tracking.synced(conn, self.server.name, now, error)

    def _pass(self, now: int) -> int:
        self._sync_experiments()
        changed = self._take_in(f"attributes.start_time > {self._newest - OVERLAP_MS}") if self._newest else 0
        changed += self._take_in("attributes.status = 'RUNNING'")
        for task, due in self._due.items():
            if due.now():
                self._versions = self._registered_versions()
                changed += task(now)
                due.done()
        return changed

    def _sweep(self, now: int) -> int:
        return self._take_in("", ViewType.ALL)

    def _recent(self, span_ms: int) -> Callable[[int], int]:
        return lambda now: self._take_in(f"attributes.start_time > {now - span_ms}", ViewType.ALL)

    def _sync_experiments(self) -> None:
        search = self._client.search_experiments
        found = {
            each.experiment_id: plain_experiment(each)
            for each in pages(lambda token: search(view_type=ViewType.ALL, page_token=token))
        }
        changed = [each for key, each in found.items() if each != self._experiments.get(key)]
        if changed:
            with self._store.write() as conn:
                for each in changed:
                    take_in_experiment(conn, each, server=self.server.name)
        self._experiments = found

    def _take_in(self, filter_string: str, view: int = ViewType.ACTIVE_ONLY) -> int:
        changed, token = 0, None
        while self._experiments:
            as_of = now_ms()
            page = self._client.search_runs(
                list(self._experiments),
                filter_string,
                run_view_type=view,
                max_results=PAGE,
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )
            changed += self._take_in_page(list(page), as_of)
            token = page.token
            if not token:
                break
        return changed

    def _take_in_page(self, runs: list[Any], as_of: int) -> int:
        """Read the rest (files, registered versions) of the runs that have changed, then write these."""
        with self._store.read() as conn:
            known = known_run_details(conn, [each.info.run_id for each in runs])
        fresh = [details for each in runs if (details := self._news(each, known.get(each.info.run_id))) is not None]
        changed = 0
        if fresh:
            with self._store.write() as conn:
                for details in fresh:
                    cause = snapshots.SYNC if details["status"] in OVER else None
                    changed += take_in_run(
                        conn,
                        details,
                        server=self.server.name,
                        tracking_uri=self.server.uri,
                        as_of=as_of,
                        cause=cause,
                    )
                refresh_sums(conn, [details["run_id"] for details in fresh])
        self._newest = max([self._newest, *(each.info.start_time or 0 for each in runs)])
        return changed

    def _news(self, run: Any, known: dict[str, Any] | None) -> dict[str, Any] | None:
        """The run's details if they differ from what the store has, else None."""
        run_id = run.info.run_id
        name = self._experiments.get(run.info.experiment_id, {}).get("name")
        details: dict[str, Any] = dict(
            run_details(self._client, run, experiment_name=name, outputs=False, versions=False)
        )
        over, versions = details["status"] in OVER, self._versions.get(run_id, [])
        if known is not None and details == {key: known.get(key) for key in details}:
            same_versions = versions == (known.get("registered_versions") or [])
            if not over or ("outputs" in known and same_versions):
                return None
        if over:  # listing files costs a request a folder: once, when there is nothing more to come
            details["outputs"], details["outputs_complete"] = list_outputs(self._client, run_id)
            details["registered_versions"] = versions
        return details

    def _registered_versions(self) -> dict[str, list[RegisteredVersion]]:
        """All registered versions by the run that they were made of."""
        found = pages(lambda token: self._client.search_model_versions(page_token=token))
        return versions_by_run((each.run_id, each.name, str(each.version)) for each in found)


class _Due:
    """Something that is due at once, and then every `seconds` after it was done."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0

    def now(self) -> bool:
        return time.monotonic() >= self._next

    def done(self) -> None:
        self._next = time.monotonic() + self._seconds
