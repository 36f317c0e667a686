"""What was used, at the prices of a table; by a tag as well; and how much of what was allocated lay idle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from afterglow_store.schema import application, job, run
from afterglow_store.search.comparing import json_text
from afterglow_store.usage import DAY_MS, KEYS, dated, family, grouped, whole_sum
from afterglow_store.visibility import ESCAPE, like
from afterglow_store.windows import Window, within

Row = dict[str, Any]

TAG = "tag"
LOOKED_AT = 500  # runs, the newest, whose tags are offered


@dataclass(frozen=True)
class Price:
    """Of a core for an hour, in the applications for which all holds that is given: any of its patterns, in which * is
    any text and ? any character."""

    core_hour: float
    masters: tuple[str, ...] | None = None
    users: tuple[str, ...] | None = None
    applications: tuple[str, ...] | None = None


def cost(
    conn: sa.Connection, by: str, window: Window, *, tag: str = "", prices: Sequence[Price] = (), other: float = 0.0
) -> list[Row]:
    """As `usage.usage` has it, each row with its `price`. `by`: one of usage.BY, or TAG: then by the values of `tag`,
    under `tag`. The first of `prices` that fits an application is its; `other` that of an application that none fits.
    """
    keys = {"tag": json_text(run.c.tags, sa.literal(tag))} if by == TAG else KEYS[by]
    rows = grouped(conn, keys, window, _at_prices(prices))
    for row in rows:
        row["price"] = _price(row, prices, other)
    return rows


def prices_of_runs(
    conn: sa.Connection, run_ids: Sequence[str], *, prices: Sequence[Price] = (), other: float = 0.0
) -> dict[str, float]:
    """What each of these runs cost together with all runs below it, by run id; at prices as `cost` takes them."""
    of = family()
    joined = of.join(job, job.c.run_id == of.c.run_id).join(application, application.c.id == job.c.application_id)
    select = sa.select(of.c.root, whole_sum(job.c.core_ms).label("core_ms"), *_at_prices(prices))
    found = conn.execute(select.select_from(joined).group_by(of.c.root), {"run_ids": list(run_ids)})
    by_run = {row["root"]: _price(dict(row), prices, other) for row in found.mappings()}
    return {run_id: by_run.get(run_id, 0.0) for run_id in run_ids}


def _at_prices(prices: Sequence[Price]) -> list[sa.ColumnElement[Any]]:
    """Of each price the core time of what it is the first to fit, in ms."""
    if not prices:
        return []
    which = sa.case(*((_fits(each), sa.literal(at)) for at, each in enumerate(prices)), else_=-1)
    return [
        whole_sum(sa.case((which == at, job.c.core_ms), else_=0)).label(f"at_price_{at}") for at in range(len(prices))
    ]


def _price(row: Row, prices: Sequence[Price], other: float) -> float:
    """Takes from the row what `_at_prices` gave it."""
    at_price = [row.pop(f"at_price_{at}") for at in range(len(prices))]
    dear = sum(millis * each.core_hour for millis, each in zip(at_price, prices, strict=True))
    return float(dear + (row["core_ms"] - sum(at_price)) * other) / 3_600_000


def _fits(price: Price) -> sa.ColumnElement[bool]:
    said = (
        (application.c.master, price.masters),
        (application.c.user_name, price.users),
        (application.c.name, price.applications),
    )
    return sa.and_(
        sa.true(),
        *(
            sa.or_(*(sa.func.coalesce(column, "").like(like(each), escape=ESCAPE) for each in patterns))
            for column, patterns in said
            if patterns
        ),
    )


def tag_keys(conn: sa.Connection, window: Window) -> list[str]:
    """The tags that the newest runs of the window have, those that most of them have first."""
    newest = sa.select(run.c.tags).where(*within(run.c.start_time, window)).order_by(run.c.start_time.desc())
    counts = Counter(key for tags in conn.scalars(newest.limit(LOOKED_AT)) for key in tags or {})
    return sorted(counts, key=lambda key: (-counts[key], key))


_IDLE_BY: dict[str, sa.ColumnElement[Any]] = {
    "application": application.c.name,
    "user": application.c.user_name,
    "day": application.c.start_time // DAY_MS,
}
IDLE_BY = tuple(_IDLE_BY)


def idle(conn: sa.Connection, window: Window, by: str | None = None) -> dict[Any, Row]:
    """Of the applications that started in the window and whose executors are known, by name, user or day, or all under
    None: `allocated_core_seconds`, and `idle_core_seconds` of them, in which no task ran."""
    key = _IDLE_BY[by] if by is not None else sa.null()
    a = application.c
    used = sa.case((a.core_ms < a.allocated_core_ms, a.core_ms), else_=a.allocated_core_ms)
    rows = conn.execute(
        sa.select(
            key.label("of"),
            whole_sum(a.allocated_core_ms).label("allocated"),
            whole_sum(a.allocated_core_ms - used).label("idle"),
        )
        .where(a.allocated_core_ms > 0, *within(a.start_time, window))
        .group_by(*([key] if by is not None else []))
    )
    return {
        dated({by: row.of})[by] if by == "day" else row.of: {
            "allocated_core_seconds": row.allocated / 1000,
            "idle_core_seconds": row.idle / 1000,
        }
        for row in rows
        if row.allocated
    }
