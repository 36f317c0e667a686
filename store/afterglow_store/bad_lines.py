"""Lines that are no events: counted, and the first of each source kept aside, to see what they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from afterglow.redaction import redact_text
from afterglow_store.schema import bad_line

KEPT = 100  # of one source
KEPT_BYTES = 1_000  # of one line


@dataclass(frozen=True)
class BadLine:
    position: int  # in the source
    length: int
    head: bytes


def keep_bad_lines(conn: sa.Connection, source_id: int, lines: Sequence[BadLine], *, known: int) -> None:
    """Keep them, as far as there is room beside the `known` ones that this source had before."""
    rows = [
        {"source_id": source_id, "position": each.position, "length": each.length, "text": _shown(each.head)}
        for each in lines[: max(KEPT - known, 0)]
    ]
    if rows:
        conn.execute(sa.insert(bad_line), rows)


def _shown(head: bytes) -> str:
    text = head[:KEPT_BYTES].decode("utf-8", "replace").replace("\x00", "\ufffd")
    return redact_text(text)
