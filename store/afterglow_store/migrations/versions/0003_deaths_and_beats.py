"""What became of a Spark context that died under its driver, and how often a journal beats"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("application", sa.Column("context_error", sa.Text(), nullable=True))
    op.add_column("source", sa.Column("beat_ms", sa.BigInteger(), nullable=True))
