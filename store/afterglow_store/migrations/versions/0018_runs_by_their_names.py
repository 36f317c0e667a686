"""Indexes of the runs' names, and of those ids that are not 32 hexadecimal digits: for a search by a text."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

OTHER_ID = "(length(run_id) <> 32 OR ltrim(run_id, '0123456789abcdef') <> '')"


def upgrade() -> None:
    op.create_index("ix_run_name", "run", ["name", "start_time", "id"])
    other = sa.text(OTHER_ID)
    op.create_index("ix_run_other_id", "run", ["run_id"], sqlite_where=other, postgresql_where=other)
