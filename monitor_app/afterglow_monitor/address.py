"""What a page shows, read from its address and written back to it.

The address is the one truth: a widget takes its value from it before it is drawn, and a change writes the whole
address at once, which is one entry in the browser's history. So links can be shared and Back works.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

import streamlit as st

from afterglow_monitor import browser_address
from afterglow_store import Window, parse_window
from afterglow_store.errors import BadWindow
from afterglow_store.windows import DEFAULT, PRESETS

ALL, CUSTOM = "all", "custom"
WINDOWS = {**PRESETS, ALL: "All time", CUSTOM: "From – to"}
SHORT_WINDOWS = {
    "1h": "1 h",
    "24h": "24 h",
    "7d": "7 d",
    "30d": "30 d",
    "90d": "90 d",
    ALL: "All",
    CUSTOM: "Custom",
}
PAGE_ROWS = 100
MOST_COLUMNS = 40
# Changing one of these makes another list of it: what page of the old one was shown means nothing then.
_FILTERS = {
    "window", "from", "to", "active", "status", "unlinked", "q", "filter", "user", "master", "of", "app", "sort", "tab",
}  # fmt: skip


@dataclass(frozen=True)
class View:
    """What of a list to show. Hashable, so that a read of it can be cached."""

    window: str = DEFAULT
    since: str | None = None
    until: str | None = None
    active: bool = False  # of applications and runs: also those that began before the window and were still there in it
    statuses: tuple[str, ...] = ()
    unlinked: bool = False  # of runs: only those without an application
    text: str = ""
    filter: str = ""  # in the language of docs/filters.md
    users: tuple[str, ...] = ()
    masters: tuple[str, ...] = ()
    experiment: str = ""  # its name
    app: str = ""  # an application's name
    page: int = 1
    columns: tuple[str, ...] = ()  # of runs: their names, in order; without any the usual ones
    order_by: str = "start_time"
    descending: bool = True

    def span(self, *, now: int) -> Window:
        """The window in ms; an unreadable one in a hand-written address is the default one."""
        since, until = (self.since, self.until) if self.window == CUSTOM else (self.window, None)
        try:
            return parse_window(since, until, now=now)
        except BadWindow:
            return parse_window(DEFAULT, now=now)


def view(default_window: str = DEFAULT) -> View:
    return view_from(browser_address.address(), default_window)


def view_from(asked: Mapping[str, list[str]], default_window: str = DEFAULT) -> View:
    """What these values of an address say; what they say wrongly is as it is by default."""

    def given(name: str, default: str = "") -> str:
        return (asked.get(name) or [default])[-1]

    sort, window, page = given("sort", "-start_time"), given("window", default_window), given("p", "1")
    return View(
        window=window if window in WINDOWS else default_window,
        since=given("from") or None,
        until=given("to") or None,
        active=given("active") == "yes",
        statuses=tuple(sorted(asked.get("status", []))),
        unlinked=given("unlinked") == "yes",
        text=given("q"),
        filter=given("filter"),
        users=tuple(sorted(asked.get("user", []))),
        masters=tuple(sorted(asked.get("master", []))),
        experiment=given("of"),
        app=given("app"),
        page=max(1, int(page)) if page.isdecimal() and len(page) < 6 else 1,
        columns=tuple(asked.get("col", ())[:MOST_COLUMNS]),
        order_by=sort.removeprefix("-"),
        descending=sort.startswith("-"),
    )


def order() -> View:
    """By what the address sorts, and nothing else of it: the rest is of another list than one that shows all it has."""
    asked = view()
    return View(order_by=asked.order_by, descending=asked.descending)


def change(**changes: Any) -> None:
    """Set or, with None or nothing in it, remove parts of the address: one entry in the history."""
    params: dict[str, Any] = dict(browser_address.address())
    if _FILTERS & changes.keys():
        params.pop("p", None)
    for name, value in changes.items():
        if value in (None, "", [], ()):
            params.pop(name, None)
        else:
            params[name] = value
    browser_address.write(params)


def follow(key: str, value: Any) -> None:
    """Let the widget of this key show `value`, which the address says. Call before it is drawn."""
    if st.session_state.get(key) != value:
        st.session_state[key] = value


def open_tab(tabs: dict[str, str], name: str = "tab") -> str:
    """The tab in the address: a key of `tabs`, the first where it names none."""
    tab = browser_address.value(name)
    return tab if tab in tabs else next(iter(tabs))


def local_time(text: str | None, in_zone: tzinfo) -> datetime | None:
    """The moment of an address, for a picker in the viewer's zone: to the minute, or what the picker makes of it would
    look like a change."""
    try:
        moment = datetime.fromisoformat(text).astimezone(in_zone) if text else None
        return moment and moment.replace(second=0, microsecond=0, tzinfo=None)
    except ValueError:
        return None


def address_time(moment: datetime | None, in_zone: tzinfo) -> str | None:
    """The moment of a picker, with its offset: the address means the same in every zone."""
    return moment.replace(tzinfo=in_zone).isoformat(timespec="minutes") if moment else None
