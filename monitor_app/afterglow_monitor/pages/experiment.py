"""One experiment: what its runs add up to, and the list of them."""

from __future__ import annotations

from datetime import tzinfo

import streamlit as st

from afterglow_monitor import address, browser_address, data, live, places
from afterglow_monitor import format as fmt
from afterglow_monitor.charting import experiment_trend
from afterglow_monitor.clock import now_ms
from afterglow_monitor.data import Row
from afterglow_monitor.listing import answers, bulk_tags, lists, run_list, toolbar
from afterglow_monitor.parts import details, status
from afterglow_store.errors import NotFound

TABS = {"runs": "Runs", "trend": "Trend", "applications": "Applications"}
REFRESH_SECONDS = 1.0
MOST_APPLICATIONS = 200  # that wrote here


def show() -> None:
    zone = fmt.zone(st.context.timezone)
    try:
        row = _read()
    except NotFound as exc:
        places.not_found("Experiment", str(exc))
        return
    _header(row, zone, now=now_ms())
    tab = address.open_tab(TABS)
    address.follow("experiment tab", TABS[tab])
    panels = st.tabs(list(TABS.values()), key="experiment tab", on_change=_change_tab)
    with panels[list(TABS).index(tab)]:
        if tab == "runs":
            _list(row, zone)
        elif tab == "trend":
            experiment_trend.show(row, zone)
        else:
            _applications(row["server"], row["experiment_id"])
    bulk_tags.show()


def _change_tab() -> None:
    tab = next(key for key, label in TABS.items() if label == st.session_state["experiment tab"])
    address.change(tab=None if tab == "runs" else tab, sort=None)


def _list(row: Row, zone: tzinfo) -> None:
    toolbar.filters(
        address.view(address.ALL),
        status.RUN_STATUSES,
        zone,
        hint="Run name or id",
        default_window=address.ALL,
        what="runs",
        of_experiment=(row["server"], row["experiment_id"]),
    )
    _runs(row["server"], row["experiment_id"])


def _read() -> Row:
    return data.experiment(browser_address.value("server"), browser_address.value("id"))


def _header(row: Row, zone: tzinfo, *, now: int) -> None:
    places.trail(("Monitor", places.monitor()), ("Experiments", places.monitor("experiments")), here=row["name"])
    details.title(row["name"], None)
    details.facts(
        "header",
        {
            "Last run": details.moment_fact(row["last_run_time"], zone, now=now),
            "Runs": fmt.with_failed(row["runs"], row["failed_runs"]),
            "Running": fmt.count(row["running_runs"]) if row["running_runs"] else None,
            "Best": None if row["best_value"] is None else (lists.best(row), str(row["best_value"])),
            "Applications": fmt.count(row["applications"]),
            "Users": fmt.count(row["users"]),
            "Core time": details.core_fact(row["core_seconds"]),
            "Created": (fmt.moment(row["created_time"], zone, now=now), fmt.exact_moment(row["created_time"], zone)),
            "Server": row["server"],
            "Workspace": row["workspace"],
            "Experiment ID": row["experiment_id"],
        },
    )


@live.part(REFRESH_SECONDS)
def _runs(server: str, experiment_id: str) -> None:
    view, zone, now = address.view(address.ALL), fmt.zone(st.context.timezone), now_ms()
    key = f"runs of {server} {experiment_id}"
    found = answers.page(lambda each: data.runs(each, server, experiment_id), experiment_id, view)
    if found is None:
        return
    page, view = found
    if not page.rows:
        toolbar.counted(page, view, "runs", zone, now=now)
        details.nothing("No runs match", "Choose a wider window, or clear the search, the statuses and the filter.")
        return
    run_list.show(key, page, view, zone, now=now, of_experiment=(server, experiment_id))


@live.part(REFRESH_SECONDS)
def _applications(server: str, experiment_id: str) -> None:
    key, zone, now = f"applications of {server} {experiment_id}", fmt.zone(st.context.timezone), now_ms()
    order = address.order()
    page = data.applications_of(server, experiment_id, order, MOST_APPLICATIONS)
    if not page.rows:
        details.nothing("No application", "Applications whose runs are in this experiment are listed here.")
        return
    more = f"; these are the first {MOST_APPLICATIONS} in this order" if page.total > len(page.rows) else ""
    st.caption(f"{page.total_text} {'application' if page.total == 1 else 'applications'} wrote here{more}")
    lists.applications(key, page.rows, order, zone, now=now)
