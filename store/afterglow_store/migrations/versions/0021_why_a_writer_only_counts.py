"""Why the writer of a journal no longer looks at Spark's events, but counts them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("source", sa.Column("trouble", sa.Text()))
