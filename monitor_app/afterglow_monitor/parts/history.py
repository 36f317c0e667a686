"""A run's snapshots: the list, one of them, and what changed from one to another or to now."""

from __future__ import annotations

from datetime import tzinfo

import streamlit as st

from afterglow_monitor import address, browser_address, data, places
from afterglow_monitor import format as fmt
from afterglow_monitor.data import Row
from afterglow_monitor.listing.grid import Column, grid
from afterglow_monitor.parts import changes, details

NOW = "now"

SNAPSHOTS = (Column("Taken", 230), Column("Cause", 160), Column("Application", 260))


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
    found = data.differences(before["id"], after["id"] if after else None)
    heads = [_head(before, zone, now), _head(after, zone, now) if after else "Now"]
    details.section(f"What has changed from {heads[0]} to {heads[1].lower() if after is None else heads[1]}")
    changes.show(found, heads, zone, now)


def _head(row: Row, zone: tzinfo, now: int) -> str:
    return f"{fmt.moment(row['taken_time'], zone, now=now)}, {row['cause']}"
