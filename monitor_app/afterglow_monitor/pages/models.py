"""The registered models: a tab of Monitor."""

from __future__ import annotations

from datetime import tzinfo

import streamlit as st

from afterglow_monitor import address, data, live, places
from afterglow_monitor import format as fmt
from afterglow_monitor.clock import now_ms
from afterglow_monitor.listing.grid import Column, grid
from afterglow_monitor.listing.toolbar import search
from afterglow_monitor.parts import details

REFRESH_SECONDS = 2.0
MOST = 500

COLUMNS = (
    Column("Name", 340),
    Column("Latest", 90, right=True),
    Column("Versions", 90, right=True),
    Column("Newest run", 210),
    Column("Server", 320),
)


def show(zone: tzinfo) -> None:
    with st.container(horizontal=True, key="toolbar"):
        search(address.view(), "Name of a model")
    _rows(zone)


@live.part(REFRESH_SECONDS)
def _rows(zone: tzinfo) -> None:
    text, now = address.view().text, now_ms()
    rows = data.models(text, MOST)
    if not rows:
        if text:
            details.nothing("No model matches", "No registered model here has this name.")
        else:
            details.nothing(
                "No registered models", "Save a run's model from its page, or register it with MLflow: it appears here."
            )
        return
    more = f"; these are the {MOST} with the newest runs" if len(rows) == MOST else ""
    st.caption(f"{fmt.counted(len(rows), 'model')}, of runs that Afterglow knows{more}")
    cells = [
        {
            "Name": fmt.named(row["name"]),
            "Latest": f"v{row['latest']}",
            "Versions": fmt.count(row["versions"]),
            "Newest run": fmt.when(row["last_run_time"], zone, now=now),
            "Server": fmt.in_workspace(row["server"], row["workspace"]),
        }
        for row in rows
    ]
    grid("models", COLUMNS, cells, [places.model(row["server"], row["workspace"], row["name"]) for row in rows])
