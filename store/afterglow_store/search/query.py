"""What to list, and the page of it that comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from afterglow_store.windows import ALL, Window

Row = dict[str, Any]

COUNT_LIMIT = 10_000  # totals stop here: nobody pages further, and an exact count would read every row


@dataclass(frozen=True)
class Query:
    """What to list. Everything that is given must hold; empty selections select all."""

    window: Window = ALL  # in which they started; see `active`
    filter: str = ""  # in the language of afterglow_store.filters
    statuses: Sequence[str] = ()
    text: str = ""  # is looked for in names and ids, whatever its case
    application_id: int | None = None  # the store's row id
    app: str | None = None  # Spark's application id, or its name
    experiment: str | None = None  # experiment id or name
    server: str | None = None
    users: Sequence[str] = ()
    masters: Sequence[str] = ()  # of applications, and of runs by theirs
    linked: bool | None = None  # runs only: those with, or without, a link to an application
    order_by: str = "start_time DESC"  # as parse_order reads it
    limit: int = 100
    offset: int = 0
    after: str | None = None  # the `next` of the page before, of the same query
    count: bool = True  # whether the page's total is wanted: it may take longer than the page itself
    active: bool = False  # of applications and runs: those that ran for a while of the window, whenever they started
    now: int = 0  # ms: what `start_time > 7d` in the filter counts back from


@dataclass(frozen=True)
class Page:
    """Some rows of a result; `total`, how many there are in all (at most COUNT_LIMIT + 1; 0 where nobody asked), and
    `next`, which Query.after takes for the rows that follow, None after the last."""

    rows: list[Row]
    total: int = 0
    next: str | None = None

    @property
    def total_text(self) -> str:
        return f"{COUNT_LIMIT:,}+" if self.total > COUNT_LIMIT else f"{self.total:,}"
