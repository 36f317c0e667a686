"""Tombstones: what a person had erased, and must not come back by sync or ingest. Told by a hash: an id that nobody
knows any more cannot be read out of it, though one that is guessed can be tried."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from afterglow_store.engine import upsert
from afterglow_store.schema import forgotten

RUN, USER, EXPERIMENT = "run", "user", "experiment"
PARENT_TAG = "mlflow.parentRunId"
NOBODY = "(forgotten)"  # stands where a name or id was

Key = tuple[str, str]  # the kind, and the id, name, or server/experiment id


def bury(conn: sa.Connection, keys: Collection[Key], *, time: int, who: str) -> None:
    """Leave a tombstone for each, at `time` (ms)."""
    rows = [{"kind": kind, "id_hash": hash_of(kind, id_), "time": time, "who": who} for kind, id_ in keys]
    upsert(conn, forgotten, rows)


def times(conn: sa.Connection, keys: Collection[Key]) -> dict[Key, int]:
    """When (ms) those of these that were forgotten were."""
    if not any_(conn):
        return {}
    hashes = {hash_of(*key): key for key in keys}
    found = conn.execute(sa.select(forgotten.c.id_hash, forgotten.c.time).where(forgotten.c.id_hash.in_(hashes)))
    return {hashes[row.id_hash]: row.time for row in found}


def any_(conn: sa.Connection) -> bool:
    """Whether anything was ever forgotten."""
    return bool(conn.scalar(sa.select(sa.exists(sa.select(forgotten.c.kind)))))


def left_out(conn: sa.Connection, runs: Sequence[tuple[Mapping[str, Any], str]]) -> set[str]:
    """The ids of those runs, each with its server, that were forgotten: themselves, with the run above them, with their
    experiment, or with their user. What a user began after that is new.

    A run that is left out for its experiment or user gets a tombstone of its own, by which its Spark jobs are known.
    """
    keys = {key for details, server in runs for key in _keys(details, server)}
    gone = times(conn, keys)
    if not gone:
        return set()
    found = {
        details["run_id"]: when
        for details, server in runs
        for key in _keys(details, server)
        if (when := gone.get(key)) is not None and (key[0] != USER or (details.get("start_time") or 0) <= when)
    }
    new = [(RUN, run_id) for run_id in found if (RUN, run_id) not in gone]
    bury(conn, new, time=max(found.values(), default=0), who="")
    return set(found)


def _keys(details: Mapping[str, Any], server: str) -> list[Key]:
    keys = [(RUN, details["run_id"]), (EXPERIMENT, f"{server}/{details['experiment_id']}")]
    keys += [(USER, details["user"])] if details.get("user") else []
    parent = (details.get("tags") or {}).get(PARENT_TAG)
    return [*keys, (RUN, parent)] if parent else keys


def hash_of(kind: str, id_: str) -> str:
    return hashlib.sha256(f"{kind}\0{id_}".encode(errors="surrogatepass")).hexdigest()
