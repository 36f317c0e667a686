"""Runs: found by their ids, then read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from afterglow_store.errors import BadPage
from afterglow_store.filters import And, Comparison, Condition, Order, parse, parse_order
from afterglow_store.filters.condition import Value, any_of
from afterglow_store.filters.fields import FIELDS
from afterglow_store.schema import application, experiment, link, run
from afterglow_store.search.conditions import At, Holds, exists
from afterglow_store.search.deadline import deadline
from afterglow_store.search.drivers import Driver, all_runs, of_run_ids, together
from afterglow_store.search.finding import Mark, Part, Wanted, count_wanted, newest_first, part_of
from afterglow_store.search.marks import AnyMark, as_text, from_text
from afterglow_store.search.ordering import MetricMark, by_anything, by_index, ranked_by
from afterglow_store.search.query import COUNT_LIMIT, Page, Query, Row
from afterglow_store.search.texts import part_of_text
from afterglow_store.status import ORPHANED, OWNER_UNKNOWN, RUNNING
from afterglow_store.usage import add_totals
from afterglow_store.windows import Window

FoundMark = Mark | MetricMark


def search_runs(conn: sa.Connection, query: Query) -> Page:
    """Rows of the run table with `experiment` (its name) and its `workspace`, `applications` ([{id, app_id, name,
    source}]), `core_seconds`, `duration_ms` and `total` (what it and all runs below it used, as `usage.totals` has it).

    Raises BadFilter, BadPage, and TooSlow.
    """
    wanted, orders = wanted_by(conn, query), parse_order(query.order_by, "runs")
    after = None if query.after is None else from_text(query.after)
    with deadline(conn):
        # One more than the page has: it tells whether another page follows.
        marks = _find(conn, wanted, orders, query.offset + query.limit + 1, after)[query.offset :]
        shown = marks[: query.limit]
        total = _total(conn, wanted, query, len(marks)) if query.count else 0
        rows = rows_of(conn, [mark.mark.id if isinstance(mark, MetricMark) else mark.id for mark in shown])
    if len(marks) <= query.limit:
        return Page(rows, total)
    before = (after if isinstance(after, int) else 0) + query.offset
    return Page(rows, total, as_text(_next(shown, orders, before)))


def _total(conn: sa.Connection, wanted: Wanted, query: Query, found: int) -> int:
    """Of a last page that is not empty it is known: `found` are on it."""
    if query.after is None and found <= query.limit and (found or not query.offset):
        return min(query.offset + found, COUNT_LIMIT + 1)
    return count_wanted(conn, wanted, COUNT_LIMIT + 1)


def search_keyed(conn: sa.Connection, query: Query) -> Page:
    """Of the runs that `search_runs` finds, the newest first, the `params`, `metrics` and `tags`, and no more: for who
    asks which of them there are. Without a total.

    Raises BadFilter, BadPage, and TooSlow.
    """
    wanted = wanted_by(conn, query)
    after = None if query.after is None else _expect(from_text(query.after), Mark)
    with deadline(conn):
        marks = newest_first(conn, wanted, query.limit + 1, after)
        shown = marks[: query.limit]
        rows = [dict(row) for row in conn.execute(_KEYED, {"ids": [mark.id for mark in shown]}).mappings()]
    return Page(rows, next=as_text(shown[-1]) if len(marks) > query.limit else None)


def search_runs_of_unknown_owner(conn: sa.Connection, query: Query) -> Page:
    """As `search_runs`: those that MLflow says run, and of which nobody knows whose they are, so that nobody can tell
    whether they do."""
    unknown = f"status = '{RUNNING}' AND status_reason = '{OWNER_UNKNOWN}'"
    both = f"({query.filter}) AND {unknown}" if query.filter.strip() else unknown
    return search_runs(conn, replace(query, filter=both))


def count_runs(conn: sa.Connection, query: Query, most: int = COUNT_LIMIT + 1) -> int:
    """How many runs there are, but at most `most`. Raises BadFilter and TooSlow."""
    with deadline(conn):
        return count_wanted(conn, wanted_by(conn, query), most)


def _find(
    conn: sa.Connection, wanted: Wanted, orders: Sequence[Order], limit: int, after: AnyMark | None
) -> Sequence[FoundMark]:
    if _is_newest_first(orders):
        return newest_first(conn, wanted, limit, _expect(after, Mark))
    if (ranked := ranked_by(orders)) is not None:
        return by_index(conn, wanted, ranked, limit, _expect(after, MetricMark))
    return by_anything(conn, wanted, orders, limit, _expect(after, int) or 0)


def _is_newest_first(orders: Sequence[Order]) -> bool:
    """As the index has them: a second order would decide between those that began in the same millisecond."""
    return not orders or (len(orders) == 1 and orders[0].field.name == "start_time" and orders[0].descending)


def _expect(after: AnyMark | None, kind: type[Any]) -> Any:
    if after is not None and not isinstance(after, kind):
        raise BadPage("that is where a page in another order ended")
    return after


def _next(shown: Sequence[FoundMark], orders: Sequence[Order], before: int) -> AnyMark:
    """Where the page ended that shows these; `before` rows came before it."""
    by_place = not (_is_newest_first(orders) or isinstance(shown[-1], MetricMark))
    return before + len(shown) if by_place else shown[-1]


def rows_of(conn: sa.Connection, ids: Sequence[int]) -> list[Row]:
    """The rows of runs, in the order of their ids here; those that are not there are left out."""
    found = conn.execute(_ROWS, {"ids": list(ids)})
    by_id = {row["id"]: dict(row) for row in found.mappings()}
    rows = [by_id[id_] for id_ in ids if id_ in by_id]
    for row in rows:
        row["core_seconds"] = (row["core_ms"] or 0) / 1000
    add_applications(conn, rows)
    add_totals(conn, rows)
    return rows


def add_applications(conn: sa.Connection, rows: list[Row]) -> None:
    """Give each run row its `applications`, the oldest link first: id, app_id, attempt, start_time (ms), name, status,
    user_name, master, source."""
    by_run: dict[str, list[Row]] = {row["run_id"]: [] for row in rows}
    found = conn.execute(_APPLICATIONS, {"run_ids": list(by_run)})
    for run_id, *rest in found:
        by_run[run_id].append(dict(zip(_OF_LINK, rest, strict=True)))
    for row in rows:
        row["applications"] = by_run[row["run_id"]]


_of_experiment = sa.and_(experiment.c.server == run.c.server, experiment.c.experiment_id == run.c.experiment_id)
_ROWS = (
    sa.select(*run.c, experiment.c.name.label("experiment"), experiment.c.workspace)
    .select_from(run.outerjoin(experiment, _of_experiment))
    .where(run.c.id.in_(sa.bindparam("ids", expanding=True)))
)
_KEYED = sa.select(run.c.params, run.c.metrics, run.c.tags).where(run.c.id.in_(sa.bindparam("ids", expanding=True)))
_a = application.c
_APPLICATIONS = (
    sa.select(
        *(link.c.run_id, _a.id, _a.app_id, _a.attempt, _a.start_time, _a.name, _a.status, _a.user_name, _a.master),
        link.c.source,
    )
    .select_from(link.join(application, _a.id == link.c.application_id))
    .where(link.c.run_id.in_(sa.bindparam("run_ids", expanding=True)))
    .order_by(link.c.first_seen, _a.id)
)
_OF_LINK = ("id", "app_id", "attempt", "start_time", "name", "status", "user_name", "master", "source")


def wanted_by(conn: sa.Connection, query: Query) -> Wanted:
    filter_ = parse(query.filter, "runs", now=query.now)
    conditions: list[Condition] = list(filter_.parts if isinstance(filter_, And) else [filter_] if filter_ else [])
    if query.statuses:
        conditions.append(_comparison("effective_status", "IN", tuple(query.statuses)))
    if query.users:
        conditions.append(_comparison("user", "IN", tuple(query.users)))
    if query.masters:
        conditions.append(_comparison("application.master", "IN", tuple(query.masters)))
    if query.app is not None:
        conditions.append(_either(("application.id", "application.name"), query.app))
    if query.experiment is not None:
        conditions.append(_either(("experiment.id", "experiment.name"), query.experiment))
    if query.server is not None:
        conditions.append(_comparison("server", "=", query.server))
    if query.linked is not None:
        conditions.append(_comparison("linked", "=", query.linked))
    parts = [part_of(each) for each in conditions]
    if query.text:
        parts.append(part_of_text(conn, query.text))
    if query.application_id is not None:
        parts.append(_of_application(query.application_id))
    fenced = conn.dialect.name == "postgresql"
    if query.active and query.window.since is not None:
        parts.append(_active_since(query.window.since))
        return Wanted(parts, Window(until=query.window.until), fenced)
    return Wanted(parts, query.window, fenced)


def _comparison(field: str, operator: str, value: Value) -> Comparison:
    return Comparison(_FIELDS[field], operator, value)


_FIELDS = {field.name: field for field in FIELDS["runs"]}


def _either(fields: tuple[str, str], value: str) -> Condition:
    return any_of(_comparison(field, "=", value) for field in fields)


def _active_since(since: int) -> Part:
    """Started later, ended later, or still running; of an orphaned one nobody knows when it ended: it was there as long
    as its application was heard."""

    def holds(at: At) -> Holds:
        late = sa.or_(at.start_time >= since, at.column("end_time") >= since)
        status = at.column("effective_status")
        return sa.or_(late, status == RUNNING, sa.and_(status == ORPHANED, _heard_since(since, at)))

    each = (
        run.c.start_time >= since,
        run.c.end_time >= since,
        run.c.effective_status == RUNNING,
        sa.and_(run.c.effective_status == ORPHANED, _heard_since(since, all_runs().at)),
    )
    return Part(holds, together([Driver(run.c.id, run.c.start_time, (one,), in_row=True) for one in each]))


def _heard_since(since: int, at: At) -> Holds:
    of_it = sa.and_(link.c.run_id == at.column("run_id"), application.c.id == link.c.application_id)
    return exists(link, application).where(of_it, application.c.last_event_time >= since).exists()


def _of_application(application_id: int) -> Part:
    which = sa.select(link.c.run_id).where(link.c.application_id == application_id)
    return Part(lambda at: at.column("run_id").in_(which), of_run_ids(which))
