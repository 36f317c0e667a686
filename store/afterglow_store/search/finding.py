"""Finding the runs of a page: which index to start from, and how far to read it.

What must hold is a list of parts, some of which an index leads to. The fewer runs an index has, the better it is to
start from; the other parts are then asked of each run. Counts are taken at the moment, and only as far as they matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from afterglow_store.filters import Condition
from afterglow_store.schema import run
from afterglow_store.search.conditions import At, Holds, holds
from afterglow_store.search.drivers import Driver, all_runs, driver_of
from afterglow_store.windows import Window

FEW = 200  # so many are read and asked at once, whatever the order
NEWEST = 1_000  # of an index, so many are tried before anything is counted: a filter that holds often needs no more
FURTHER = 20_000  # … and so many, where by what was found among these that is enough
SPARE = 1.5  # times as many as it seems to take
MANY = 100_000  # where counting stops


@dataclass(frozen=True)
class Part:
    """Something that must hold."""

    holds: Callable[[At], Holds]
    driver: Driver | None = None

    @property
    def by_index(self) -> bool:
        """Whether an index of params, tags or metrics tells it."""
        return self.driver is not None and not self.driver.in_row


def part_of(condition: Condition) -> Part:
    return Part(lambda at: holds(condition, at), driver_of(condition))


@dataclass(frozen=True)
class Wanted:
    """The runs that are looked for."""

    parts: Sequence[Part]
    window: Window
    fenced: bool = False  # see `through`

    def from_driver(self, driver: Driver, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
        """All of them, read from a driver's index: `id`, `start_time`, and `columns`."""
        return driver.select(self.window, *columns).where(*self.rest(driver, driver.at))

    def through(self, driver: Driver, *also: Holds, in_order: bool = True) -> tuple[sa.Select[Any], At]:
        """As `from_driver`, and the columns of what is found.

        PostgreSQL would look up the row of each run of the index before it asks any other index, and then goes from the
        largest one, to spare that. So where it is `fenced` rows come after all indexes, behind an OFFSET; and of these
        no more than the window is read, of which it would not think.
        """
        if not self.fenced or driver.in_row:
            return self.from_driver(driver).where(*also), driver.at
        at, asked = replace(driver.at, window=self.window), self._asked(driver)
        first = driver.select(self.window).where(*also, *(part.holds(at) for part in asked if part.by_index))
        return self._rows_last(first, at, asked, in_order=in_order)

    def of(self, some: sa.Subquery, driver: Driver) -> tuple[sa.Select[Any], At]:
        """Of some runs of a driver's index, `id` and `start_time`, those that are wanted; as `through`."""
        at = At(some.c.id, some.c.start_time)
        if not self.fenced or driver.in_row:
            return sa.select(some.c.id, some.c.start_time).where(*self.rest(driver, at)), at
        asked = self._asked(driver)
        first = sa.select(some.c.id, some.c.start_time).where(*(part.holds(at) for part in asked if part.by_index))
        return self._rows_last(first, at, asked, in_order=True)

    def _rows_last(
        self, first: sa.Select[Any], at: At, asked: Sequence[Part], *, in_order: bool
    ) -> tuple[sa.Select[Any], At]:
        found = (_ordered(first, at) if in_order else first).offset(sa.literal_column("0")).subquery()
        at = At(found.c.id, found.c.start_time)
        return sa.select(*found.c).where(*(part.holds(at) for part in asked if not part.by_index)), at

    def rest(self, driver: Driver, at: At) -> list[Holds]:
        """What must hold of a run that is `at`, beyond its being in the driver's index: what one look into an index
        tells first, since it spares the rest."""
        in_order = sorted(self._asked(driver), key=lambda part: part.driver is None or not part.driver.in_order)
        return [part.holds(at) for part in in_order]

    def _asked(self, driver: Driver) -> list[Part]:
        return [part for part in self.parts if part.driver is not driver or not driver.exact]

    @property
    def drivers(self) -> list[Driver]:
        return [part.driver for part in self.parts if part.driver is not None]


def smallest(conn: sa.Connection, wanted: Wanted, drivers: Sequence[Driver], most: int) -> tuple[Driver | None, int]:
    """The driver with the fewest runs in the window, and how many these are; None if each has `most` or more."""
    found, fewest = None, most
    for driver in drivers:
        count = _count(conn, driver.select(wanted.window), fewest)
        if count < fewest:
            found, fewest = driver, count
    return found, fewest


