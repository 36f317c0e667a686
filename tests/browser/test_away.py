"""What keeps a page from being up to date: a store that is away, a worker that is gone, a server that is silent."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import sqlalchemy as sa
from playwright.sync_api import Locator, Page, expect
from psycopg import sql

from afterglow_monitor.clock import now_ms
from afterglow_store import Store, forget, ingest_file, leases, open_store, tracking
from tests.support.databases import PostgresCluster
from tests.support.journals import Journal
from tests.support.monitor import Grid, heading, running_monitor

expect.set_options(timeout=15_000)  # for a machine that does other things as well
RUN = "a" * 32
AWAY = "The store does not answer"


@contextmanager
def away(cluster: PostgresCluster, url: str) -> Iterator[None]:
    """The database takes no connections meanwhile, and those that it had are gone."""
    name = sa.make_url(url).database or ""
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with cluster.connect() as connection:
        connection.execute(allow.format(sql.Identifier(name), sql.Literal(False)))
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
    try:
        yield
    finally:
        with cluster.connect() as connection:
            connection.execute(allow.format(sql.Identifier(name), sql.Literal(True)))


def one_run(store: Store, folder: Path, *, open_: bool = False) -> None:
    """An application an hour ago with one run, which is over unless it is said to be `open_`."""
    journal = Journal(folder / "journal", "app-1", name="train", start=now_ms() - 3_600_000)
    run = journal.run_start(RUN, "the first")
    journal.job(RUN)
    if not open_:
        journal.run_end(run)
    ingest_file(store, journal.path if open_ else journal.end(), now=now_ms())


def error_box(page: Page) -> Locator:
    return page.get_by_test_id("stException")


def leave(page: Page) -> None:
    page.goto("about:blank")  # before the server goes: a page without one complains


class Remote(NamedTuple):
    """A Monitor whose store is a database that may be away, with one run."""

    address: str
    cluster: PostgresCluster
    url: str


@pytest.fixture(scope="module")
def remote(postgres_cluster: PostgresCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    folder = tmp_path_factory.mktemp("remote")
    with postgres_cluster.fresh_database() as url:
        with closing(open_store(url)) as store:
            one_run(store, folder)
        with running_monitor(url, folder) as address:
            yield Remote(address, postgres_cluster, url)


def test_a_page_says_that_the_store_is_away_and_comes_back_by_itself(remote: Remote, page: Page) -> None:
    address, cluster, url = remote
    page.goto(f"{address}/?tab=runs")
    Grid(page).row("the first")
    with away(cluster, url):
        expect(page.get_by_text(AWAY)).to_be_visible()
        expect(page.get_by_text("the page comes back by itself")).to_be_visible()
        expect(error_box(page)).to_have_count(0)
    Grid(page).row("the first")
    expect(page.get_by_text(AWAY)).to_have_count(0)
    with away(cluster, url):
        page.goto(f"{address}/?page=run&id={RUN}")
        expect(page.get_by_text(AWAY)).to_be_visible()
    expect(heading(page, "the first")).to_be_visible()
    leave(page)


def test_a_browser_that_comes_back_while_the_store_is_away_gets_its_list_in_the_end(remote: Remote, page: Page) -> None:
    address, cluster, url = remote
    page.goto(f"{address}/?tab=runs&q=first")
    Grid(page).row("the first")
    page.wait_for_timeout(500)  # how it was left is noted once it is drawn
    with away(cluster, url):
        page.goto(address)
        expect(page.get_by_text(AWAY)).to_be_visible()
        expect(error_box(page)).to_have_count(0)
    Grid(page).row("the first")
    page.wait_for_url("**tab=runs**q=first**")
    leave(page)


def test_of_many_runs_it_is_said_what_was_done_before_the_store_went_away(remote: Remote, page: Page) -> None:
    address, cluster, url = remote
    page.goto(f"{address}/?tab=runs")
    Grid(page).select("the first")
    page.get_by_role("button", name="Tag …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill("team")
    dialog.get_by_label("Value", exact=True).fill("a")
    with away(cluster, url):
        dialog.get_by_role("button", name="Set on 1 run").click()
        expect(dialog.get_by_text("0 runs changed.")).to_be_visible(timeout=60_000)  # MLflow is imported first
        expect(dialog.get_by_text("it is not known what was done of the other 1 run.")).to_be_visible()
        expect(error_box(page)).to_have_count(0)
    leave(page)


def test_a_page_about_what_is_erased_meanwhile_says_that_it_is_not_there(
    sqlite_url: str, tmp_path: Path, page: Page
) -> None:
    with closing(open_store(sqlite_url)) as store, running_monitor(sqlite_url, tmp_path) as address:
        one_run(store, tmp_path, open_=True)
        page.goto(f"{address}/?page=run&id={RUN}")
        expect(heading(page, "the first")).to_be_visible()
        with store.read() as conn:
            found = forget.find(conn, "run", RUN)
        forget.forget(store, found, who="grace", now=now_ms())
        expect(heading(page, "No such run")).to_be_visible()
        expect(error_box(page)).to_have_count(0)
        leave(page)


def section(page: Page, text: str) -> Locator:
    return page.get_by_role("heading", name=text)


def worker(store: Store, *, for_ms: int) -> None:
    """One is at work for so long."""
    notes = {"judge": leases.Note("judge")}
    leases.renew(store, notes, holder="one", host="server-1", lease_ms=for_ms)


def test_lists_and_health_say_what_keeps_them_from_being_up_to_date(
    sqlite_url: str, tmp_path: Path, afterglow_home: Path, page: Page
) -> None:
    afterglow_home.mkdir()
    (afterglow_home / "afterglow.toml").write_text('[[mlflow]]\nname = "team"\nuri = "http://mlflow.example.com"\n')
    with closing(open_store(sqlite_url)) as store, running_monitor(sqlite_url, tmp_path) as address:
        one_run(store, tmp_path)
        worker(store, for_ms=0)
        page.goto(f"{address}/?tab=runs")
        counted = page.locator(".st-key-counted")
        expect(counted).to_contain_text("No worker is at work")
        worker(store, for_ms=600_000)
        with store.write() as conn:
            tracking.know_server(conn, "team", "http://mlflow.example.com", [])
            tracking.synced(conn, "team", now_ms(), "it does not answer")
            tracking.know_server(conn, "old", "http://old.example.com", [])  # no longer in the settings
            tracking.synced(conn, "old", now_ms(), "it does not answer")
        expect(counted).to_contain_text("MLflow server team does not answer, never read")
        page.goto(f"{address}/?tab=health")
        expect(section(page, "Not up to date")).to_be_visible()
        expect(page.get_by_text("MLflow server team does not answer, never read")).to_be_visible()
        with store.write() as conn:
            tracking.synced(conn, "team", now_ms())
        expect(section(page, "Not up to date")).to_have_count(0)  # by itself
        leave(page)
