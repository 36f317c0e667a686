"""Event logs dealt out to several processes, or machines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from afterglow_store.event_logs.finding import EventLog

LOT = 200  # logs …
LOT_BYTES = 32 << 20  # … and bytes on disk that one goes and fetches: what is larger is a lot of its own


def lots(logs: Iterable[tuple[EventLog, int]]) -> Iterator[list[EventLog]]:
    """The logs, given with their sizes, in lots of about the same size, the largest first: whoever is done fetches the
    next one, so all are done at about the same time."""
    lot: list[EventLog] = []
    room = LOT_BYTES
    for log, size in sorted(logs, key=lambda each: each[1], reverse=True):
        if lot and (len(lot) == LOT or size > room):
            yield lot
            lot, room = [], LOT_BYTES
        lot.append(log)
        room -= size
    if lot:
        yield lot
