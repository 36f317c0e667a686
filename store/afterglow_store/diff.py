"""Differences: what has changed between two snapshots, or between one and what the item is now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from afterglow_store import items, snapshots
from afterglow_store.errors import NotFound

Details = Mapping[str, Any]  # the `Run` object of docs/journal.md
How = Literal["added", "removed", "changed"]

# In the order in which a person asks: how did it go, with what, what came out, what was said of it.
FIELDS = (
    "status", "lifecycle_stage", "run_name", "start_time", "end_time", "user", "experiment_name", "experiment_id",
    "source_name", "source_type", "artifact_uri", "run_id", "outputs_complete",
)  # fmt: skip
RUN, METRIC, PARAM, MODEL, OUTPUT, TAG = "run", "metric", "param", "registered model", "output file", "tag"


@dataclass(frozen=True)
class Left:
    """A run as its application left it: the content of the snapshot, and what has changed in the run since then."""

    snapshot_id: int
    taken_time: int
    details: Details
    changes: list[Change]


@dataclass(frozen=True)
class Change:
    """One difference. `before` is None where it was added, `after` where it was removed. Times are ms, the value of an
    output file its size in bytes, if that is known."""

    kind: str
    name: str
    how: How
    before: Any
    after: Any


def between(before: Details, after: Details) -> list[Change]:
    """All differences of two contents, in the order for reading: fields of the run, metrics, params, registered
    models, output files, tags; each by name."""
    return [
        *_fields(before, after),
        *_of_maps(METRIC, before.get("metrics") or {}, after.get("metrics") or {}),
        *_of_maps(PARAM, before.get("params") or {}, after.get("params") or {}),
        *_of_lists(MODEL, _versions, before.get("registered_versions"), after.get("registered_versions")),
        *_of_lists(OUTPUT, _sizes, before.get("outputs"), after.get("outputs")),
        *_of_maps(TAG, before.get("tags") or {}, after.get("tags") or {}),
    ]


def of_snapshots(conn: sa.Connection, before_id: int, after_id: int | None) -> list[Change]:
    """The differences of two snapshots by their ids; with `after_id` None, of one and its run as it is now.

    Raises NotFound when a snapshot, or the run itself, is not in the store.
    """
    before = snapshots.content(conn, before_id)
    after = snapshots.content(conn, after_id) if after_id is not None else _now(conn, before["run_id"])
    return between(before, after)


def as_left_by(conn: sa.Connection, application_id: int) -> dict[str, Left]:
    """The runs of an application that has ended, as each was then, by run id."""
    kept = snapshots.at_end_of(conn, application_id)
    now = items.known_run_details(conn, list(kept))
    return {
        run_id: Left(each["id"], each["taken_time"], each["content"], between(each["content"], now[run_id]))
        for run_id, each in kept.items()
        if run_id in now
    }


def _now(conn: sa.Connection, run_id: str) -> Details:
    details = items.run_details(conn, run_id)
    if details is None:
        raise NotFound(f"run {run_id} is not in the store any more: it has snapshots, but no present")
    return details


def _fields(before: Details, after: Details) -> Iterator[Change]:
    others = sorted((before.keys() | after.keys()) - {*FIELDS, *_PLURAL})
    for name in (*FIELDS, *others):
        if name in before and name in after:  # one that nobody asked for then has not changed
            yield from _change(RUN, name, before[name], after[name])


def _of_maps(kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name in sorted(before.keys() | after.keys()):
        yield from _change(kind, name, before.get(name), after.get(name), name in before, name in after)


def _of_lists(
    kind: str, named: Any, before: Sequence[Mapping[str, Any]] | None, after: Sequence[Mapping[str, Any]] | None
) -> Iterator[Change]:
    """None is not an empty list: nobody had looked, so nothing can be said to have come or gone."""
    if before is not None and after is not None:
        yield from _of_maps(kind, named(before), named(after))


def _change(
    kind: str, name: str, before: Any, after: Any, was: bool | None = None, is_: bool | None = None
) -> Iterator[Change]:
    was = before is not None if was is None else was
    is_ = after is not None if is_ is None else is_
    if was and is_ and before != after:
        yield Change(kind, name, "changed", before, after)
    elif was != is_:
        yield Change(kind, name, "added" if is_ else "removed", before, after)


def _sizes(files: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {each["path"]: each["size"] for each in files}


def _versions(versions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A model with the versions of it that were made of the run."""
    found: dict[str, list[str]] = {}
    for each in sorted(versions, key=lambda each: int(each["version"])):
        found.setdefault(each["name"], []).append(version_label(each))
    return {name: ", ".join(of_it) for name, of_it in found.items()}


def version_label(version: Mapping[str, Any]) -> str:
    """A registered version with where it stands: `v3 · Production · @champion`."""
    stage = [version["stage"]] if version.get("stage") else []
    return " · ".join([f"v{version['version']}", *stage, *(f"@{alias}" for alias in version.get("aliases") or ())])


_PLURAL = ("metrics", "params", "registered_versions", "outputs", "tags")
