"""How SQL executions ended in logs of Spark before 3.4, that do not say it: they failed if a job of theirs did.

So a History Server has it. A job may be told as failed after its execution's end, and in another stretch of the log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import sqlalchemy as sa

from afterglow_store.batch import Batch
from afterglow_store.schema import application, job, sql_execution

TOLD_SINCE = (3, 4)


def fail_by_jobs(conn: sa.Connection, batches: Iterable[Batch]) -> None:
    changed = {
        each.application_id for each in batches if each.of_log and (job in each.rows or sql_execution in each.rows)
    }
    versions = sa.select(application.c.id, application.c.spark_version).where(application.c.id.in_(changed))
    for row in conn.execute(versions).all() if changed else ():
        if not tells_how_sql_ended(row.spark_version):
            _fail_by_jobs(conn, row.id)


def tells_how_sql_ended(spark_version: str | None) -> bool:
    numbers = re.match(r"(\d+)\.(\d+)", spark_version or "")
    return numbers is None or (int(numbers[1]), int(numbers[2])) >= TOLD_SINCE


def _fail_by_jobs(conn: sa.Connection, application_id: int) -> None:
    failed = (
        sa.select(job.c.execution_id, job.c.error)
        .join(sql_execution, sa.and_(
            sql_execution.c.application_id == job.c.application_id,
            sql_execution.c.execution_id == job.c.execution_id,
        ))
        .where(
            job.c.application_id == application_id, job.c.status == "FAILED", sql_execution.c.status == "COMPLETED"
        )
        .order_by(job.c.job_id.desc())
    )  # fmt: skip
    errors = {row.execution_id: row.error for row in conn.execute(failed)}  # of an execution's first job
    for execution_id, error in errors.items():
        of_it = (sql_execution.c.application_id == application_id, sql_execution.c.execution_id == execution_id)
        conn.execute(sa.update(sql_execution).where(*of_it).values(status="FAILED", error=error))
