"""A run's snapshots: the list, one of them, and what changed from one to another or to now."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

import streamlit as st

from afterglow_monitor import address, browser_address, data, details, places
from afterglow_monitor import format as fmt
from afterglow_monitor.data import Row
from afterglow_monitor.grid import Column, grid
from afterglow_store.diff import METRIC, OUTPUT, PARAM, RUN, TAG, Change

NOW = "now"

SNAPSHOTS = (Column("Taken", 230), Column("Cause", 160), Column("Application", 260))
HOWS = {"changed": "≠ Changed", "added": "+ Added", "removed": "− Removed"}
PREFIXES = {RUN: "", METRIC: "metrics.", PARAM: "params.", TAG: "tags."}  # as filters name them


def show(row: Row, zone: tzinfo, now: int) -> None:
    kept = data.snapshots_of(row["run_id"])
    if not kept:
        details.nothing(
            "No snapshot yet", "One is kept when the run ends, when its application ends, and at later changes."
        )
        return
    _list(row, kept, zone, now)
    asked = {str(each["id"]): each for each in kept}
    chosen = asked.get(browser_address.value("snapshot"), kept[0])
    against = _ask_against(chosen, asked, zone, now)
    if against is None:
        details.section(f"As it was on {fmt.moment(chosen['taken_time'], zone, now=now)}, at {chosen['cause']}")
        st.json(data.snapshot(chosen["id"]), expanded=2)
    else:
        _compare(chosen, None if against == NOW else asked[against], zone, now)


def _list(row: Row, kept: list[Row], zone: tzinfo, now: int) -> None:
    names = {each["id"]: each["name"] for each in row["applications"]}
    cells = [
        {
            "Taken": fmt.when(each["taken_time"], zone, now=now),
            "Cause": each["cause"],
            "Application": fmt.named(names[each["application_id"]]) if each["application_id"] in names else fmt.NOTHING,
        }
        for each in kept
    ]
    against = browser_address.value("against")
    grid(
        "snapshots",
        SNAPSHOTS,
        cells,
        [places.run(row["run_id"], tab="snapshots", snapshot=str(each["id"]), against=against) for each in kept],
    )


def _ask_against(chosen: Row, kept: dict[str, Row], zone: tzinfo, now: int) -> str | None:
    """The id of another snapshot, NOW, or None to show the chosen one itself."""
    labels = {NOW: "The run as it is now"} | {
        key: f"{fmt.moment(each['taken_time'], zone, now=now)}, {each['cause']}  (#{key})"
        for key, each in kept.items()
        if each is not chosen
    }
    said = browser_address.value("against")
    address.follow("against", said if said in labels else None)
    st.selectbox(
        f"Compare {fmt.moment(chosen['taken_time'], zone, now=now)} with",
        list(labels),
        index=None,  # so that it can be emptied again
        key="against",
        format_func=labels.__getitem__,
        placeholder="nothing",
        width=360,
        on_change=lambda: address.change(snapshot=str(chosen["id"]), against=st.session_state["against"]),
    )
    return said if said in labels else None


def _compare(chosen: Row, other: Row | None, zone: tzinfo, now: int) -> None:
    """The earlier of the two is the one before, whichever was chosen first."""
    before, after = chosen, other
    if other is not None and (other["taken_time"], other["id"]) < (chosen["taken_time"], chosen["id"]):
        before, after = other, chosen
    changes = data.differences(before["id"], after["id"] if after else None)
    heads = [_head(before, zone, now), _head(after, zone, now) if after else "Now"]
    details.section(f"What has changed from {heads[0]} to {heads[1].lower() if after is None else heads[1]}")
    if not changes:
        st.caption("Nothing has changed between the two.")
        return
    st.caption(_counts(changes))
    chips = st.column_config.MultiselectColumn(
        "Change", options=list(HOWS.values()), color=["orange", "green", "red"], width=112
    )
    columns = (
        Column("Change", 112, config=chips),
        Column("What", 170),
        *(Column(head, 150) for head in heads),
    )
    details.plain_table(columns, [_cells(each, heads, zone, now) for each in changes])


def _head(row: Row, zone: tzinfo, now: int) -> str:
    return f"{fmt.moment(row['taken_time'], zone, now=now)}, {row['cause']}"


def _counts(changes: list[Change]) -> str:
    numbers = {how: sum(each.how == how for each in changes) for how in HOWS}
    return ", ".join(f"{number:,} {how}" for how, number in numbers.items() if number)


def _cells(change: Change, heads: list[str], zone: tzinfo, now: int) -> Row:
    values = (change.before if change.how != "added" else None, change.after if change.how != "removed" else None)
    shown = [_shown(change, value, zone, now) for value in values]
    return {
        "Change": [HOWS[change.how]],
        "What": fmt.short(PREFIXES.get(change.kind, f"{change.kind} ") + change.name, 300),
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
