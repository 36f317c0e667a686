"""The workspace of an experiment, when a tracking server was replaced by another one, and who may still be alive"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("experiment", sa.Column("workspace", sa.Text(), nullable=True))
    op.add_column("tracking_server", sa.Column("replaced_time", sa.BigInteger(), nullable=True))
    columns = ["status", "gone", "driver_outcome"]
    op.create_index("ix_application_status_gone_driver_outcome", "application", columns)
