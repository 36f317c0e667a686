"""Suggestions: to which application a run without a link probably belongs, and why. Worked out when asked for, kept
nowhere, and a link only once a person says so.

Same user and same time are needed, and are not enough: a person's plain script beside their own open notebook has both.
So clues (clues.py) have to speak for it and none against it: more of them where many people go by the user's name, or
where the hook was at work in the application, which links its own runs. Where no one application is well ahead of the
others, none is suggested.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from afterglow_store import clues
from afterglow_store.links import INFERRED
from afterglow_store.schema import application, application_conf, job, link
from afterglow_store.search import Row
from afterglow_store.status import RUNNING

LONGEST_MS = 7 * 86_400_000  # applications that are over are looked for this far back; running ones, however old
CLOCKS_MS = 5_000  # run and application tell the time by the same machine's clock, but for Spark Connect clients
UNHEARD_MS = 60_000  # for so long after its last line an application without an end is taken to be there
ENOUGH = 2  # weight of the clues for a suggestion …
SHARED, HOOKED = 1, 2  # … and by how much more, for a shared login and for an application that links its own runs
LEAD = 2  # by how much it has to be ahead of the next one
_CHUNK = 500  # bound values in one statement


@dataclass(frozen=True)
class Suggestion:
    """The application (`application_id`: the store's row id; `start_time` in ms) and the evidence in words."""

    application_id: int
    app_id: str
    start_time: int
    name: str | None
    why: str


@dataclass(frozen=True)
class _Case:
    """What speaks for one application: `ahead` compares it with another one, `enough` is all of it."""

    app: Any
    ahead: int
    enough: int
    words: tuple[str, ...]


def suggest(conn: sa.Connection, runs: Sequence[Row]) -> dict[str, Suggestion]:
    """The suggestion for each of these runs (rows of search_runs) that has no link, by run id. Runs that nothing is
    suggested for are left out."""
    waiting = [row for row in runs if _can_be_asked(row)]
    apps = _by_user(_applications_around(conn, waiting))
    pairs = {
        row["run_id"]: [app for user in clues.users_of(row) for app in apps.get(user, ()) if _in_time(row, app)]
        for row in waiting
    }
    known = _read(conn, {app.id: app for apps_of_it in pairs.values() for app in apps_of_it}, waiting)
    found = {row["run_id"]: _best([_case(row, app, known) for app in pairs[row["run_id"]]]) for row in waiting}
    return {run_id: suggestion for run_id, suggestion in found.items() if suggestion is not None}


def add_suggestions(conn: sa.Connection, rows: Sequence[Row]) -> None:
    """Give each run row its `suggestion`, or None."""
    found = suggest(conn, rows)
    for row in rows:
        row["suggestion"] = found.get(row["run_id"])


def _can_be_asked(row: Row) -> bool:
    """A run whose tags name an application belongs to that one, also where the store does not have it."""
    unlinked = not row["applications"] and row["app_id_tag"] is None
    return unlinked and bool(clues.users_of(row)) and row["start_time"] is not None


def _applications_around(conn: sa.Connection, runs: Sequence[Row]) -> Collection[Any]:
    """The applications of these runs' users that may have been there when one of the runs began."""
    if not runs:
        return []
    a = application.c
    windows = _merged((row["start_time"] - LONGEST_MS, row["start_time"] + CLOCKS_MS) for row in runs)
    recent = sa.or_(*(a.start_time.between(*window) for window in windows))
    long_ago = sa.and_(a.status == RUNNING, a.start_time < max(until for _, until in windows))
    users = sorted({user for row in runs for user in clues.users_of(row)})
    columns = (a.id, a.app_id, a.start_time, a.name, a.user_name, a.driver_host, a.end_time, a.last_event_time,
               a.driver_outcome)  # fmt: skip
    found = {
        app.id: app
        for which in (recent, long_ago)
        for some in _chunks(users)
        for app in conn.execute(sa.select(*columns).where(which, sa.func.lower(a.user_name).in_(some)))
    }
    return found.values()


def _merged(windows: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for since, until in sorted(windows):
        if merged and since <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(until, merged[-1][1]))
        else:
            merged.append((since, until))
    return merged


def _until(app: Any) -> int:
    """When (ms) the application was over, or up to when it is known to have been there."""
    last: int = app.last_event_time or app.start_time
    return app.end_time if app.end_time is not None else last + UNHEARD_MS


def _by_user(apps: Iterable[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for app in apps:
        found.setdefault(app.user_name.lower(), []).append(app)
    return found


def _in_time(row: Row, app: Any) -> bool:
    """Whether the whole run is within the application's time, as far as that is known."""
    began, until = row["start_time"], _until(app) + CLOCKS_MS
    return bool(app.start_time - CLOCKS_MS <= began <= until and (row["end_time"] or began) <= until)


@dataclass(frozen=True)
class _Known:
    """What is read of all candidates at once, by application; `of_parents`, the applications of a run, by run."""

    properties: Mapping[int, Mapping[str, str]]  # Spark's
    jobs: Mapping[int, Sequence[tuple[int, int | None]]]  # start and end (ms) of those that no run is known to have
    hooked: frozenset[int]  # those whose runs the hook has linked
    of_parents: Mapping[str, Collection[int]]


def _read(conn: sa.Connection, apps: Mapping[int, Any], runs: Sequence[Row]) -> _Known:
    ids = sorted(apps)
    told = {application_id for application_id, app in apps.items() if app.driver_outcome is not None}
    parents = sorted({row["parent_run_id"] for row in runs if row["parent_run_id"]})
    return _Known(_properties(conn, ids), _jobs(conn, ids), frozenset(told | _hooked(conn, ids)), _of(conn, parents))


def _properties(conn: sa.Connection, ids: Sequence[int]) -> dict[int, Mapping[str, str]]:
    c = application_conf.c
    conf = sa.select(c.application_id, c.spark_properties)
    rows = (row for some in _chunks(ids) for row in conn.execute(conf.where(c.application_id.in_(some))))
    return {application_id: properties or {} for application_id, properties in rows}


def _jobs(conn: sa.Connection, ids: Sequence[int]) -> dict[int, list[tuple[int, int | None]]]:
    found: dict[int, list[tuple[int, int | None]]] = {}
    own = sa.select(job.c.application_id, job.c.start_time, job.c.end_time)
    own = own.where(job.c.run_id.is_(None), job.c.start_time.is_not(None))
    for some in _chunks(ids):
        for application_id, start, end in conn.execute(own.where(job.c.application_id.in_(some))):
            found.setdefault(application_id, []).append((start, end))
    return found


def _hooked(conn: sa.Connection, ids: Sequence[int]) -> set[int]:
    by_hook = sa.select(link.c.application_id).where(link.c.source != INFERRED).distinct()
    return {each for some in _chunks(ids) for each in conn.scalars(by_hook.where(link.c.application_id.in_(some)))}


def _of(conn: sa.Connection, run_ids: Sequence[str]) -> dict[str, set[int]]:
    """The applications that these runs are linked to."""
    found: dict[str, set[int]] = {}
    links = sa.select(link.c.run_id, link.c.application_id)
    for some in _chunks(run_ids):
        for run_id, application_id in conn.execute(links.where(link.c.run_id.in_(some))):
            found.setdefault(run_id, set()).add(application_id)
    return found


def _case(row: Row, app: Any, known: _Known) -> _Case | None:
    """None where anything speaks against it."""
    telling = (
        clues.host(row, app),
        clues.script(row, app, known.properties.get(app.id, {})),
        clues.parent(app.id, known.of_parents.get(row["parent_run_id"] or "")),
        clues.jobs(row, known.jobs.get(app.id, ())),
    )
    if any(clue.against for clue in telling):
        return None
    common = (clues.spark(row), clues.filling(row, app))
    ahead = sum(clue.weight for clue in telling)
    hooked, shared = app.id in known.hooked, clues.is_shared(row["user_name"])
    said = (*telling[:3], clues.time(row, app), telling[3], *common)
    return _Case(
        app=app,
        ahead=ahead - HOOKED * hooked,
        enough=ahead + sum(clue.weight for clue in common) - HOOKED * hooked - SHARED * shared,
        words=(f"same user {row['user_name']}", *(clue.words for clue in said if clue.words)),
    )


def _best(cases: Sequence[_Case | None]) -> Suggestion | None:
    """The one that is well ahead of all others, if enough speaks for it."""
    ranked = sorted((case for case in cases if case is not None), key=lambda case: -case.ahead)
    if not ranked:
        return None
    best = ranked[0]
    if best.enough < ENOUGH or any(_tied(best, other) for other in ranked[1:]):
        return None
    app = best.app
    return Suggestion(app.id, app.app_id, app.start_time, app.name, ", ".join(best.words))


def _tied(best: _Case, other: _Case) -> bool:
    """Two of one name run the same program: what is known of only one of them does not tell them apart."""
    return best.app.name == other.app.name or best.ahead - other.ahead < LEAD


def _chunks(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (items[at : at + _CHUNK] for at in range(0, len(items), _CHUNK))
