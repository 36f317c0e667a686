"""Monitor: the applications, experiments and runs of a window, newest first, as they come in; health, cost, status."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo

import streamlit as st

from afterglow_monitor import address, browser_address, data, live
from afterglow_monitor import format as fmt
from afterglow_monitor.clock import now_ms
from afterglow_monitor.listing import answers, bulk_tags, lists, more_filters, remembered, run_list, toolbar
from afterglow_monitor.pages import cost, health, models, server
from afterglow_monitor.parts import status
from afterglow_store import Page
from afterglow_store.windows import DEFAULT

TABS = {
    "applications": "Applications",
    "experiments": "Experiments",
    "runs": "Runs",
    "models": "Models",
    "health": "Health",
    "cost": "Cost",
    "server": "Status",
}
HINTS = {
    "applications": "Name or application id",
    "experiments": "Experiment name or id",
    "runs": "Run or experiment name, run id",
}
REFRESH_SECONDS = 1.0
# What is looked for; all else each tab has for itself, as it was left.
SAME_IN_EACH_TAB = ("window", "from", "to", "active", "q")


def show() -> None:
    remembered.recall()
    zone = fmt.zone(st.context.timezone)
    tab = address.open_tab(TABS)
    address.follow("monitor tab", TABS[tab])
    panels = st.tabs(list(TABS.values()), key="monitor tab", on_change=_change_tab)
    with panels[list(TABS).index(tab)]:
        if not data.anything() and tab != "server":  # how the server is counts before anything has run
            _nothing_yet()
            return
        if tab in _WHOLE:
            _WHOLE[tab](zone)
            return
        statuses = status.APPLICATION_STATUSES if tab == "applications" else status.RUN_STATUSES
        toolbar.filters(address.view(), statuses, zone, hint=HINTS[tab], default_window=DEFAULT, what=tab)
        _rows(tab)
        bulk_tags.show()


@live.part(REFRESH_SECONDS)
def _rows(tab: str) -> None:
    _list(tab)
    remembered.note(tab)


def _list(tab: str) -> None:
    view, zone, now = address.view(), fmt.zone(st.context.timezone), now_ms()
    found = answers.page(_READ[tab], tab, view)
    if found is None:
        return
    page, view = found
    if page.rows and tab == "runs":
        run_list.show(tab, page, view, zone, now=now)
        return
    toolbar.counted(page, view, tab, zone, now=now)
    if not page.rows:
        _none_match(tab, view)
    elif tab == "applications":
        lists.applications(tab, page.rows, view, zone, now=now)
    else:
        lists.experiments(tab, page.rows, view, zone, now=now)


_READ: dict[str, Callable[[address.View], Page]] = {
    "applications": data.applications,
    "experiments": data.experiments,
    "runs": data.runs,
}


_WHOLE: dict[str, Callable[[tzinfo], None]] = {
    "models": models.show,
    "health": health.show,
    "cost": cost.show,
    "server": server.show,
}  # tabs that are no list


def _change_tab() -> None:
    tab = next(key for key, label in TABS.items() if label == st.session_state["monitor tab"])
    now = {name: values for name, values in browser_address.address().items() if name in SAME_IN_EACH_TAB}
    left = {name: values for name, values in remembered.as_left(tab).items() if name not in SAME_IN_EACH_TAB}
    browser_address.write(left | now)


def _none_match(what: str, view: address.View) -> None:
    narrowed = view.users or view.masters or view.experiment or view.app
    with st.container(border=True, key="empty"):
        st.subheader(f"No {what} match", anchor=False)
        window = address.WINDOWS[view.window].lower()
        if view.filter:
            st.text(f"None of the {what} here ({window}) is what the filter asks for.")
        elif narrowed:
            st.text(f"None of the {what} here ({window}) is of the user, master, experiment or application chosen.")
        elif view.text or view.statuses:
            st.text(f"None of the {what} here ({window}) has this name and status.")
        elif view.unlinked:
            st.text(f"Every run here ({window}) is linked to its Spark application.")
        else:
            st.text(f"There are {what}, but none of them in this window: {window}.")
        with st.container(horizontal=True):
            if view.filter:
                st.button("Clear the filter", on_click=lambda: address.change(filter=None))
            if view.text or view.statuses:
                st.button("Clear search and statuses", on_click=lambda: address.change(q=None, status=None))
            if narrowed:
                st.button(
                    "Clear users and the like",
                    on_click=lambda: address.change(**dict.fromkeys(more_filters.CHOSEN_BY)),
                )
            if view.unlinked:
                st.button("Show all runs", on_click=lambda: address.change(unlinked=None))
            if view.window != address.ALL and not view.active and what != "experiments":
                st.button("Look at what was active then", on_click=lambda: address.change(active="yes"))
            if view.window != address.ALL:
                st.button("Look at all time", on_click=lambda: address.change(window=address.ALL))


def _nothing_yet() -> None:
    with st.container(border=True, key="empty"):
        st.subheader("Nothing has run yet", anchor=False)
        st.text(
            "Run a Spark job with Afterglow's listener. It appears here, with its MLflow runs, while it still runs:"
        )
        st.code("spark-submit $(afterglow spark-conf) job.py", language="bash")
        st.text("To see it work first, run the two example jobs:")
        st.code("afterglow demo", language="bash")
    _wait_for_the_first()


@live.part(REFRESH_SECONDS)
def _wait_for_the_first() -> None:
    if data.anything():
        st.rerun()
    st.caption("Waiting for the first application …")
