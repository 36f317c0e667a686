"""The tasks of an event log's stages, added up over its stretches and files into the stages' rows.

The listener adds them up in the driver and says only the sums; an event log has each task. Here too the sums replace
those of Spark's accumulators, which close when their stage ends, before its last tasks do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

import sqlalchemy as sa

from afterglow_store.batch import Batch
from afterglow_store.engine import upsert
from afterglow_store.event_logs.stage_tasks import StageKey, StageTasks
from afterglow_store.event_logs.summing import TaskSums, from_json, together
from afterglow_store.events import stage_tasks
from afterglow_store.schema import source, stage, task_sums


def add_tasks(conn: sa.Connection, batch: Batch) -> None:
    """Put what the tasks add up to, of each stage that the batch has tasks, the beginning or the end of. Raises as
    `stage_tasks`."""
    keys = batch.tasks.keys() | batch.begun_stages | batch.ended_stages
    if not keys or not batch.with_tasks:
        return
    before = _stored(conn, batch.earlier_parts, keys)
    mine = {} if batch.is_new else _stored(conn, [batch.source_id], keys)
    if batch.log_over:
        keys = before.keys() | mine.keys()  # of all others the account is closed
    for key in sorted(keys):
        _add(batch, key, mine.setdefault(key, TaskSums()), before.get(key))
    complete = _complete(batch) if batch.ended_time is not None else set()
    upsert(conn, task_sums, [_row(batch.source_id, key, mine[key]) for key in sorted(keys - complete)])


def close_accounts(conn: sa.Connection, batches: Iterable[Batch]) -> None:
    """Of those whose logs have told the application's end, but for the stages that are not complete: the tasks of a job
    that is cancelled, or failed, at the very end are told as killed after that."""
    for batch in batches:
        if batch.of_log and batch.ended_time is not None and not batch.is_new:
            _close(conn, batch)


def _add(batch: Batch, key: StageKey, mine: TaskSums, before: TaskSums | None) -> None:
    """`before`: what is in the files before this one."""
    tasks, ends = batch.tasks.get(key) or StageTasks(), key in batch.ended_stages
    over, skew = mine.ended or (before is not None and before.ended), {}
    mine.begun = mine.begun or key in batch.begun_stages
    mine.take(tasks.before, late=over)
    if ends and not over:
        skew = (together(before, mine) if before else mine).skew()
    mine.take(tasks.after, late=True)
    mine.ended = mine.ended or ends
    total = together(before, mine) if before else mine
    if total.begun:
        stage_tasks(batch, total.event(*key) | ({"Skew": skew} if skew else {}))


def _stored(conn: sa.Connection, sources: Sequence[int], keys: Collection[StageKey]) -> dict[StageKey, TaskSums]:
    t, found = task_sums.c, defaultdict[StageKey, list[TaskSums]](list)
    if sources:
        stages = t.stage_id.between(min(keys)[0], max(keys)[0])
        of_these = sa.select(t.stage_id, t.attempt, t.sums).where(t.source_id.in_(sources), stages)
        for stage_id, attempt, sums in conn.execute(of_these.order_by(t.source_id)):
            if (stage_id, attempt) in keys:
                found[stage_id, attempt].append(from_json(sums))
    return {key: together(*parts) for key, parts in found.items()}


def _row(source_id: int, key: StageKey, sums: TaskSums) -> dict[str, object]:
    return {"source_id": source_id, "stage_id": key[0], "attempt": key[1], "sums": sums.as_json()}


def _complete(batch: Batch) -> set[StageKey]:
    """The stages whose end the batch tells, with nothing gone wrong."""
    return {(key[0], key[1]) for key, row in batch.rows.get(stage, {}).items() if row.get("status") == "COMPLETE"}


def _close(conn: sa.Connection, batch: Batch) -> None:
    """Of all its files, those among them that Spark has compacted meanwhile."""
    of_it = sa.select(source.c.id).where(source.c.application_id == batch.application_id)
    complete = sa.exists().where(
        stage.c.application_id == batch.application_id,
        stage.c.stage_id == task_sums.c.stage_id,
        stage.c.attempt == task_sums.c.attempt,
        stage.c.status == "COMPLETE",
    )
    conn.execute(sa.delete(task_sums).where(task_sums.c.source_id.in_(of_it), complete))
    conn.execute(sa.update(source).where(source.c.id == batch.source_id).values(told_end=True))
