"""One registered model: its versions with the runs and applications that they come from, and what one consists of."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

import streamlit as st

from afterglow_monitor import browser_address, data, places
from afterglow_monitor import format as fmt
from afterglow_monitor.clock import now_ms
from afterglow_monitor.data import Row
from afterglow_monitor.errors import CannotWrite
from afterglow_monitor.listing import lists, selection
from afterglow_monitor.listing.grid import Column, grid
from afterglow_monitor.listing.run_list import MOST_COMPARED
from afterglow_monitor.parts import details, model_contents, status
from afterglow_monitor.syncing import model_details
from afterglow_store.diff import version_label

COLUMNS = (
    Column("Version", 150),
    Column("Run", 210),
    lists.STATUS_OF_RUNS,
    Column("Run started", 196),
    Column("Experiment", 160),
    Column("Application", 170),
    Column("User", 90),
    Column("Metrics", 280),
    Column("Hyperparameters", 280),
    Column("Core time", 96, right=True),
)


def show() -> None:
    server, name = browser_address.value("server"), browser_address.value("name")
    rows = data.model_versions(server, browser_address.value("workspace") or None, name)
    if not rows:
        places.not_found("Model", f"No run here was registered as {fmt.short(name, 100)}.")
        return
    zone, now = fmt.zone(st.context.timezone), now_ms()
    places.trail(("Monitor", places.monitor()), ("Models", places.monitor("models")), here=name)
    details.title(name, None)
    details.facts(
        "header",
        {
            "Latest": version_label(rows[0]),
            "Versions": fmt.count(len(rows)),
            "Newest run": details.moment_fact(max(row["start_time"] for row in rows), zone, now=now),
            "Server": fmt.in_workspace(server, rows[0]["workspace"]),
        },
    )
    _versions(rows, zone, now)
    asked = browser_address.value("version", rows[0]["version"])
    chosen = next((row for row in rows if row["version"] == asked), rows[0])
    _one(name, chosen, zone, now)


def _versions(rows: list[Row], zone: tzinfo, now: int) -> None:
    key = f"versions of {rows[0]['server']} {browser_address.value('name')}"
    picked = [row for row in rows if row["version"] in selection.of(key)]
    runs = list(dict.fromkeys(row["run_id"] for row in picked))
    with st.container(horizontal=True, vertical_alignment="center", key="selected"):
        if picked:
            st.markdown(f"**{fmt.counted(len(picked), 'version')} selected**", width="content")
        else:
            st.caption("Select versions to compare their runs; click on one to see what it consists of.")
        if picked and st.button(
            "Compare",
            type="tertiary",
            icon=":material/compare_arrows:",
            disabled=not 2 <= len(runs) <= MOST_COMPARED,
            help=None if len(runs) >= 2 else "Takes versions of two runs or more",
        ):
            places.go(places.compare(runs))
            st.rerun()
    targets = [
        places.model(row["server"], row["workspace"], browser_address.value("name"), row["version"]) for row in rows
    ]
    grid(key, COLUMNS, [_cells(row, zone, now) for row in rows], targets, ids=[row["version"] for row in rows])


def _cells(row: Row, zone: tzinfo, now: int) -> dict[str, Any]:
    return {
        "Version": version_label(row),
        "Run": fmt.named(row["name"]),
        "Status": [status.label(row["effective_status"])],
        "Run started": fmt.when(row["start_time"], zone, now=now),
        "Experiment": fmt.named(row["experiment"]),
        "Application": ", ".join(fmt.named(each["name"]) for each in row["applications"]) or fmt.NOTHING,
        "User": fmt.short(row["user_name"], 60),
        "Metrics": fmt.metrics(row["metrics"]),
        "Hyperparameters": fmt.pairs(row["params"]),
        "Core time": fmt.core_time(row["total"]["core_seconds"]),
    }


def _one(name: str, row: Row, zone: tzinfo, now: int) -> None:
    """The chosen version: where it comes from, and what MLflow has of it."""
    details.section(fmt.verbatim(f"Version {version_label(row).removeprefix('v')}"))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        places.link(row["name"], places.run(row["run_id"]), icon=":material/experiment:")
        places.link(row["experiment"], places.experiment(row["server"], row["experiment_id"]), icon=":material/folder:")
        for each in row["applications"]:
            places.link(each["name"], places.application(each), icon=":material/bolt:")
    of_mlflow = st.container()  # filled last: what is in the store need not wait for it
    left, right = st.columns(2, gap="large")
    with left:
        details.section("Metrics")
        details.metrics(row["metrics"] or {})
    with right:
        details.section("Hyperparameters")
        details.name_values("model params", row["params"] or {}, "Parameter")
    with of_mlflow:
        said = _asked(name, row)
        if said is not None:
            _facts(said, zone, now)
    if said is not None:
        model_contents.show(row["run_id"], said["location"])


def _asked(name: str, row: Row) -> Row | None:
    try:
        with st.spinner("Asking MLflow for the version …"):
            return model_details.of_version(row["run_id"], name, row["version"])
    except CannotWrite as exc:
        st.error(fmt.verbatim(fmt.short(str(exc), 300)), icon=":material/cloud_off:")
        return None


def _facts(said: Row, zone: tzinfo, now: int) -> None:
    details.facts(
        "version",
        {
            "Registered": details.moment_fact(said["created_time"], zone, now=now),
            "By": said["user"],
            "Tags": fmt.pairs(said["tags"]),
            "Logged model": said["model_id"],
        },
    )
    if said["description"]:
        st.text(fmt.short(said["description"], 2_000))
    details.copyable(said["source"] or said["location"])
