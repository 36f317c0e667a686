"""The pages and their addresses: how one page leads to another.

All pages have the path `/` and are told apart by `?page=`. Under a path of its own, a page that is opened by its
address first asks for Streamlit's endpoints below that path: two 404s in the console and half a second lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import streamlit as st

from afterglow_monitor import browser_address, live
from afterglow_monitor.access import sign_in
from afterglow_monitor.format import named, short, verbatim
from afterglow_monitor.listing import remembered

# The module of each page, imported when it is shown: pages link to each other.
PAGES = {
    "monitor": "afterglow_monitor.pages.monitor",
    "application": "afterglow_monitor.pages.application",
    "experiment": "afterglow_monitor.pages.experiment",
    "run": "afterglow_monitor.pages.run",
    "compare": "afterglow_monitor.pages.compare",
    "model": "afterglow_monitor.pages.model",
}
HOME = "monitor"
_SHOWN, _VISIT = "place shown", "visit"


@dataclass(frozen=True)
class Place:
    """A page and what it is of: what an address says."""

    page: str
    params: Mapping[str, str | list[str]] = field(default_factory=dict)

    @property
    def query(self) -> dict[str, str | list[str]]:
        return dict(self.params) if self.page == HOME else {"page": self.page, **self.params}


def only_page() -> st.Page:
    """What Streamlit calls a page: the path `/`."""
    return st.Page(_show, title="Afterglow", default=True)


def _show() -> None:
    browser_address.arrive()
    page = browser_address.value("page", HOME)
    here = (page, browser_address.value("id"))
    if st.session_state.get(_SHOWN) != here or browser_address.went_through_history():
        st.session_state[_SHOWN] = here
        _visit_anew()
    with st.container(key=f"page-{page}" if page in PAGES else "page-unknown"):
        if page not in PAGES:
            not_found("Page", f"Monitor has no page {short(page, 60)}.")
            return
        with live.told():
            import_module(PAGES[page]).show()


def visit() -> int:
    """Which one this is of all visits of pages: whoever leaves a page and comes back visits it anew.

    So does whoever goes back on it: of a list that a click has sorted, the browser still takes the header for chosen.
    """
    return int(st.session_state.get(_VISIT, 0))


def _visit_anew() -> None:
    st.session_state[_VISIT] = visit() + 1


def import_pages() -> None:
    for module in PAGES.values():
        import_module(module)


def monitor(tab: str = "applications") -> Place:
    """A list as it was left in this session."""
    return Place("monitor", remembered.as_left(tab))


def application(row: Mapping[str, Any], *, tab: str = "", **which: str) -> Place:
    """Of a row with `app_id` and `start_time`: `local-…` ids repeat, so the start is in the address as well. On a tab,
    `which` of what it shows."""
    shown = {"tab": tab, **which}
    said = {name: value for name, value in shown.items() if value}
    return Place("application", {"id": row["app_id"], "start": str(row["start_time"])} | said)


def experiment(server: str, experiment_id: str) -> Place:
    return Place("experiment", {"server": server, "id": experiment_id})


def run(run_id: str, *, tab: str = "", **which: str) -> Place:
    """On a tab, `which` of what it shows."""
    shown = {"tab": tab, **which}
    return Place("run", {"id": run_id} | {name: value for name, value in shown.items() if value})


def model(server: str, workspace: str | None, name: str, version: str = "") -> Place:
    said = {"server": server, "workspace": workspace or "", "name": name, "version": version}
    return Place("model", {key: value for key, value in said.items() if value})


def compare(run_ids: Sequence[str]) -> Place:
    return Place("compare", {"run": list(run_ids)})


def go(place: Place) -> None:
    """Leave for another page, as a click on a link does. The page is drawn by the run after this one."""
    browser_address.go(place.query)
    _visit_anew()


def link(label: str | None, place: Place, *, icon: str | None = None, most: int = 60) -> None:
    st.page_link(only_page(), label=verbatim(short(named(label), most)), icon=icon, query_params=place.query)


def here(path: str) -> str:
    """The whole address of one of our routes, on the host that the browser asked, signed for who has signed in."""
    asked = urlsplit(st.context.url or "")
    return f"{asked.scheme}://{asked.netloc}{sign_in.link(path)}"


def trail(*steps: tuple[str | None, Place], here: str | None) -> None:
    """Breadcrumbs: the way back up, then where this is."""
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center", key="trail"):
        for label, place in steps:
            link(label, place, most=36)
            st.text("/")
        st.text(short(named(here), 60))


def not_found(what: str, message: str) -> None:
    """A page about something that is not there, with a way back."""
    trail(("Monitor", monitor()), here=what)
    st.header(f"No such {what.lower()}", anchor=False)
    st.text(message)
    st.text("It may have been removed by retention, or the address may be of another store.")
    link("Back to Monitor", monitor(), icon=":material/arrow_back:")
