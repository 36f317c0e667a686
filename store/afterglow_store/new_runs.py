"""Runs that the store has not: made into rows before the write lock is taken, perhaps in another process, so that under
the lock they are only written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from afterglow_store import postings
from afterglow_store.engine import insert_rows
from afterglow_store.schema import Json, as_json, registered_version, run, run_metric, run_term
from afterglow_store.status import at_first

Row = dict[str, Any]
Values = tuple[Any, ...]

COLUMNS = (
    "run_id", "server", "tracking_uri", "experiment_id", "name", "status", "effective_status", "status_reason",
    "start_time", "end_time", "duration_ms", "user_name", "source_name", "source_type", "artifact_uri",
    "lifecycle_stage", "parent_run_id", "app_id_tag", "app_start_tag", "params", "metrics", "tags",
    "registered_versions", "outputs", "outputs_complete", "as_of", "content_hash",
)  # fmt: skip
_AT = {name: at for at, name in enumerate(COLUMNS)}
_JSON = [name for name in COLUMNS if isinstance(run.c[name].type, Json)]
_NOTHING: dict[str, Any] = dict.fromkeys(COLUMNS)
_ALL = itemgetter(*COLUMNS)


@dataclass(frozen=True)
class NewRuns:
    """Different runs, each the values of COLUMNS. What search finds them by names their places here: a run gets its id
    when it is written."""

    rows: list[Values]
    terms: list[tuple[int, list[int]]]  # each term with the runs that have it, in the order of the index
    metrics: list[tuple[int, int, float | None]]  # place, metric, value
    versions: list[tuple[int, str, int]]  # place, name, version: of registered models

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> list[Any]:
        at = _AT[name]
        return [row[at] for row in self.rows]


def made_ready(rows: Iterable[Row]) -> NewRuns:
    """Of rows as `runs.row_of` gives them, each of which is let go at once."""
    terms: dict[int, list[int]] = defaultdict(list)
    values, starts, metrics, versions = [], [], [], []
    for place, row in enumerate(rows):
        values.append(_values(row))
        starts.append(row["start_time"])
        for term in postings.terms_of(row):
            terms[term].append(place)
        metrics += [(place, key, value) for key, value in postings.metrics_of(row).items()]
        for each in row.get("registered_versions") or ():
            versions.append((place, each["name"], int(each["version"])))
    in_order = [(term, sorted(terms[term], key=starts.__getitem__)) for term in sorted(terms)]
    return NewRuns(values, in_order, metrics, versions)


def _values(row: Row) -> Values:
    known = _NOTHING | row
    for name in _JSON:
        if known[name] is not None:
            known[name] = as_json(known[name])
    known["effective_status"], known["status_reason"] = at_first(row["status"])
    values: Values = _ALL(known)
    return values


def insert(conn: sa.Connection, new: NewRuns, leave_out: Collection[str] = ()) -> None:
    """Write the runs, but for those with these ids."""
    next_id = postings.next_ids(conn, run)
    ids = [0 if run_id in leave_out else next(next_id) for run_id in new.column("run_id")]
    starts = new.column("start_time")
    insert_rows(
        conn, run, [(id_, *row) for id_, row in zip(ids, new.rows, strict=True) if id_], ("id", *COLUMNS)
    )  # fmt: skip
    # In the order of the indexes: what lies together is written together.
    terms = [(term, starts[at], id_) for term, places in new.terms for at in places if (id_ := ids[at])]
    insert_rows(conn, run_term, terms)
    metrics = [(id_, key, value, starts[at]) for at, key, value in new.metrics if (id_ := ids[at])]
    insert_rows(conn, run_metric, metrics)
    versions = [(id_, name, version) for at, name, version in new.versions if (id_ := ids[at])]
    insert_rows(conn, registered_version, versions)
