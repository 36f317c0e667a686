"""Journals that come through the collector, and the lines that ingest leaves out"""

from __future__ import annotations

import re

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_JOURNAL = re.compile(r"(?:^|/)([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.jsonl$")


def upgrade() -> None:
    op.add_column("source", sa.Column("journal", sa.Text(), nullable=True))
    op.add_column("source", sa.Column("last_seq", sa.BigInteger(), nullable=True))
    op.add_column("source", sa.Column("in_long_line", sa.Boolean(), nullable=True))
    _name_journals()
    op.create_index("ix_source_journal", "source", ["journal"], unique=True)
    op.create_table(
        "received_journal",
        sa.Column("journal", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("received_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("journal", name="pk_received_journal"),
    )
    op.create_table(
        "journal_chunk",
        sa.Column("journal", sa.Text(), nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("encoding", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("journal", "start", name="pk_journal_chunk"),
    )
    op.create_table(
        "bad_line",
        sa.Column("source_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("source_id", "position", name="pk_bad_line"),
        sa.ForeignKeyConstraint(["source_id"], ["source.id"], name="fk_bad_line_source_id", ondelete="CASCADE"),
    )


def _name_journals() -> None:
    """Of two files with the same name, copies in two folders, the first is the journal."""
    conn, named = op.get_bind(), set()
    for id_, path in conn.execute(sa.text("SELECT id, path FROM source ORDER BY id")).all():
        found = _JOURNAL.search(path)
        if found is not None and found[1] not in named:
            named.add(found[1])
            conn.execute(sa.text("UPDATE source SET journal = :name WHERE id = :id"), {"name": found[1], "id": id_})
