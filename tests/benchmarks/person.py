"""What a person does at Monitor's list of runs, each time from how it is by default and back to that.

The list has one column more than by default, the run's id: a row is known by it for sure.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlencode

from afterglow_monitor.address import View
from afterglow_monitor.data import query_of
from afterglow_monitor.listing.run_columns import USUAL
from afterglow_store import search_applications, search_experiments, search_runs
from tests.benchmarks.busy import DRIVER, Busy
from tests.benchmarks.draw import PARAMS
from tests.benchmarks.watched import Watched
from tests.support.monitor import Grid

COLUMNS = [*(column.name for column in USUAL), "Run ID"]
ASKED = {"tab": "runs", "col": COLUMNS}
LIST = f"/?{urlencode(ASKED, doseq=True)}"
FIRST = 20  # rows of a list that are on the screen for sure, though others come in over them
NAME, START = 100, 440  # where these headers are: px from the left
Timed = tuple[str, float]  # what was done, and how many ms it took


def listed(server: Busy, **which: Any) -> list[str]:
    """The ids of the runs that a list has now."""
    return [row["run_id"] for row in _runs(server, View(**which))]


def _runs(server: Busy, view: View, /, **which: Any) -> list[dict[str, Any]]:
    with server.store.read() as conn:
        return search_runs(conn, query_of(view, "runs", **which)).rows


def others(server: Busy) -> list[str]:
    """Users of runs of whom the first page has none; nor is anyone of them whose drivers write meanwhile."""
    first = {row["user_name"] for row in _runs(server, View())}
    pages = [_runs(server, View(page=page, filter=f"user != '{DRIVER}'")) for page in (3, 5, 7)]
    return sorted({row["user_name"] for rows in pages for row in rows} - first)


class Person:
    """Looks at LIST, which was opened before."""

    def __init__(self, watched: Watched, server: Busy, seed: int = 1) -> None:
        self._watched, self._server = watched, server
        self._page, self._chance = watched.page, random.Random(seed)
        self._grid = Grid(watched.page)
        self._shown = listed(server)

    def acts(self) -> Iterator[Timed]:
        """One thing after the other: how long it took until its rows could be read."""
        yield from self._filters()
        yield from self._sorts()
        yield from self._pages()
        yield from self._tabs()
        yield from self._elsewhere()

    def _filters(self) -> Iterator[Timed]:
        user = self._chance.choice(others(self._server))
        for filter_ in (f"user = '{user}'", ""):
            yield "another filter", self._changed(partial(self._enter, filter_), filter=filter_)

    def _enter(self, filter_: str) -> None:
        field = self._page.locator(".st-key-filter input")
        field.fill(filter_)
        field.press("Enter")

    def _sorts(self) -> Iterator[Timed]:
        for x, order in ((NAME, "name"), (NAME, "-name"), (START, "-start_time")):
            which = {"order_by": order.removeprefix("-"), "descending": order.startswith("-")}
            yield "another sort", self._changed(partial(self._grid.click_header, x), **which)

    def _pages(self) -> Iterator[Timed]:
        for page, button in ((2, "Next page"), (3, "Next page"), (1, "Page 1")):
            click = self._page.get_by_role("button", name=button, exact=True).click
            yield "another page", self._changed(click, page=page)

    def _changed(self, act: Callable[[], object], **which: Any) -> float:
        """Until rows can be read that were not on the screen."""
        shown, self._shown = self._shown, listed(self._server, **which)
        new = [each for each in self._shown[:FIRST] if each not in shown]
        assert new, f"the list of {which} begins with rows that are on the screen already"
        return self._watched.after(act, [new])

    def _tabs(self) -> Iterator[Timed]:
        with self._server.store.read() as conn:
            experiments = search_experiments(conn, query_of(View(), "experiments")).rows
            applications = search_applications(conn, query_of(View(), "applications")).rows
        ids = [row["app_id"] for row in applications]
        yield self._tab("Experiments", [row["name"] for row in experiments[:FIRST]])
        yield self._tab("Applications", ids)
        runs = [f"\u2003└ trial-{number:03}" for number in range(FIRST)]
        yield "from a list to an application", self._watched.after(lambda: self._grid.open_row(1), [runs])
        yield "back to the list", self._watched.after(self._page.go_back, [ids])
        yield self._tab("Runs", listed(self._server))

    def _tab(self, label: str, awaited: list[str]) -> Timed:
        tab = self._page.get_by_role("tab", name=label, exact=True)
        return "another tab", self._watched.after(tab.click, [awaited])

    def _elsewhere(self) -> Iterator[Timed]:
        """To a run of the generated ones: those of one user, to which none come in."""
        user = f"user = '{self._chance.choice(others(self._server))}'"
        yield "another filter", self._changed(lambda: self._enter(user), filter=user)
        shown = self._shown
        [row] = _runs(self._server, View(filter=user))[:1]
        of_experiment = _runs(self._server, View(), server=row["server"], experiment=row["experiment_id"])
        names = [each["name"] for each in of_experiment[:FIRST]]
        link, after = self._page.locator(".st-key-trail a").last, self._watched.after
        yield "from a list to a run", after(lambda: self._grid.open_row(1), [list(PARAMS)])
        yield "from it to its experiment", after(link.click, [names])
        after(self._page.go_back, [list(PARAMS)])
        yield "back to the list", after(self._page.go_back, [shown])
        yield "another filter", self._changed(lambda: self._enter(""))
