"""What the tasks of an event log's stages add up to so far, and whether the log has told its application's end;
and where a packed one is unpacked on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("source", sa.Column("told_end", sa.Boolean(), nullable=True))
    for name in ("resume_packed", "resume_plain"):
        op.add_column("source", sa.Column(name, sa.BigInteger(), nullable=True))
    op.create_table(
        "task_sums",
        sa.Column("source_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("stage_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sums", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["source.id"], name="fk_task_sums_source_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("source_id", "stage_id", "attempt", name="pk_task_sums"),
    )
