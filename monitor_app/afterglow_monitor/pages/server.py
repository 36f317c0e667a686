"""Status: how Afterglow itself is. Who does what in the background, what waits, what was lost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

import streamlit as st

from afterglow_monitor import acting, data, live
from afterglow_monitor import format as fmt
from afterglow_monitor.access import sign_in
from afterglow_monitor.clock import now_ms
from afterglow_monitor.data import Row
from afterglow_monitor.listing.grid import Column, table
from afterglow_monitor.pages.health import servers
from afterglow_monitor.parts import details
from afterglow_monitor.settings import load_settings

REFRESH_SECONDS = 5.0
MOST_ALERTS = 20
_TESTED = "alerts tested"  # of the session: what became of the last test


def show(zone: tzinfo) -> None:
    _now(zone)
    _test_button()


@live.part(REFRESH_SECONDS)
def _now(zone: tzinfo) -> None:
    found, now = data.server_status(), now_ms()
    if not any(each["held"] for each in found["jobs"]):
        details.nothing(
            "No worker is at work",
            'Nothing is taken in. "afterglow up" starts one beside the pages; its log says why it does not stay.'
            if found["jobs"] else 'None has ever been on this store: "afterglow up" starts one beside the pages.',
        )  # fmt: skip
    _facts(found)
    _jobs(found["jobs"], zone, now)
    servers(found["servers"], zone, now)
    if sign_in.scope() is None:  # they tell of any run
        _alerts(data.alerts_told(MOST_ALERTS), zone, now)


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
    table("background jobs", JOBS, [
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


ALERTS = (
    Column("When", 210),
    Column("What", 360),
    Column("Rule", 160),
    Column("To", 180),
    Column("Told", 210),
    Column("Trouble", 360),
)


def _alerts(rows: Sequence[Row], zone: tzinfo, now: int) -> None:
    details.section("Alerts")
    if not load_settings().alerts:
        st.caption("There are no rules: add [[alerts]] to afterglow.toml.")
    elif not rows:
        st.caption("Nothing has happened that a rule asks for.")
    if rows:
        table("alerts", ALERTS, [
            {
                "When": fmt.when(each["time"], zone, now=now),
                "What": fmt.short(each["text"].partition("\n")[0], 200),
                "Rule": fmt.short(each["rule"], 80),
                "To": fmt.short(each["target"], 80),
                "Told": fmt.when(each["sent_time"], zone, now=now) if each["sent_time"] else each["state"],
                "Trouble": fmt.short(each["error"], 300) or fmt.NOTHING,
            }
            for each in rows
        ])  # fmt: skip


def _test_button() -> None:
    rules = load_settings().alerts
    if not rules or not acting.may_write():
        return
    if st.button("Send a test of each rule", icon=":material/notifications_active:"):
        from afterglow_monitor.running.alerts import test  # noqa: PLC0415 - rarely, and Apprise takes a second to import

        with st.spinner("Sending …"):
            st.session_state[_TESTED] = [(rule.name, *told) for rule in rules for told in test(rule).items()]
    for name, target, error in st.session_state.get(_TESTED, ()):
        sign = ":red[:material/error:]" if error else ":green[:material/check_circle:]"
        outcome = fmt.short(error, 300) or "sent"
        st.markdown(f"{sign} {fmt.verbatim(f'{name} to {target}: {outcome}')}")
