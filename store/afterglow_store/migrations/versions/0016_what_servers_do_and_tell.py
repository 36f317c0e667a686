"""Who does which background job and how it goes, and the alerts that were told"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "background_job",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=True),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("taken_time", sa.BigInteger(), nullable=True),
        sa.Column("began_time", sa.BigInteger(), nullable=True),
        sa.Column("took_ms", sa.BigInteger(), nullable=True),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("error_time", sa.BigInteger(), nullable=True),
        sa.Column("listens", sa.Boolean(), nullable=False),
        sa.Column("looked", sa.BigInteger(), nullable=True),
        sa.Column("first_looked", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_background_job"),
    )
    op.create_table(
        "alert_rule",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("known_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_alert_rule"),
    )
    op.create_table(
        "alert",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("noted_time", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_time", sa.BigInteger(), nullable=False),
        sa.Column("sent_time", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_alert"),
        sa.UniqueConstraint("rule", "event", "target", name="uq_alert_rule_event_target"),
    )
    op.create_index("ix_alert_state_next_time", "alert", ["state", "next_time"])
    op.create_index("ix_alert_sent_time", "alert", ["sent_time"])
    op.create_index("ix_application_status_end_time", "application", ["status", "end_time"])
