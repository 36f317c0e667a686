"""What differs between two snapshots, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

import streamlit as st

from afterglow_monitor import format as fmt
from afterglow_monitor.data import Row
from afterglow_monitor.listing.grid import Column, table
from afterglow_store.diff import METRIC, OUTPUT, PARAM, RUN, TAG, Change

HOWS = {"changed": "≠ Changed", "added": "+ Added", "removed": "− Removed"}
PREFIXES = {RUN: "", METRIC: "metrics.", PARAM: "params.", TAG: "tags."}  # as filters name them


def show(found: Sequence[Change], heads: Sequence[str], zone: tzinfo, now: int) -> None:
    """`heads`: what the two were, the earlier one first."""
    if not found:
        st.caption("Nothing has changed between the two.")
        return
    st.caption(_counts(found))
    chips = st.column_config.MultiselectColumn(
        "Change", options=list(HOWS.values()), color=["orange", "green", "red"], width=112
    )
    columns = (
        Column("Change", 112, config=chips),
        Column("What", 170),
        *(Column(head, 150) for head in heads),
    )
    table("changes", columns, [_cells(each, heads, zone, now) for each in found])


def name(change: Change) -> str:
    """What has changed, as filters name it: `metrics.rmse`."""
    return PREFIXES.get(change.kind, f"{change.kind} ") + change.name


def _counts(found: Sequence[Change]) -> str:
    numbers = {how: sum(each.how == how for each in found) for how in HOWS}
    return ", ".join(f"{number:,} {how}" for how, number in numbers.items() if number)


def _cells(change: Change, heads: Sequence[str], zone: tzinfo, now: int) -> Row:
    values = (change.before if change.how != "added" else None, change.after if change.how != "removed" else None)
    shown = [_shown(change, value, zone, now) for value in values]
    return {
        "Change": [HOWS[change.how]],
        "What": fmt.short(name(change), 300),
        **dict(zip(heads, shown, strict=True)),
    }


def _shown(change: Change, value: Any, zone: tzinfo, now: int) -> str:
    """In full: of two values that differ in their last digit, rounding would show the same twice."""
    if value is None:
        return fmt.NOTHING
    if change.kind == RUN and change.name.endswith("_time"):
        return fmt.moment(value, zone, now=now)
    if change.kind == OUTPUT:
        return f"{value:,} B"
    return fmt.short(str(value), 2_000)
