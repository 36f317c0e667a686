"""How long a run took, in a column of its own, and indexes by that and by what it used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0011"
branch_labels = None
depends_on = None

RANKED = (
    "core_ms", "input_bytes", "output_bytes", "shuffle_read_bytes", "shuffle_write_bytes", "memory_spilled_bytes",
    "disk_spilled_bytes",
)  # fmt: skip


def upgrade() -> None:
    op.add_column("run", sa.Column("duration_ms", sa.BigInteger(), nullable=True))
    op.execute("UPDATE run SET duration_ms = end_time - start_time WHERE end_time IS NOT NULL")
    op.drop_index("ix_run_core_ms", "run")
    op.create_index("ix_run_by_duration_ms", "run", ["duration_ms", "start_time", "id"])
    for name in RANKED:
        there = sa.text(f"{name} IS NOT NULL")
        op.create_index(
            f"ix_run_by_{name}", "run", [name, "start_time", "id"], sqlite_where=there, postgresql_where=there
        )
