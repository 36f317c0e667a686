"""What the collector received of journals: chunks of bytes, each at its place, until ingest has made rows of them.

Any server may receive any chunk: its place is compared and set in the transaction that inserts it.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from afterglow_store.engine import Store, upsert
from afterglow_store.errors import JournalRefused, NotYours, TooFarAhead
from afterglow_store.schema import journal_chunk, received_journal, source

MAX_AHEAD_BYTES = 256 << 20  # that one journal may be ahead of its rows
STALE_MS = 7 * 86_400_000  # bytes that make no complete line for so long are dropped


@dataclass(frozen=True)
class Chunk:
    """Bytes of a journal from `start` on, `encoding` as in `sources`; `size` is theirs in the journal."""

    start: int
    size: int
    encoding: str
    data: bytes


@dataclass(frozen=True)
class Receipt:
    """How much of the journal the store has now, and whether the chunk was `taken`: it is only where it fits on."""

    position: int
    taken: bool


def receive(store: Store, journal: str, chunk: Chunk, *, now: int, cluster: str | None = None) -> Receipt:
    """Take a chunk in, if it begins where what was received ends; one transaction. `cluster`: the only one whose
    journals the sender may send.

    Raises TooFarAhead while rows are yet to be made of what came before, JournalRefused for what is no journal, and
    NotYours.
    """
    with store.append() as conn:
        position = _locked_position(conn, journal, now, cluster)
        if chunk.start != position or not chunk.size:
            return Receipt(position, taken=chunk.start == position)
        _refuse(conn, journal, chunk)
        end = chunk.start + chunk.size
        values = {"journal": journal, "start": chunk.start, "end": end, "encoding": chunk.encoding, "data": chunk.data}
        conn.execute(sa.insert(journal_chunk).values(values))
        upsert(conn, received_journal, [{"journal": journal, "position": end, "received_time": now}])
    return Receipt(end, taken=True)


def refuse_others(conn: sa.Connection, journal: str, cluster: str | None) -> None:
    """Raises NotYours for a journal that did not come from this `cluster` first; None: whoever may send everybody's."""
    if cluster is None:
        return
    first = conn.execute(
        sa.select(received_journal.c.cluster).where(received_journal.c.journal == journal)
    ).one_or_none()
    if first is not None and first.cluster != cluster:
        raise NotYours(f"journal {journal} is not one of cluster {cluster}")


def position_of(conn: sa.Connection, journal: str) -> int:
    """How many bytes of a journal the store has, received or read from a folder; 0 of one that nobody knows."""
    received = conn.scalar(sa.select(received_journal.c.position).where(received_journal.c.journal == journal))
    ingested = conn.scalar(sa.select(source.c.position).where(source.c.journal == journal))
    return max(received or 0, ingested or 0)


def _locked_position(conn: sa.Connection, journal: str, now: int, cluster: str | None) -> int:
    """The row's lock keeps a second chunk for the same place waiting, on PostgreSQL; SQLite has one writer anyway."""
    of_it = sa.select(received_journal.c.position).where(received_journal.c.journal == journal).with_for_update()
    if conn.scalar(of_it) is None:
        row = {"journal": journal, "position": 0, "received_time": now, "cluster": cluster}
        upsert(conn, received_journal, [row], keep=True)
        conn.scalar(of_it)
    refuse_others(conn, journal, cluster)
    return position_of(conn, journal)


def _refuse(conn: sa.Connection, journal: str, chunk: Chunk) -> None:
    known = conn.execute(sa.select(source.c.position, source.c.error).where(source.c.journal == journal)).one_or_none()
    if known is not None and known.error is not None:
        raise JournalRefused(known.error)
    if chunk.start + chunk.size - (known.position if known else 0) > MAX_AHEAD_BYTES:
        raise TooFarAhead(f"more than {MAX_AHEAD_BYTES >> 20} MiB of journal {journal} wait to be taken in")


def waiting_journals(conn: sa.Connection) -> dict[str, int]:
    """The journals that have chunks, and how far these reach."""
    c = journal_chunk.c
    found = conn.execute(sa.select(c.journal, sa.func.max(c.end).label("reaches")).group_by(c.journal))
    return {row.journal: row.reaches for row in found}


def delete_chunks(conn: sa.Connection, journal: str, *, until: int | None = None) -> None:
    """Delete those that end by `until`; all without it."""
    c = journal_chunk.c
    done = c.journal == journal if until is None else sa.and_(c.journal == journal, c.end <= until)
    conn.execute(sa.delete(journal_chunk).where(done))


def refuse_journal(store: Store, journal: str, why: str) -> None:
    """It is none: what came of it is dropped, and no more is taken."""
    with store.write() as conn:
        conn.execute(sa.update(source).where(source.c.journal == journal).values(error=why))
        delete_chunks(conn, journal)


def drop_stale(store: Store, *, now: int) -> int:
    """Drop what ends in the middle of a line, of journals that nothing was received of for a week: of how many. Should
    more come of one, its sender is told to begin at that line again."""
    r = received_journal.c
    chunks = sa.select(journal_chunk.c.journal).where(journal_chunk.c.journal == r.journal)
    with store.write() as conn:
        stale = list(conn.scalars(sa.select(r.journal).where(r.received_time < now - STALE_MS, chunks.exists())))
        for journal in stale:
            delete_chunks(conn, journal)
            ingested = conn.scalar(sa.select(source.c.position).where(source.c.journal == journal))
            of_it = received_journal.c.journal == journal
            conn.execute(sa.update(received_journal).where(of_it).values(position=ingested or 0))
    return len(stale)
