"""A model as it lies in MLflow: its signature, its flavours and its files."""

from __future__ import annotations

import streamlit as st

from afterglow_monitor import format as fmt
from afterglow_monitor.listing.grid import Column, table
from afterglow_monitor.parts import details
from afterglow_monitor.syncing import model_details

SIGNATURE = (Column("Part", 90), Column("Name", 200), Column("Type", 220))
FILES = (Column("File", 320), Column("Size", 100, right=True))


def show(run_id: str, location: str) -> None:
    with st.spinner("Reading the model's files from MLflow …"):
        found = model_details.contents(run_id, location)
    if found.missing:
        st.caption(fmt.verbatim(fmt.short(found.missing, 300)))
        return
    left, right = st.columns(2, gap="large")
    with left:
        details.section("Signature")
        if not found.signature:
            st.caption("It was logged without one.")
        else:
            details.plain_table(SIGNATURE, [
                {"Part": each["part"], "Name": fmt.short(each["name"], 200), "Type": fmt.short(each["type"], 200)}
                for each in found.signature
            ])  # fmt: skip
        if found.flavors:
            st.caption(f"Flavours: {fmt.verbatim(fmt.short(', '.join(found.flavors), 200))}")
    with right:
        details.section("Logged files")
        table("model files", FILES, [
            {"File": fmt.short(each["path"], 500), "Size": fmt.size(each["size"])} for each in found.files
        ])  # fmt: skip
