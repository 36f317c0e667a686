"""One experiment: what its runs add up to, and the list of them."""

from __future__ import annotations

from datetime import tzinfo

import streamlit as st

from afterglow_monitor import (
    address,
    answers,
    browser_address,
    bulk_tags,
    data,
    details,
    lists,
    places,
    run_list,
    status,
    toolbar,
)
from afterglow_monitor import format as fmt
from afterglow_monitor.clock import now_ms
from afterglow_monitor.data import Row
from afterglow_store.errors import NotFound

REFRESH_SECONDS = 1.0


def show() -> None:
    zone = fmt.zone(st.context.timezone)
    try:
        row = _read()
    except NotFound as exc:
        places.not_found("Experiment", str(exc))
        return
    _header(row, zone, now=now_ms())
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
    bulk_tags.show()


def _read() -> Row:
    return data.experiment(browser_address.value("server"), browser_address.value("id"))


def _header(row: Row, zone: tzinfo, *, now: int) -> None:
    places.trail(("Monitor", places.monitor()), ("Experiments", places.monitor("experiments")), here=row["name"])
    details.title(row["name"], None)
    details.facts(
        "header",
        {
            "Last run": fmt.when(row["last_run_time"], zone, now=now),
            "Runs": fmt.with_failed(row["runs"], row["failed_runs"]),
            "Running": fmt.count(row["running_runs"]) if row["running_runs"] else None,
            "Applications": fmt.count(row["applications"]),
            "Users": fmt.count(row["users"]),
            "Core time": fmt.core_time(row["core_seconds"]),
            "Created": fmt.moment(row["created_time"], zone, now=now),
            "Server": row["server"],
            "Workspace": row["workspace"],
            "Experiment ID": row["experiment_id"],
        },
    )


@st.fragment(run_every=REFRESH_SECONDS)
def _runs(server: str, experiment_id: str) -> None:
    view, zone, now = address.view(address.ALL), fmt.zone(st.context.timezone), now_ms()
    key = f"runs of {server} {experiment_id}"
    lists.leave_if_clicked(key, view)
    page = answers.page(lambda: data.runs(view, server, experiment_id), experiment_id, view)
    if page is None:
        return
    if not page.rows:
        toolbar.counted(page, view, "runs", zone, now=now)
        details.nothing("No runs match", "Choose a wider window, or clear the search, the statuses and the filter.")
        return
    run_list.show(key, page, view, zone, now=now, of_experiment=(server, experiment_id))
