"""How far the first load of a tracking server is, and the sweep over all its runs"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COLUMNS = (
    "loaded_until", "loaded_runs", "loaded_time", "total_runs", "sweep_began", "sweep_until", "sweep_ms",
)  # fmt: skip


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("tracking_server", sa.Column(name, sa.BigInteger(), nullable=True))
