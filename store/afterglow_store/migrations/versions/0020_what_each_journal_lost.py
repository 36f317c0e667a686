"""What was lost of an application, by who lost it: a driver's listener, its hook, each of its Connect clients."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("lost_events", "hook_lost_events"):
        op.add_column("source", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    # What an application lost until now is told of one of its journals: the listener's, where there is one.
    op.execute(
        "UPDATE source SET lost_events = (SELECT a.lost_events FROM application AS a WHERE a.id = source.application_id) "
        "WHERE id IN (SELECT coalesce(min(CASE WHEN s.writer = 'listener' THEN s.id END), min(s.id)) "
        "FROM source AS s JOIN application AS a ON a.id = s.application_id "
        "WHERE a.lost_events > 0 AND s.writer IN ('listener', 'hook') GROUP BY s.application_id)"
    )
