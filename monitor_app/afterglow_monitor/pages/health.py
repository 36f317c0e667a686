"""Health: what is stuck, lost, without a link or not heard of, and what can be done about it."""

from __future__ import annotations

from datetime import tzinfo
from functools import partial
from typing import Any

import streamlit as st

from afterglow_monitor import acting, data, live, places
from afterglow_monitor import format as fmt
from afterglow_monitor.clock import now_ms
from afterglow_monitor.data import Row
from afterglow_monitor.listing import grid, lists, selection
from afterglow_monitor.listing.grid import Column
from afterglow_monitor.parts import details, freshness, status
from afterglow_store import audit
from afterglow_store.windows import DEFAULT

OWNED = "Orphaned: the process that owned the run is gone, MLflow says RUNNING"
SUSPECT = "Suspect: MLflow says FINISHED, but the job died of an exception"
UNKNOWN = "Owner unknown: MLflow says RUNNING, and nobody knows whose process it is"
LOST = "Lost: the driver stopped sending heartbeats"
LOSSY = "Journals that lack events"
UNLINKED = "Runs without a link to a Spark application"
LATE = "Not up to date: what runs now is not all here"
ORPHANED = "orphaned runs"
MOST = 100  # rows of each list
HIDDEN = ("User", "Metrics", "Source", "Registered version")
REFRESH_SECONDS = 5.0
_ASKED = "settling"


def show(zone: tzinfo) -> None:
    _now(zone)
    if (asked := st.session_state.pop(_ASKED, None)) is not None:
        _settle_dialog(*asked)  # a part that draws itself again would close it


@live.part(REFRESH_SECONDS)
def _now(zone: tzinfo) -> None:
    now = now_ms()
    days, clock = DEFAULT.removesuffix("d"), fmt.clock(now, zone)
    st.caption(
        f"What waits for somebody, whenever it began, and what went wrong in the last {days} days  ·  as of {clock}"
    )
    found, behind = data.health(MOST), data.behind()
    _late(behind, zone, now)
    _orphaned(found["orphaned"], zone, now)
    _runs("suspect runs", SUSPECT, found["suspect"], zone, now)
    _runs("runs of unknown owners", UNKNOWN, found["unknown"], zone, now)
    _applications("lost applications", LOST, found["lost"], zone, now)
    _applications("lossy applications", LOSSY, found["lossy"], zone, now)
    _unlinked(found["unlinked"])
    _well(found | {"late": behind["no_worker"] or behind["servers"]})
    servers(found["servers"], zone, now)
    _changes(found["changes"], zone, now)


def _heading(text: str, rows: list[Row]) -> bool:
    """With how many there are, if there are any; whether there are."""
    if rows:
        details.section(f"{text}  ·  {len(rows)}{'+' if len(rows) == MOST else ''}")
    return bool(rows)


def _well(found: dict[str, Any]) -> None:
    """What there is none of, together: what is wrong shall be seen at once."""
    of = {"late": LATE, "orphaned": OWNED, "suspect": SUSPECT, "unknown": UNKNOWN, "lost": LOST, "lossy": LOSSY}
    none = [text for name, text in of.items() if not found[name]]
    none += [UNLINKED] if found["unlinked"] == "0" else []
    if none:
        details.section("None of these")
        for text in none:
            st.caption(f":green[:material/check_circle:] {text}")


def _late(behind: Row, zone: tzinfo, now: int) -> None:
    said = [freshness.trouble(each, zone, now=now) for each in behind["servers"]]
    said += [freshness.NO_WORKER] if behind["no_worker"] else []
    if said:
        details.section(LATE)
    for each in said:
        st.caption(f":orange[:material/sync_problem: {fmt.verbatim(each)}]")


def _orphaned(rows: list[Row], zone: tzinfo, now: int) -> None:
    if not _heading(OWNED, rows):
        return
    shown = _shown(rows)
    chosen = [row for row in shown if row["run_id"] in selection.of(ORPHANED)]
    if acting.may_write():
        with st.container(horizontal=True, vertical_alignment="center", key="selected"):
            st.markdown(f"**{fmt.counted(len(chosen), 'run')} selected**", width="content")
            for wanted in ("FAILED", "KILLED"):
                if st.button(f"Settle as {wanted} …", type="tertiary", disabled=not chosen, icon=":material/gavel:"):
                    st.session_state[_ASKED] = (chosen, wanted)
                    st.rerun()
    lists.runs(ORPHANED, shown, None, zone, now=now, without=HIDDEN, choose=True)


def _shown(rows: list[Row]) -> list[Row]:
    """As long as any of them is chosen, no others come in; what is settled meanwhile goes."""
    there = {row["run_id"]: row for row in rows}
    if there.keys().isdisjoint(selection.of(ORPHANED)):
        selection.clear(ORPHANED)
    return [there[each] for each in selection.frozen(ORPHANED, OWNED, list(there)) if each in there]


