"""What a list of experiments adds up, without the rows of their runs: an index, and which applications wrote there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_run_server_experiment_id_start_time_id", "run")
    op.create_index(
        "ix_run_of_experiment",
        "run",
        ["server", "experiment_id", "start_time", "id", "effective_status", "user_name", "core_ms"],
    )
    op.create_table(
        "application_experiment",
        sa.Column("application_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("server", sa.Text(), nullable=False),
        sa.Column("experiment_id", sa.Text(), nullable=False),
        sa.Column("first_start", sa.BigInteger(), nullable=False),
        sa.Column("last_start", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("application_id", "server", "experiment_id", name="pk_application_experiment"),
        sa.ForeignKeyConstraint(
            ["application_id"], ["application.id"], ondelete="CASCADE",
            name="fk_application_experiment_application_id",
        ),
    )  # fmt: skip
    op.execute(
        "INSERT INTO application_experiment (application_id, server, experiment_id, first_start, last_start) "
        "SELECT l.application_id, r.server, r.experiment_id, min(r.start_time), max(r.start_time) "
        "FROM link AS l JOIN run AS r ON r.run_id = l.run_id JOIN application AS a ON a.id = l.application_id "
        "GROUP BY l.application_id, r.server, r.experiment_id"
    )
    op.create_index(
        "ix_application_experiment_window",
        "application_experiment",
        ["last_start", "server", "experiment_id", "first_start"],
    )
