"""Who sees what, held below every query: on a connection of a scope, each table has only the rows that it may see.

Before such a connection asks anything, the statement is given views of its tables, under the tables' own names
(`WITH run AS (SELECT * FROM main.run WHERE …)`). So lists, totals, facets and whatever is asked tomorrow agree, and
none of them has to think of it. A table that is not known here is empty. Without a scope nothing is added, nor slower.

A run is visible by its experiment, its workspace and its user; an experiment by itself, or for a run that is; an
application for a run that is, or, where it has no run at all, by its user. Everything else goes with these three.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from afterglow_store.errors import BadScope
from afterglow_store.schema import application, metadata

SCOPE = "afterglow_scope"  # execution option: whose eyes this connection has

_QUERY = re.compile(r"\s*(?:(?P<with>WITH\s+(?P<recursive>RECURSIVE\s+)?)|\(*\s*SELECT\b)", re.IGNORECASE)
_HARMLESS = re.compile(r"\s*(?:BEGIN|SET LOCAL)\b", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_TABLES = frozenset(metadata.tables)
ESCAPE = "!"


@dataclass(frozen=True)
class Grant:
    """Runs that somebody sees: all for which each condition holds that is given, by patterns of `like`."""

    experiments: tuple[str, ...] | None = None  # names
    workspaces: tuple[str, ...] | None = None
    users: tuple[str, ...] | None = None  # as whom they ran


@dataclass(frozen=True)
class Scope:
    """What any of the grants gives; without one, nothing."""

    grants: tuple[Grant, ...] = ()


NOTHING = Scope()


def like(pattern: str) -> str:
    """Of a pattern in which * is any text and ? any character."""
    return exactly(pattern).replace("*", "%").replace("?", "_")


def exactly(text: str) -> str:
    """Of a text that means itself."""
    if "\0" in text:
        raise BadScope("a name has no character 0")
    return re.sub(f"[{ESCAPE}%_]", rf"{ESCAPE}\g<0>", text)


def hide(conn: sa.Connection, statement: str) -> str:
    """The statement as the scope of its connection may ask it; as it is, where there is none."""
    scope = conn.get_execution_options().get(SCOPE)
    if scope is None or _HARMLESS.match(statement):
        return statement
    return _with_views(statement, scope, conn.dialect.name, _schema(conn))


@functools.lru_cache(maxsize=500)
def _with_views(statement: str, scope: Scope, dialect: str, schema: str) -> str:
    found = _QUERY.match(statement)
    if found is None:
        raise BadScope(f"a connection of a scope only reads: {statement[:60]}")
    views = _views(frozenset(_WORD.findall(statement)) & _TABLES, scope, dialect, schema)
    if not views:
        return statement
    if not found["with"]:
        return f"WITH {views} {statement}"
    return f"WITH {found['recursive'] or ''}{views}, {statement[found.end() :]}"


def _schema(conn: sa.Connection) -> str:
    """Where the real tables are."""
    if conn.dialect.name == "sqlite":
        return "main"
    return str(conn.dialect.default_schema_name)


def _views(tables: frozenset[str], scope: Scope, dialect: str, schema: str) -> str:
    """Of the tables whose names are in the statement: each has to be read and planned anew with it."""
    views = ", ".join(
        f"{table.name} AS NOT MATERIALIZED (SELECT {_columns(table, scope, schema)} FROM {schema}.{table.name} AS x "
        f"WHERE {_rows(table.name, scope, schema)})"
        for table in map(metadata.tables.__getitem__, sorted(tables))
    )
    return views.replace("%", "%%") if dialect == "postgresql" else views  # psycopg takes one for a placeholder


def _columns(table: sa.Table, scope: Scope, schema: str) -> str:
    if table is not application:
        return "x.*"
    counts = _counts_of_application(scope, schema)
    return ", ".join(f'{counts[c.name]} AS "{c.name}"' if c.name in counts else f'x."{c.name}"' for c in table.columns)


def _rows(table: str, scope: Scope, schema: str) -> str:
    rule = _RULES.get(table)
    return "1 = 0" if rule is None else rule(scope, schema)


# -- what is visible, of a row x of each table -----------------------------------------------------------------------


def _run(scope: Scope, schema: str, x: str = "x") -> str:
    return _any(_run_by(grant, schema, x) for grant in scope.grants)


def _run_by(grant: Grant, schema: str, x: str) -> str:
    """By one statement for both: an experiment's name and its workspace may be of one grant."""
    of = [
        _matches(f"e.{column}", patterns)
        for column, patterns in (("name", grant.experiments), ("workspace", grant.workspaces))
        if patterns is not None
    ]
    conditions = [] if grant.users is None else [_matches(f"{x}.user_name", grant.users)]
    if of:
        which = f"SELECT e.server, e.experiment_id FROM {schema}.experiment AS e WHERE {' AND '.join(of)}"
        conditions.append(f"({x}.server, {x}.experiment_id) IN ({which})")
    return " AND ".join(conditions) or "1 = 1"


def _experiment(scope: Scope, schema: str) -> str:
    itself = _any(
        " AND ".join(
            _matches(f"x.{column}", patterns)
            for column, patterns in (("name", grant.experiments), ("workspace", grant.workspaces))
            if patterns is not None
        )
        or "1 = 1"
        for grant in scope.grants
        if grant.users is None
    )
    runs = f"SELECT 1 FROM {schema}.run AS r WHERE r.server = x.server AND r.experiment_id = x.experiment_id"
    return f"({itself}) OR EXISTS ({runs} AND ({_run(scope, schema, 'r')}))"