@st.dialog("Settle runs")
def _settle_dialog(rows: list[Row], wanted: str) -> None:
    """What would be written is shown first."""
    st.text(f"MLflow will say {wanted} of:")
    for row in rows[:10]:
        st.text(f"  {fmt.named(row['name'])}, {row['status_reason'] or 'its process is gone'}")
    if len(rows) > 10:
        st.caption(f"and {len(rows) - 10} more")
    st.caption("Each gets the tag afterglow.settled, which says who did it. It can be undone below.")
    if st.button(f"Settle {fmt.counted(len(rows), 'run')}", type="primary"):
        acting.attempt("settle", lambda: _settle(rows, wanted))
        st.rerun()


def _settle(rows: list[Row], wanted: str) -> None:
    from afterglow_monitor.writing.settle import Settler  # noqa: PLC0415 - MLflow takes a second to import

    settler = acting.writer(Settler)
    for row in rows:
        settler.settle(row["run_id"], wanted, now=now_ms())
    selection.clear(ORPHANED)


def _runs(key: str, heading: str, rows: list[Row], zone: tzinfo, now: int) -> None:
    if _heading(heading, rows):
        lists.runs(key, rows, None, zone, now=now, without=HIDDEN)


APPLICATIONS = (
    Column("Name", 260),
    lists.STATUS_OF_APPLICATIONS,
    Column("Start", 196),
    Column("User", 100),
    Column("Events lost", 100, right=True),
    Column("Why", 420),
)


def _applications(key: str, heading: str, rows: list[Row], zone: tzinfo, now: int) -> None:
    if not _heading(heading, rows):
        return
    cells = [
        {
            "Name": fmt.named(row["name"]),
            "Status": [status.label(row["status"])],
            "Start": fmt.when(row["start_time"], zone, now=now),
            "User": fmt.short(row["user_name"], 60),
            "Events lost": fmt.count(row["lost_events"]) if row["lost_events"] else fmt.NOTHING,
            "Why": fmt.short(row["status_reason"], 300) or fmt.NOTHING,
        }
        for row in rows
    ]
    grid.grid(key, APPLICATIONS, cells, [places.application(row) for row in rows])


def _unlinked(number: str) -> None:
    if number == "0":
        return
    details.section(UNLINKED)
    place = places.Place("monitor", {"tab": "runs", "unlinked": "yes"})
    places.link(f"{number} runs, each with the application that it is probably of", place, icon=":material/link_off:")


SERVERS = (
    Column("Server", 160),
    Column("Address", 300),
    Column("Read", 210),
    Column("First load", 160),
    Column("Whole sweep", 230),
    Column("Trouble", 420),
)


def servers(rows: list[Row], zone: tzinfo, now: int) -> None:
    details.section("Tracking servers")
    if not rows:
        st.caption("None is configured: name one in afterglow.toml, under [[mlflow]].")
        return
    grid.table("tracking servers", SERVERS, [
        {
            "Server": fmt.named(row["name"]),
            "Address": fmt.short(row["uri"], 200),
            "Read": fmt.when(row["last_sync_time"], zone, now=now) if row["last_sync_time"] else "never",
            "First load": "done" if row["loaded_time"] else _loading(row),
            "Whole sweep": _sweep(row, zone, now),
            "Trouble": fmt.short(row["last_error"], 300) or fmt.NOTHING,
        }
        for row in rows
    ])  # fmt: skip


def _loading(row: Row) -> str:
    done = f"{row['loaded_runs'] or 0:,}"
    return f"{done} of {row['total_runs']:,}" if row["total_runs"] else f"{done} so far"


def _sweep(row: Row, zone: tzinfo, now: int) -> str:
    """How long the last one took, from the newest run to the oldest; of one that is under way, where it is."""
    took = fmt.duration(row["sweep_ms"])
    if row["sweep_until"] is None:
        return took
    return f"{took}  ·  now at {fmt.moment(row['sweep_until'], zone, now=now)}"


def _changes(entries: list[Row], zone: tzinfo, now: int) -> None:
    details.section("What people changed here")
    acting.refused("settle")
    if not entries:
        st.caption("Nothing yet.")
    for entry in entries:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption(fmt.when(entry["time"], zone, now=now), width="content")
            st.text(f"{fmt.short(entry['who'], 60)}: {entry['action']}", width="content")
            if entry["run_id"] != audit.NO_RUN:
                places.link(entry["run_name"] or entry["run_id"], places.run(entry["run_id"]))
            if entry["undoable"] and acting.may_write():
                undo = st.button("Undo", key=f"undo {entry['id']}", type="tertiary", icon=":material/undo:")
                if undo:
                    acting.attempt("settle", partial(_undo, entry["run_id"]))
                    st.rerun()


def _undo(run_id: str) -> None:
    from afterglow_monitor.writing.settle import Settler  # noqa: PLC0415

    acting.writer(Settler).undo(run_id, now=now_ms())