def _with_few(conn: sa.Connection, wanted: Wanted, drivers: Sequence[Driver]) -> Driver | None:
    """The driver with the fewest runs in the window, if these are less than FEW. All are asked at once: that much is
    counted in no time, and a statement of its own for each would take longer."""
    if not drivers:
        return None
    each = (driver.select(wanted.window).limit(FEW).subquery() for driver in drivers)
    counts = [sa.select(sa.func.count()).select_from(some).scalar_subquery() for some in each]
    found = conn.execute(sa.select(*(count.label(f"of_{at}") for at, count in enumerate(counts)))).one()
    fewest = min(range(len(drivers)), key=found.__getitem__)
    return drivers[fewest] if found[fewest] < FEW else None


def _count(conn: sa.Connection, select: sa.Select[Any], most: int) -> int:
    some = select.limit(most).subquery()
    return int(conn.scalar(sa.select(sa.func.count()).select_from(some)) or 0)


def count_wanted(conn: sa.Connection, wanted: Wanted, most: int) -> int:
    """How many there are, but at most `most`."""
    drivers = wanted.drivers
    driver = smallest(conn, wanted, drivers, MANY)[0] if drivers else None
    if driver is not None:
        return _count(conn, wanted.through(driver, in_order=False)[0], most)
    # In their order, which their number does not need: so they are read from an index that has names and users, too,
    # and the wide rows only for what is not there.
    return _count(conn, wanted.from_driver(all_runs()).order_by(run.c.start_time.desc()), most)


@dataclass(frozen=True)
class Mark:
    """Where a page ended, newest first: what follows is older."""

    start_time: int
    id: int


def newest_first(conn: sa.Connection, wanted: Wanted, limit: int, after: Mark | None = None) -> list[Mark]:
    """The `limit` newest, of those that follow `after`."""
    drivers = wanted.drivers
    driver = _with_few(conn, wanted, drivers)
    if driver is None:
        in_order = next((each for each in drivers if each.in_order), None) or all_runs()
        most = max(NEWEST, 4 * limit)
        found = _among_newest(conn, wanted, in_order, limit, after, most=most)
        if 0 < len(found) < limit and (further := int(SPARE * most * limit / len(found))) <= FURTHER:
            found = _among_newest(conn, wanted, in_order, limit, after, most=further)
        if len(found) == limit:
            return found
        driver = _least_to_read(conn, wanted, limit)
    select, at = wanted.through(driver, *follows(driver.at, after))
    return _marks(conn, _ordered(select, at).limit(limit))


def _least_to_read(conn: sa.Connection, wanted: Wanted, limit: int) -> Driver:
    """Of an index in order as much is read as the page takes, of another one all of it. How much the page takes is
    guessed as if the parts had nothing to do with each other. None is counted further than the one that has the fewest:
    where there are more, it is not the one."""
    counts: list[tuple[Driver, int, bool]] = []  # … and whether that is all of them
    fewest = MANY
    for driver in sorted(wanted.drivers, key=lambda each: not each.in_order):
        count = _count(conn, driver.select(wanted.window), fewest)
        counts.append((driver, max(1, count), count < fewest))
        fewest = min(fewest, max(1, count))
    of_all = max(MANY, conn.scalar(sa.select(sa.func.max(run.c.id))) or 0)
    hits = of_all * math.prod(count / of_all for _, count, _ in counts)
    costs = [
        (min(count, limit * count / hits) if driver.in_order else count, number)
        for number, (driver, count, is_all) in enumerate(counts)
        if driver.in_order or is_all
    ]
    return counts[min(costs)[1]][0] if costs else all_runs()


def _among_newest(
    conn: sa.Connection, wanted: Wanted, driver: Driver, limit: int, after: Mark | None, *, most: int
) -> list[Mark]:
    newest = _ordered(driver.select(wanted.window).where(*follows(driver.at, after)), driver.at)
    select, at = wanted.of(newest.limit(most).subquery(), driver)
    return _marks(conn, _ordered(select, at).limit(limit))


def _ordered(select: sa.Select[Any], at: At) -> sa.Select[Any]:
    return select.order_by(at.start_time.desc(), at.id.desc())


def follows(at: At, after: Mark | None) -> list[Holds]:
    """That a run comes after this one, newest first."""
    if after is None:
        return []
    return [sa.tuple_(at.start_time, at.id) < sa.tuple_(sa.literal(after.start_time), sa.literal(after.id))]


def _marks(conn: sa.Connection, select: sa.Select[Any]) -> list[Mark]:
    return [Mark(row.start_time, row.id) for row in conn.execute(select)]
