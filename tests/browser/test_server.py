"""The tab Status: how Afterglow itself is."""

from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from afterglow_monitor import format as fmt
from afterglow_monitor.clock import now_ms
from afterglow_store import Store, alerts, leases, open_store, tracking
from afterglow_store.received import Chunk, receive
from tests.support.monitor import Grid, running_monitor, title_of
from tests.support.places import webhook

expect.set_options(timeout=15_000)  # for a machine that does other things as well
JOURNAL = "0b5e8c0e-8f5b-4f5e-9d57-3f2f3c7e1a55"


def at_work(store: Store, now: int) -> None:
    """A worker that is four seconds behind, and whose tracking server does not answer."""
    done: dict[str, Any] = {"times": 1_204, "began_time": now - 4_000, "took_ms": 31}
    notes = {
        "received": leases.Note(
            "journals received", listens=True, looked=now - 4_000, first_looked=now - 90_000, **done
        ),
        "judge": leases.Note("judge", **done),
        "sync team": leases.Note("sync team", failures=2, error="ValueError: odd", error_time=now - 60_000, **done),
    }
    for _ in range(2):
        leases.renew(store, notes, holder="one", host="server-1", lease_ms=600_000)
    receive(store, JOURNAL, Chunk(0, 5_000, "identity", b"x" * 5_000), now=now)
    with store.write() as conn:
        tracking.know_server(conn, "team", "http://mlflow.example.com", [])
        tracking.synced(conn, "team", now - 60_000, "it does not answer")


def swept(store: Store, sweep_ms: int | None, at: str | None) -> None:
    """The tracking server's last sweep over all runs took as long; another one is at the runs of that day."""
    until = None if at is None else int(datetime.fromisoformat(f"{at}T12:00:00+00:00").timestamp() * 1000)
    with store.write() as conn:
        tracking.know_server(conn, "team", "http://mlflow.example.com", [])
        tracking.note_progress(conn, "team", loaded_time=1, sweep_ms=sweep_ms, sweep_until=until)


def test_says_how_the_server_is_before_anything_has_run_and_follows_it(
    sqlite_url: str, tmp_path: Path, page: Page
) -> None:
    with closing(open_store(sqlite_url)) as store, running_monitor(sqlite_url, tmp_path) as address:
        page.goto(f"{address}/?tab=server")
        expect(page.get_by_text("No worker is at work")).to_be_visible(timeout=60_000)  # the first page of a process
        at_work(store, now_ms())
        expect(page.get_by_text("No worker is at work")).to_have_count(0)
        expect(page.get_by_text("4.9 KiB · 1 chunk")).to_be_visible()
        expect(page.get_by_text("server-1").first).to_be_attached()
        jobs = Grid(page, "table-background-jobs")
        rows = jobs.texts()
        assert any("sync team" in row and "ValueError: odd" in row and "1,204" in row for row in rows), rows
        jobs.click_header(850)  # Failed, by which the browser would put the last one first
        page.wait_for_timeout(500)
        assert [each.split(" | ")[0] for each in jobs.texts()] == [each.split(" | ")[0] for each in rows]
        expect(page.get_by_text("it does not answer").first).to_be_attached()
        page.goto("about:blank")  # before the server goes: a page without one complains


def test_says_how_long_the_sweep_over_all_runs_takes_and_where_it_is(
    sqlite_url: str, tmp_path: Path, page: Page
) -> None:
    with closing(open_store(sqlite_url)) as store, running_monitor(sqlite_url, tmp_path) as address:
        at_work(store, now_ms())
        swept(store, None, "2021-03-04")  # the first one
        page.goto(f"{address}/?tab=server")
        servers = page.locator("table", has_text="Whole sweep").last
        expect(servers).to_contain_text(
            f"{fmt.NOTHING}  ·  now at 04 Mar 2021 12:00", timeout=60_000
        )  # the first page of a process
        swept(store, 252_000, None)
        expect(servers).to_contain_text("4 min 12 s")
        expect(servers).not_to_contain_text("now at")
        swept(store, 252_000, "2021-03-03")
        expect(servers).to_contain_text("4 min 12 s  ·  now at 03 Mar 2021 12:00")
        page.goto("about:blank")  # before the server goes: a page without one complains


def test_alerts_are_listed_and_a_test_of_each_rule_is_sent_by_a_button(
    sqlite_url: str, tmp_path: Path, afterglow_home: Path, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    afterglow_home.mkdir()
    rules = ("a", "env:ALERT_HOOK"), ("b", "env:NOT_THERE")
    text = "".join(f"[[alerts]]\nname='{name}'\nwhen='run failed'\nto=['{to}']\n" for name, to in rules)
    (afterglow_home / "afterglow.toml").write_text(text)
    with webhook() as hook, closing(open_store(sqlite_url)) as store:
        monkeypatch.setenv("ALERT_HOOK", hook.address)
        event = alerts.Event("1", now_ms(), "Run failed: boosting\nwhere")
        alerts.note(store, "a", ["env:ALERT_HOOK"], [event], now=now_ms())
        with running_monitor(sqlite_url, tmp_path) as address:
            page.goto(f"{address}/?tab=server")
            expect(page.get_by_text("Run failed: boosting")).to_be_attached(timeout=60_000)
            page.get_by_role("button", name="Send a test of each rule").click()
            expect(page.get_by_text(title_of("a to env:ALERT_HOOK: sent"))).to_be_visible()
            expect(page.get_by_text("there is no NOT_THERE in the environment")).to_be_visible()
            page.goto("about:blank")  # before the server goes: a page without one complains
    assert [each["title"] for each in hook.got] == ["[a] This is a test of the rule a (run failed)."]
