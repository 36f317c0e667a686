"""Status: how Afterglow itself is. Who does what in the background, what waits, what was lost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

import streamlit as st

from afterglow_monitor import data, details
from afterglow_monitor import format as fmt
from afterglow_monitor.clock import now_ms
from afterglow_monitor.data import Row
from afterglow_monitor.grid import Column
from afterglow_monitor.pages.health import servers

REFRESH_SECONDS = 5.0


def show(zone: tzinfo) -> None:
    _now(zone)


@st.fragment(run_every=REFRESH_SECONDS)
def _now(zone: tzinfo) -> None:
    found, now = data.server_status(), now_ms()
    if not any(each["held"] for each in found["jobs"]):
        details.nothing(
            "No worker is at work",
            "Nothing is taken in. `afterglow up` starts one beside the pages; its log says why it does not stay."
            if found["jobs"] else "None has ever been on this store: `afterglow up` starts one beside the pages.",
        )  # fmt: skip
    _facts(found)
    _jobs(found["jobs"], zone, now)
    servers(found["servers"], zone, now)


def _facts(found: Row) -> None:
    waiting = f"{fmt.size(found['chunk_bytes'])}  ·  {fmt.counted(found['chunks'], 'chunk')}"
    facts = {
        "Ingest lag": fmt.duration(lag(found["jobs"])),
        "Waiting to be taken in": waiting if found["chunks"] else "nothing",
        "Events lost, last day": f"{found['lost_events']:,}",
        "Unreadable lines, last day": f"{found['bad_lines']:,}",
        "Store": fmt.size(found["store_bytes"]),
        "Schema": found["schema"],
    }
    details.facts("server", facts)


def lag(jobs: Sequence[Row]) -> int | None:
    """Of what is listened to, the one that is the furthest behind (ms)."""
    return max((each["lag_ms"] for each in jobs if each["lag_ms"] is not None), default=None)


JOBS = (
    Column("Job", 260),
    Column("Done by", 160),
    Column("Last", 210),
    Column("Took", 90, right=True),
    Column("Times", 90, right=True),
    Column("Failed", 80, right=True),
    Column("Trouble", 420),
)


def _jobs(jobs: Sequence[Row], zone: tzinfo, now: int) -> None:
    details.section("Background jobs")
    if not jobs:
        st.caption("None yet.")
        return
    details.plain_table(JOBS, [
        {
            "Job": fmt.short(each["title"], 200),
            "Done by": fmt.short(each["host"], 60) if each["held"] else "nobody",
            "Last": fmt.when(each["began_time"], zone, now=now) if each["began_time"] else "not yet",
            "Took": fmt.duration(each["took_ms"]),
            "Times": fmt.count(each["times"]),
            "Failed": fmt.count(each["failures"]) if each["failures"] else fmt.NOTHING,
            "Trouble": _trouble(each, zone, now),
        }
        for each in jobs
    ])  # fmt: skip


def _trouble(job: Row, zone: tzinfo, now: int) -> str:
    if job["error"] is None:
        return fmt.NOTHING
    return f"{fmt.moment(job['error_time'], zone, now=now)}: {fmt.short(job['error'], 300)}"
