"""Periods of time to look at: 1 h, 24 h, 7 d, 30 d (the default), 90 d, all, or from and to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from afterglow_store.errors import BadWindow

PRESETS = {
    "1h": "Last hour",
    "24h": "Last 24 hours",
    "7d": "Last 7 days",
    "30d": "Last 30 days",
    "90d": "Last 90 days",
}
DEFAULT = "30d"
_UNITS_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_SPAN = re.compile(r"(\d{1,12})\s*([mhdw])")


@dataclass(frozen=True)
class Window:
    """Items that started at or after `since` and before `until`: ms since 1970 UTC, None is open."""

    since: int | None = None
    until: int | None = None


ALL = Window()


def within(column: sa.ColumnElement[Any], window: Window) -> list[sa.ColumnElement[bool]]:
    """The conditions under which a time (ms) lies in `window`."""
    bounds: list[sa.ColumnElement[bool]] = []
    if window.since is not None:
        bounds.append(column >= window.since)
    if window.until is not None:
        bounds.append(column < window.until)
    return bounds


def parse_time(text: str, *, now: int) -> int:
    """A moment in ms: a span back from `now` (``30d``, ``24h``, ``90m``), or an ISO date or time (UTC if it names no
    zone). Raises BadWindow."""
    span = _SPAN.fullmatch(text.strip())
    if span:
        return max(now - int(span[1]) * _UNITS_MS[span[2]], 0)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as exc:
        raise BadWindow(
            f"{text!r} is no time: use a span such as 30d, 24h or 90m, or a date such as 2026-11-01 or 2026-11-01T14:30"
        ) from exc
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def parse_window(since: str | None, until: str | None = None, *, now: int) -> Window:
    """`since` and `until` as parse_time reads them; ``all`` or None is open. Raises BadWindow, also where the window
    ends before it begins."""
    first, last = (None if text in (None, "", "all") else parse_time(text, now=now) for text in (since, until))
    if first is not None and last is not None and first > last:
        raise BadWindow(f"the window ends ({until}) before it begins ({since})")
    return Window(first, last)