def _application(scope: Scope, schema: str, x: str = "x") -> str:
    links = f"SELECT 1 FROM {schema}.link AS l WHERE l.application_id = {x}.id"
    seen = f"EXISTS (SELECT 1 FROM {_runs_of(scope, schema, x)})"
    alone = _any(
        "1 = 1" if grant.users is None else _matches(f"{x}.user_name", grant.users)
        for grant in scope.grants
        if grant.experiments is None and grant.workspaces is None
    )
    return f"{seen} OR (({alone}) AND NOT EXISTS ({links}))"


def _runs_of(scope: Scope, schema: str, x: str) -> str:
    """What follows FROM, for the visible runs `r` of an application."""
    joined = f"{schema}.link AS l JOIN {schema}.run AS r ON r.run_id = l.run_id"
    return f"{joined} WHERE l.application_id = {x}.id AND ({_run(scope, schema, 'r')})"


def _counts_of_application(scope: Scope, schema: str) -> dict[str, str]:
    """What its row counts, counted anew of what is visible. What it used is of all that ran in it."""
    runs, jobs = _runs_of(scope, schema, "x"), f"{schema}.job AS j WHERE j.application_id = x.id AND "
    seen = _of_run(scope, schema, "j", or_of_none=True)
    return {
        "runs": f"(SELECT count(*) FROM {runs})",
        "failed_runs": f"(SELECT count(*) FROM {runs} AND r.effective_status = 'FAILED')",
        "experiments": f"(SELECT count(DISTINCT r.server || '/' || r.experiment_id) FROM {runs})",
        "jobs": f"(SELECT count(*) FROM {jobs}({seen}))",
        "failed_jobs": f"(SELECT count(*) FROM {jobs}({seen}) AND j.status = 'FAILED')",
    }


def _of_run(scope: Scope, schema: str, x: str, *, column: str = "run_id", or_of_none: bool = False) -> str:
    """Whether the run is visible that a row names; `or_of_none`: or it names none."""
    runs = f"SELECT 1 FROM {schema}.run AS r WHERE r.run_id = {x}.{column} AND ({_run(scope, schema, 'r')})"
    return (f"{x}.{column} IS NULL OR " if or_of_none else "") + f"EXISTS ({runs})"


def _of_application(scope: Scope, schema: str) -> str:
    which = f"SELECT 1 FROM {schema}.application AS a WHERE a.id = x.application_id"
    return f"EXISTS ({which} AND ({_application(scope, schema, 'a')}))"


def _by_number(scope: Scope, schema: str) -> str:
    """What search finds runs by."""
    return f"EXISTS (SELECT 1 FROM {schema}.run AS r WHERE r.id = x.run AND ({_run(scope, schema, 'r')}))"


def _part(scope: Scope, schema: str) -> str:
    """Of an application, and served a visible run or none."""
    return f"({_of_application(scope, schema)}) AND ({_of_run(scope, schema, 'x', or_of_none=True)})"


def _stage(scope: Scope, schema: str) -> str:
    same = "j.application_id = x.application_id AND j.job_id = x.job_id"
    seen = _of_run(scope, schema, "j", or_of_none=True)
    job = f"SELECT 1 FROM {schema}.job AS j WHERE {same} AND ({seen})"
    return f"({_of_application(scope, schema)}) AND (x.job_id IS NULL OR EXISTS ({job}))"


def _link(scope: Scope, schema: str) -> str:
    return _of_run(scope, schema, "x")


def _snapshot(scope: Scope, schema: str, x: str = "x") -> str:
    return f"{x}.item_type = 'run' AND {_of_run(scope, schema, x, column='item_id')}"


def _snapshot_content(scope: Scope, schema: str) -> str:
    which = f"SELECT 1 FROM {schema}.snapshot AS s WHERE s.content_hash = x.content_hash"
    return f"EXISTS ({which} AND ({_snapshot(scope, schema, 's')}))"


def _everything(_scope: Scope, _schema: str) -> str:
    return "1 = 1"


_RULES: dict[str, Callable[[Scope, str], str]] = {
    "run": _run,
    "experiment": _experiment,
    "application": _application,
    "application_conf": _of_application,
    "executor": _of_application,
    "source": _of_application,
    "job": _part,
    "sql_execution": _part,
    "stage": _stage,
    "link": _link,
    "owner": _link,
    "audit_entry": _link,
    "run_term": _by_number,
    "run_metric": _by_number,
    "registered_version": _by_number,
    "snapshot": _snapshot,
    "snapshot_content": _snapshot_content,
    "tracking_server": _everything,  # which servers there are, and when they were read
    "background_job": _everything,  # who does what, and when it was done
}


def _any(conditions: Iterable[str]) -> str:
    return " OR ".join(f"({each})" for each in conditions) or "1 = 0"


def _matches(column: str, patterns: tuple[str, ...]) -> str:
    each = [f"{column} LIKE {_quoted(pattern)} ESCAPE '{ESCAPE}'" for pattern in patterns]
    return f"({' OR '.join(each) or '1 = 0'})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
