"""Runs by a text that is in their names, in their ids, or in the names of their experiments, whatever its case.

No index tells that. But names are few where jobs name their runs: each is looked at once, and an index has the runs of
it. An id is 32 hexadecimal digits, so that most texts are in none. Otherwise all runs are gone through, newest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from afterglow_store.engine import among, has_index
from afterglow_store.schema import ID_DIGITS, ID_LENGTH, NAMES, OTHER_ID, experiment, run
from afterglow_store.search.conditions import At, Holds
from afterglow_store.search.drivers import Driver, together
from afterglow_store.search.finding import Part
from afterglow_store.visibility import SCOPE

MOST = 2_000  # names that are looked at, one after the other: some ms; and of what else may have a text
LARGE = 10_000  # runs with a text are soon met newest first: no index is needed to lead to them


def part_of_text(conn: sa.Connection, text: str) -> Part:
    return Part(lambda at: _holds(text, at), None if _may_be_in_ids(text) else _driver(conn, text))


def _holds(text: str, at: At) -> Holds:
    e, of = experiment.c, sa.tuple_(at.column("server"), at.column("experiment_id"))
    of_these = of.in_(sa.select(e.server, e.experiment_id).where(_has(e.name, text)))
    return sa.or_(_has(at.column("name"), text), _has(at.column("run_id"), text), of_these)


def _has(column: sa.ColumnElement[Any], text: str) -> Holds:
    return column.icontains(text, autoescape=True)


def _may_be_in_ids(text: str) -> bool:
    """Whether many an id may have it; one that is as long as an id is looked up."""
    return len(text) < ID_LENGTH and set(text.lower()) <= set(ID_DIGITS)


def _driver(conn: sa.Connection, text: str) -> Driver | None:
    """None where so many runs may have it that they are soon met, or where nothing leads to them."""
    ways = _ways(conn, text)
    if ways is None or any(_is_large(conn, way) for way in ways):
        return None
    of_any = ways or [sa.false()]
    return together([Driver(run.c.id, run.c.start_time, (way,), in_order=False, in_row=True) for way in of_any])


def _is_large(conn: sa.Connection, way: Holds) -> bool:
    return conn.scalar(sa.select(run.c.id).where(way).limit(1).offset(LARGE)) is not None


def _ways(conn: sa.Connection, text: str) -> list[Holds] | None:
    """What is true of the runs that have it, for one reason or another, and can be looked up. None where there are too
    many names to look at each, or no index of them; and for who may not see all runs: from one name that is seen to the
    next there may be any number of others."""
    if conn.get_execution_options().get(SCOPE) is not None or not has_index(conn, NAMES):
        return None
    r, names, others, experiments = run.c, _names_with(conn, text), _other_ids(conn), _experiments_with(conn, text)
    if names is None or MOST in (len(others), len(experiments)):
        return None
    ids = [each for each in others if text.lower() in each.lower()] + [text.lower()] * (len(text) == ID_LENGTH)
    ways = (
        (names, among(conn, r.name, names)),
        (ids, among(conn, r.run_id, ids)),
        (experiments, sa.tuple_(r.server, r.experiment_id).in_(experiments)),
    )
    return [way for there, way in ways if there]


def _names_with(conn: sa.Connection, text: str) -> list[str] | None:
    """The names with this text; None where there are too many to look at each."""
    found = conn.execute(_EACH_NAME.where(sa.or_(_number == MOST, _has(_name, text)))).all()
    return None if any(row.number == MOST for row in found) else [row.name for row in found]


def _each_name() -> sa.CTE:
    """From each to the next one in the index, with its number."""
    first = sa.select(sa.func.min(run.c.name).label("name"), sa.literal(1).label("number"))
    each = first.cte("each_name", recursive=True)
    r = run.alias()
    following = sa.select(sa.func.min(r.c.name)).where(r.c.name > each.c.name).scalar_subquery()
    more = sa.select(following, each.c.number + 1).where(each.c.name.is_not(None), each.c.number < MOST)
    return each.union_all(more)


_each = _each_name()
_name, _number = _each.c.name, _each.c.number
_EACH_NAME = sa.select(_name, _number).where(_name.is_not(None))


def _other_ids(conn: sa.Connection) -> Sequence[str]:
    """All ids that are not as MLflow makes them, at most MOST. For those with the text PostgreSQL would go through all
    runs: it thinks that most are such."""
    return conn.scalars(sa.select(run.c.run_id).where(sa.text(OTHER_ID)).order_by(run.c.run_id).limit(MOST)).all()


def _experiments_with(conn: sa.Connection, text: str) -> list[tuple[str, str]]:
    e = experiment.c
    found = conn.execute(sa.select(e.server, e.experiment_id).where(_has(e.name, text)).limit(MOST))
    return [(row.server, row.experiment_id) for row in found]
