"""The experiments of a tracking server on their way into the store, which of them are gone for good, and whether it is
still the same server."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import islice

import sqlalchemy as sa

from afterglow_monitor.syncing.sources import Experiment, RunSource
from afterglow_store import Store, tracking
from afterglow_store.comparing import experiments_there
from afterglow_store.runs import mark_purged_experiments, take_in_experiment

logger = logging.getLogger(__name__)

ASKED_FOR = 20  # experiments that did not come, in a pass


class Experiments:
    """`replaced_time` (ms): when another server was met under this name, 0 if never."""

    def __init__(self, store: Store, server: str, replaced_time: int | None) -> None:
        self._store, self._server = store, server
        self._known: dict[str, Experiment] = {}
        self._missing: dict[str, str | None] = {}  # by their ids, with their workspaces: yet to be asked for
        self.replaced_time = replaced_time or 0
        self.recognised = False  # the server is the one that it was, by its experiments

    def sync(self, source: RunSource, now: int, *, anew: bool = False) -> None:
        """Bring the store up to what the source says."""
        found = source.experiments(anew=anew)
        changed = [each for key, each in found.items() if each != self._known.get(key)]
        if changed or found.keys() != self._known.keys():
            with self._store.write() as conn:
                self._recognise(conn, found, now)
                for each in changed:
                    take_in_experiment(conn, each, server=self._server)
                there = experiments_there(conn, self._server, since=self.replaced_time)
                self._missing = {key: workspace for key, workspace in there.items() if key not in found}
        self._known = found
        if self._missing and self.recognised:
            self._ask_for_missing(source)

    def _ask_for_missing(self, source: RunSource) -> None:
        """That an experiment did not come tells nothing yet: it may be one that may not be read any more."""
        some = dict(islice(self._missing.items(), ASKED_FOR))
        gone = source.purged_experiments(some)
        if gone:
            with self._store.write() as conn:
                mark_purged_experiments(conn, self._server, gone)
        self._missing = {key: each for key, each in self._missing.items() if key not in some}

    def _recognise(self, conn: sa.Connection, found: Mapping[str, Experiment], now: int) -> None:
        """By when its experiments were made. That another server under the same name (a new database, a wrong URI) has
        not the runs of before says nothing of them: they are left as they are, for good."""
        made = tracking.experiments_made(conn, self._server)
        same = {
            each["created_time"] == made[key] for key, each in found.items() if key in made and each["created_time"]
        }
        self.recognised = True in same or not made
        if same == {False}:
            logger.warning("MLflow server %s is not the one that it was: its experiments are others", self._server)
            self.replaced_time = now
            tracking.note_progress(conn, self._server, replaced_time=now)
