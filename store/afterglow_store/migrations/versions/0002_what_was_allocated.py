"""What was allocated, what of it no run used, and the most memory that was held"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

PEAKS = ("peak_execution_memory_bytes", "peak_heap_bytes")

# What of an application that is in the store already follows from its rows. Its peaks were never written down.
ALLOCATED = """
UPDATE application SET allocated_core_ms = (
    SELECT CAST(SUM(e.cores * CASE WHEN t.until > e.added_time THEN t.until - e.added_time ELSE 0 END) AS BIGINT)
    FROM executor e JOIN (
        SELECT x.application_id, x.executor_id,
               COALESCE(x.removed_time, a.spark_end_time, a.last_event_time) AS until
        FROM executor x JOIN application a ON a.id = x.application_id
    ) t ON t.application_id = e.application_id AND t.executor_id = e.executor_id
    WHERE e.application_id = application.id
)
"""
OVERHEAD = """
UPDATE application SET overhead_core_ms = COALESCE(core_ms, 0) - (
    SELECT CAST(COALESCE(SUM(job.core_ms), 0) AS BIGINT)
    FROM job WHERE job.application_id = application.id AND job.run_id IS NOT NULL
)
"""


def upgrade() -> None:
    for table in ("application", "job", "stage", "run"):
        for name in PEAKS:
            op.add_column(table, sa.Column(name, sa.BigInteger()))
    op.add_column("application", sa.Column("allocated_core_ms", sa.BigInteger()))
    op.add_column("application", sa.Column("overhead_core_ms", sa.BigInteger()))
    op.create_index(op.f("ix_job_start_time"), "job", ["start_time"])
    op.execute(ALLOCATED)
    op.execute(OVERHEAD)
