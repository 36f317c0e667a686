"""The true status of applications and runs: decided here and nowhere else, from the evidence in the rows.

Ingest, sync and the judge (who counts the silence) change the evidence, and then ask for a new decision. So what one of
them finds out never flaps against another, and everything is taken back once the evidence is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from afterglow_store.batch import BEATING
from afterglow_store.schema import application, job, link, owner, run, source

RUNNING, SUCCEEDED, FAILED, LOST, ENDED = "RUNNING", "SUCCEEDED", "FAILED", "LOST", "ENDED"
FINISHED, ORPHANED, SUSPECT = "FINISHED", "ORPHANED", "SUSPECT"

BEATS = sa.and_(source.c.writer.in_(BEATING), source.c.connect_session.is_(None))
OWNER_UNKNOWN = "owner unknown"
LOG_STOPPED = "its event log just stops: it tells no end, and has not grown for long"
_MAX_REASON = 300  # characters
_TRACEBACK = "Traceback (most recent call last):"
_CHUNK = 500  # bound values in one statement

Verdict = tuple[str | None, str | None]  # status, reason


def decide_application(conn: sa.Connection, application_id: int) -> bool:
    """As `decide_applications`, of one."""
    return bool(decide_applications(conn, [application_id]))


def decide_applications(conn: sa.Connection, application_ids: Collection[int]) -> int:
    """Set the applications' status, its reason and their end from the evidence in their rows. How many it changed.

    Spark's own ExitCode is no evidence: in client mode it is 0 whatever happened.
    """
    changed = []
    heard = _heard(conn, application_ids)
    for row in conn.execute(sa.select(application).where(application.c.id.in_(application_ids))):
        status, reason = _of_application(row, heard.get(row.id))
        over = status in (SUCCEEDED, FAILED, ENDED)
        end_time = (row.spark_end_time or row.last_event_time) if over else None
        if (status, reason, end_time) != (row.status, row.status_reason, row.end_time):
            changed.append({"which": row.id, "status": status, "status_reason": reason, "end_time": end_time})
    if changed:
        conn.execute(_DECIDED, changed)
    return len(changed)


_DECIDED = (
    sa.update(application)
    .where(application.c.id == sa.bindparam("which"))
    .values({name: sa.bindparam(name) for name in ("status", "status_reason", "end_time")})
)


def _heard(conn: sa.Connection, application_ids: Collection[int]) -> dict[int, Any]:
    """When (ms, the server's clock; `updated_time`) a journal that beats for each application last said anything, and
    the number of that event (`last_seq`); nothing of those without such a journal.

    A Connect client beats for its session only, and a plain event log says nothing for hours.
    """
    columns = (source.c.application_id, source.c.updated_time, source.c.last_seq)
    found = sa.select(*columns).where(source.c.application_id.in_(application_ids), BEATS)
    return {row.application_id: row for row in conn.execute(found.order_by(source.c.updated_time))}


def revive(conn: sa.Connection, application_ids: Collection[int]) -> None:
    """Of these, whose event logs have gone on, nobody is gone."""
    a = application.c
    beats = sa.select(source.c.id).where(source.c.application_id == a.id, BEATS)
    silent = sa.and_(a.id.in_(application_ids), a.status == LOST, ~beats.exists())
    conn.execute(sa.update(application).where(silent).values(gone=False))


def _of_application(row: Any, heard: Any) -> Verdict:
    silent = row.gone or row.silent_ms is not None
    if row.context_error is not None:
        return FAILED, row.context_error  # whatever its driver made of that
    if row.driver_outcome == "exception":
        return FAILED, row.driver_error
    if row.driver_outcome == "clean" and (silent or row.spark_end_time is not None):
        return SUCCEEDED, None  # without Spark's own end, the JVM was killed when the driver was done
    if row.spark_end_time is not None:
        return ENDED, "It is over, but nothing saw how: the Python hook, where it was loaded, saw no end of its driver"
    if heard is None:
        return (LOST, LOG_STOPPED) if row.gone else (RUNNING, "it sends no heartbeats: its end may go unnoticed")
    if row.gone:
        number = "" if heard.last_seq is None else f", event {heard.last_seq:,}"
        return (
            LOST,
            f"last heard {datetime.fromtimestamp(heard.updated_time / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC{number}",
        )
    if silent:
        return RUNNING, f"no heartbeat for {row.silent_ms // 1000} s"
    return RUNNING, None


def runs_of(conn: sa.Connection, application_ids: Collection[int], exited: Collection[int] = ()) -> set[str]:
    """The runs of these applications whose status hangs on who is alive; all of them of the `exited` ones, whose driver
    has just told its end, and with that something of finished runs, too."""
    joined = link.join(run, run.c.run_id == link.c.run_id)
    found = sa.select(link.c.run_id).select_from(joined).where(link.c.application_id.in_(application_ids))
    hang = sa.or_(run.c.status == RUNNING, link.c.application_id.in_(exited)) if exited else run.c.status == RUNNING
    return set(conn.scalars(found.where(hang)))


def decide_runs(conn: sa.Connection, run_ids: Collection[str]) -> int:
    """Set the effective status of these runs and its reason. How many it changed. Ids without a row do nothing."""
    changed: list[dict[str, Any]] = []
    for some in _chunks(sorted(set(run_ids))):
        columns = (run.c.run_id, run.c.status, run.c.failed_jobs, run.c.effective_status, run.c.status_reason)
        rows = conn.execute(sa.select(*columns).where(run.c.run_id.in_(some))).all()
        evidence = _evidence(conn, rows)
        for row in rows:
            status, reason = _of_run(row, evidence)
            if (status, reason) != (row.effective_status, row.status_reason):
                changed.append({"which": row.run_id, "effective_status": status, "status_reason": reason})
    if changed:
        values: dict[str, Any] = {name: sa.bindparam(name) for name in ("effective_status", "status_reason")}
        conn.execute(sa.update(run).where(run.c.run_id == sa.bindparam("which")).values(values), changed)
    return len(changed)


def at_first(status: str | None) -> Verdict:
    """Of a run that nothing is known of but what MLflow says: what `decide_runs` makes of most, which it then need not
    write again."""
    return (RUNNING, OWNER_UNKNOWN) if status == RUNNING else (status, None)


@dataclass(frozen=True)
class Process:
    """One that a run was active in, and what became of it."""

    application_id: int
    alive: bool
    fate: str
    outcome: str | None = None  # clean, exception
    error: str | None = None
    end_time: int = 0  # ms: when the run ended in it
    ended_at_exit: bool = False


@dataclass(frozen=True)
class Evidence:
    """What is known of some runs, by run id."""

    owners: dict[str, list[Process]]
    linked: dict[str, set[int]]  # linked applications that are alive
    job_errors: dict[str, str]


def _of_run(row: Any, evidence: Evidence) -> Verdict:
    if row.status == RUNNING:
        return _of_running(evidence.owners.get(row.run_id, []), evidence.linked.get(row.run_id, set()))
    if row.status == FINISHED:
        last = max(evidence.owners.get(row.run_id, []), key=lambda each: each.end_time, default=None)
        if last is not None and last.ended_at_exit and last.outcome == "exception":
            return SUSPECT, "open until its driver died of " + shortened(last.error or "an exception")
    if row.status == FAILED:
        return FAILED, evidence.job_errors.get(row.run_id)
    return row.status, None


def _of_running(owners: list[Process], linked: set[int]) -> Verdict:
    if not owners:
        return RUNNING, OWNER_UNKNOWN
    if any(each.alive for each in owners) or linked - {each.application_id for each in owners}:
        return RUNNING, None
    return ORPHANED, owners[-1].fate


def _evidence(conn: sa.Connection, rows: Collection[Any]) -> Evidence:
    running = [row.run_id for row in rows if row.status == RUNNING]
    owned = running + [row.run_id for row in rows if row.status == FINISHED]
    failed = [row.run_id for row in rows if row.status == FAILED and row.failed_jobs]
    owners: dict[str, list[Process]] = {}
    linked: dict[str, set[int]] = {}
    for run_id, process in _owners(conn, owned):
        owners.setdefault(run_id, []).append(process)
    for each in _links(conn, running):
        if each.source == "executor":
            owners.setdefault(each.run_id, []).append(_application_itself(each))
        if each.status == RUNNING:
            linked.setdefault(each.run_id, set()).add(each.application_id)
    return Evidence(owners, linked, _job_errors(conn, failed))


def _owners(conn: sa.Connection, run_ids: list[str]) -> Iterator[tuple[str, Process]]:
    if not run_ids:
        return
    s, a = source.c, application.c
    joined = owner.join(source, s.id == owner.c.source_id).join(application, a.id == s.application_id)
    found = conn.execute(
        sa.select(
            *owner.c, s.application_id, s.connect_session, a.app_id, a.status, a.gone, a.driver_outcome, a.driver_error,
            s.gone.label("client_gone"), s.driver_outcome.label("client_outcome"),
            s.driver_error.label("client_error"),
        )
        .select_from(joined)
        .where(owner.c.run_id.in_(run_ids))
        .order_by(s.id)
    )  # fmt: skip
    for row in found:
        yield row.run_id, _client(row) if row.connect_session is not None else _driver(row)


def _client(row: Any) -> Process:
    alive = row.client_outcome is None and not row.client_gone
    fate = f"its Spark Connect client of application {row.app_id} is gone"
    return Process(row.application_id, alive, fate, row.client_outcome, row.client_error, *_end(row))


def _driver(row: Any) -> Process:
    """A driver may outlive its application, when it stops Spark and works on: then only its exit or silence tells."""
    alive = row.driver_outcome is None and not row.gone
    return Process(row.application_id, alive, _fate(row), row.driver_outcome, row.driver_error, *_end(row))


def _application_itself(row: Any) -> Process:
    return Process(row.application_id, row.status == RUNNING, _fate(row))


def _fate(row: Any) -> str:
    return f"its driver is gone: application {row.app_id} is {row.status}"


def _end(row: Any) -> tuple[int, bool]:
    return row.end_time or 0, bool(row.ended_at_exit)


def _links(conn: sa.Connection, run_ids: list[str]) -> list[Any]:
    if not run_ids:
        return []
    joined = link.join(application, application.c.id == link.c.application_id)
    columns = (*link.c, application.c.app_id, application.c.status)
    counts = sa.and_(link.c.run_id.in_(run_ids), link.c.source != "inferred")
    return list(conn.execute(sa.select(*columns).select_from(joined).where(counts).order_by(link.c.application_id)))


def _job_errors(conn: sa.Connection, run_ids: list[str]) -> dict[str, str]:
    """The error of each run's last failed Spark job."""
    if not run_ids:
        return {}
    failed = sa.select(job.c.run_id, job.c.error).where(job.c.run_id.in_(run_ids), job.c.status == FAILED)
    in_order = conn.execute(failed.order_by(job.c.end_time, job.c.job_id))
    return {run_id: shortened(error or "a Spark job failed") for run_id, error in in_order}


def shortened(error: str) -> str:
    """The first line of an error, of at most 300 characters. Where that only says that Python's traceback follows, what
    the traceback ends with takes its place."""
    line, _, rest = error.strip().partition("\n")
    if line.rstrip().endswith(_TRACEBACK):
        raised = next((each for each in rest.splitlines() if each and not each[0].isspace()), "")
        line = line.rstrip().removesuffix(_TRACEBACK) + raised
    line = line.rstrip()
    return line if len(line) <= _MAX_REASON else line[: _MAX_REASON - 1] + "…"


def _chunks(items: list[str]) -> Iterator[list[str]]:
    return (items[at : at + _CHUNK] for at in range(0, len(items), _CHUNK))
