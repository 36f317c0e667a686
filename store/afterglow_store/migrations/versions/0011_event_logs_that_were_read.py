"""How large an event log's file was when all in it had been read: it is opened again when it has grown."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("source", sa.Column("file_bytes", sa.BigInteger(), nullable=True))
