"""What journals say more: how unequal a stage's tasks were, how far jobs are, what queries read and wrote"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("application", sa.Column("progress", sa.Text(), nullable=True))
    op.add_column("stage", sa.Column("skew", sa.Text(), nullable=True))
    for name in ("plan_hash", "inputs", "outputs"):
        op.add_column("sql_execution", sa.Column(name, sa.Text(), nullable=True))
