"""Registered models, as far as their versions were made of runs that the store has."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from afterglow_store.schema import experiment, registered_version, run
from afterglow_store.search.runs import rows_of

Row = dict[str, Any]

MOST = 1_000  # versions of one model, the latest


def models(conn: sa.Connection, *, text: str = "", most: int) -> list[Row]:
    """Models with this text in their names, the one with the newest run first: server, workspace, name, `versions`
    (how many), `latest` (the highest of them) and `last_run_time` (ms)."""
    v, of = registered_version.c, _from()
    key = (run.c.server, experiment.c.workspace, v.name)
    newest = sa.func.max(run.c.start_time)
    select = (
        sa.select(
            *key,
            sa.func.count().label("versions"),
            sa.func.max(v.version).label("latest"),
            newest.label("last_run_time"),
        )
        .select_from(of)
        .group_by(*key)
        .order_by(newest.desc(), v.name)
        .limit(most)
    )
    if text:
        select = select.where(v.name.icontains(text, autoescape=True))
    return [dict(row) for row in conn.execute(select).mappings()]


def versions(conn: sa.Connection, server: str, workspace: str | None, name: str) -> list[Row]:
    """The versions of a model, the latest first: the rows of their runs, as search_runs gives them, each with
    `version`, `stage` (or None) and `aliases`."""
    v = registered_version.c
    select = (
        sa.select(v.run, v.version)
        .select_from(_from())
        .where(v.name == name, run.c.server == server, experiment.c.workspace.is_not_distinct_from(workspace))
        .order_by(v.version.desc())
        .limit(MOST)
    )
    found = [(row.run, str(row.version)) for row in conn.execute(select)]
    rows = {row["id"]: row for row in rows_of(conn, [id_ for id_, _ in found])}
    return [rows[id_] | _of_version(rows[id_], name, version) for id_, version in found if id_ in rows]


def _of_version(row: Row, name: str, version: str) -> Row:
    said: Row = next((e for e in row["registered_versions"] or () if (e["name"], e["version"]) == (name, version)), {})
    return {"version": version, "stage": said.get("stage"), "aliases": said.get("aliases") or []}


def _from() -> sa.Join:
    of = sa.and_(experiment.c.server == run.c.server, experiment.c.experiment_id == run.c.experiment_id)
    return registered_version.join(run, run.c.id == registered_version.c.run).outerjoin(experiment, of)
