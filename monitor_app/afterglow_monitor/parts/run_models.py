"""The models of one run: the versions that were registered of it, and what it has logged."""

from __future__ import annotations

from datetime import tzinfo

import streamlit as st

from afterglow_monitor import browser_address, places
from afterglow_monitor import format as fmt
from afterglow_monitor.data import Row
from afterglow_monitor.errors import CannotWrite
from afterglow_monitor.listing.grid import Column, grid
from afterglow_monitor.parts import details, model_contents
from afterglow_monitor.syncing import model_details
from afterglow_store.diff import version_label

LOGGED = (
    Column("Name", 200),
    Column("Status", 90),
    Column("Logged", 196),
    Column("Metrics", 260),
    Column("Parameters", 260),
    Column("Model ID", 270),
)


def show(row: Row, zone: tzinfo, now: int) -> None:
    _registered(row)
    try:
        with st.spinner("Asking MLflow for the models of the run …"):
            logged = model_details.logged_models(row["run_id"])
    except CannotWrite as exc:
        st.error(fmt.verbatim(fmt.short(str(exc), 300)), icon=":material/cloud_off:")
        return
    if not logged:
        if not row["registered_versions"]:
            details.nothing(
                "No models", "Models that the run logs with MLflow 3, or that are registered, are shown here."
            )
        return
    details.section("Logged models")
    cells = [
        {
            "Name": fmt.named(each["name"]),
            "Status": each["status"].capitalize(),
            "Logged": fmt.when(each["created_time"], zone, now=now),
            "Metrics": fmt.metrics(each["metrics"]),
            "Parameters": fmt.pairs(each["params"]),
            "Model ID": each["model_id"],
        }
        for each in logged
    ]
    grid("logged", LOGGED, cells, [places.run(row["run_id"], tab="models", model=each["model_id"]) for each in logged])
    asked = browser_address.value("model")
    chosen = next((each for each in logged if each["model_id"] == asked), logged[0])
    details.section(fmt.verbatim(fmt.named(chosen["name"])))
    details.copyable(f"models:/{chosen['model_id']}")
    model_contents.show(row["run_id"], chosen["location"])


def _registered(row: Row) -> None:
    if not row["registered_versions"]:
        return
    details.section("Registered as")
    for each in row["registered_versions"]:
        place = places.model(row["server"], row["workspace"], each["name"], each["version"])
        places.link(f"{each['name']} {version_label(each)}", place, icon=":material/deployed_code:")
