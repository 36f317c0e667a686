"""MLflow tracking servers by their name: one server may be known under several URIs."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from afterglow_store.engine import upsert
from afterglow_store.schema import experiment, run, tracking_server

_USERINFO = re.compile(r"(?<=://)[^/\s@]*@")


def know_server(conn: sa.Connection, name: str, uri: str, aliases: list[str]) -> None:
    upsert(conn, tracking_server, [{"name": name, "uri": plain(uri), "aliases": [plain(each) for each in aliases]}])


def server_of(conn: sa.Connection, run_id: str, uri: str) -> str:
    """As `servers_of`, of one run."""
    return servers_of(conn, [run_id], uri)[run_id]


def servers_of(conn: sa.Connection, run_ids: Collection[str], uri: str) -> dict[str, str]:
    """The name of the server that has each of these runs: as the store knows it, else by its URI, else the URI."""
    known = conn.execute(sa.select(run.c.run_id, run.c.server).where(run.c.run_id.in_(run_ids)))
    found = {row.run_id: str(row.server) for row in known}
    named = _server_at(conn, uri) if len(found) < len(run_ids) else ""
    return {run_id: found.get(run_id, named) for run_id in run_ids}


def _server_at(conn: sa.Connection, uri: str) -> str:
    for name, own_uri, aliases in conn.execute(
        sa.select(tracking_server.c.name, tracking_server.c.uri, tracking_server.c.aliases)
    ):
        if plain(uri) in (own_uri, *(aliases or ())):
            return str(name)
    return plain(uri) or "unknown"


def plain(uri: str) -> str:
    """The URI without user, password and closing slash: so two who know the same server name it alike."""
    return _USERINFO.sub("", uri).rstrip("/")


def servers(conn: sa.Connection) -> list[dict[str, Any]]:
    """All known servers: the columns of `tracking_server`. Times are ms since 1970."""
    rows = conn.execute(sa.select(tracking_server).order_by(tracking_server.c.name))
    return [dict(row._mapping) for row in rows]


def synced(conn: sa.Connection, name: str, time: int, error: str | None = None) -> None:
    """Note how the last sync of a server went at `time` (ms)."""
    values: dict[str, Any] = {"last_error": error}
    values["last_sync_time" if error is None else "last_error_time"] = time
    conn.execute(sa.update(tracking_server).where(tracking_server.c.name == name).values(**values))


def server_named(conn: sa.Connection, name: str) -> dict[str, Any]:
    """The row of a server that `know_server` made."""
    row = conn.execute(sa.select(tracking_server).where(tracking_server.c.name == name)).one()
    return dict(row._mapping)


def experiments_made(conn: sa.Connection, name: str) -> dict[str, int]:
    """When (ms) the server made each of its experiments, by their ids, where that is known."""
    e = experiment.c
    asked = sa.select(e.experiment_id, e.created_time).where(e.server == name, e.created_time.is_not(None))
    return {row.experiment_id: row.created_time for row in conn.execute(asked)}


def workspaces_of(conn: sa.Connection, run_ids: Sequence[str]) -> dict[str, str | None]:
    """The workspaces of the experiments of those runs that the store has, by run id; None is MLflow's default one."""
    of_it = sa.and_(experiment.c.server == run.c.server, experiment.c.experiment_id == run.c.experiment_id)
    asked = sa.select(run.c.run_id, experiment.c.workspace).select_from(run.outerjoin(experiment, of_it))
    return {row.run_id: row.workspace for row in conn.execute(asked.where(run.c.run_id.in_(run_ids)))}


def note_progress(conn: sa.Connection, name: str, **columns: int | None) -> None:
    """Set `columns` of `tracking_server`: how far the first load, or the sweep, of a server is."""
    if columns:
        conn.execute(sa.update(tracking_server).where(tracking_server.c.name == name).values(**columns))
