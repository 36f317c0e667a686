"""People who sign in at a provider: what each of them sees and may do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mlflow import MlflowClient
from playwright.sync_api import Browser, expect

from afterglow.run_details import run_details
from afterglow_store import Store, audit, open_store
from afterglow_store.runs import take_in_run
from tests.support.monitor import heading, running_monitor, uvicorn_with
from tests.support.provider import running_provider, sign_in
from tests.support.tracking import free_port

pytestmark = pytest.mark.matrix  # a provider, a Monitor and seven browsers
expect.set_options(timeout=60_000)  # for a machine that does other things as well

LINK_MS = 5_000  # a link is good for one to two of these
USERS: dict[str, dict[str, Any]] = {
    "ada": {"email": "ada@example.com", "preferred_username": "ada", "groups": ["ml"]},
    "grace": {"email": "grace@example.com", "preferred_username": "grace", "groups": ["finance"]},
    "nobody": {"email": "nobody@example.com", "email_verified": False},
}


class Office(NamedTuple):
    """A Monitor at which `USERS` sign in: ada's group may write, everybody else may see."""

    address: str
    store: Store
    client: MlflowClient
    run_id: str
    provider: str
    mlflow_server: str


@pytest.fixture(scope="module")
def office(mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    home = tmp_path_factory.mktemp("office")
    client = MlflowClient(tracking_uri=mlflow_server, registry_uri=mlflow_server)
    experiment = client.create_experiment(f"office {time.time_ns()}")
    run_id = client.create_run(experiment, run_name="first").info.run_id
    client.log_text(run_id, "<h1>Report</h1>", "report.html")
    client.log_text(run_id, "%PDF-1.4", "report.pdf")
    client.set_terminated(run_id)
    with (
        running_provider(home, USERS) as provider,
        closing(open_store(f"sqlite:///{home / 'store.db'}")) as store,
    ):
        with store.write() as conn:
            details = dict(run_details(client, run_id))
            take_in_run(conn, details, server="team", tracking_uri="", as_of=int(time.time() * 1000))
        with opened(home, provider, store, mlflow_server) as address:
            yield Office(address, store, client, run_id, provider, mlflow_server)


@contextmanager
def opened(home: Path, provider: str, store: Store, mlflow_server: str, *, hours: float = 12.0) -> Iterator[str]:
    """The address of a Monitor at which a sign-in is good for so long."""
    port = free_port()
    (home / "afterglow.toml").write_text(settings(provider, port, mlflow_server, hours))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFTERGLOW_HOME", str(home))
        patch.setenv("OFFICE_SECRET", "not-asked-for-by-this-provider")
        short = uvicorn_with(port, "afterglow_monitor.access.links", "STEP_MS", LINK_MS)
        with running_monitor(store.url, home, command=short, port=port) as address:
            yield address


def settings(provider: str, port: int, mlflow_server: str, hours: float) -> str:
    return f"""
[sign_in]
provider = "{provider}"
client_id = "afterglow"
client_secret = "env:OFFICE_SECRET"
url = "http://127.0.0.1:{port}"
editors = ["ML"]
hours = {hours}
[[mlflow]]
name = "team"
uri = "{mlflow_server}"
"""


def test_who_may_write_does_so_in_his_own_name(office: Office, browser: Browser) -> None:
    with closing(browser.new_context()) as context:
        page = sign_in(context, office.address, "ada")
        expect(page.get_by_text("editor")).to_be_visible()
        page.goto(f"{office.address}/?page=run&id={office.run_id}&tab=tags")
        expect(heading(page, "first")).to_be_visible()
        page.get_by_label("Name", exact=True).fill("team")
        page.get_by_label("Value", exact=True).fill("a")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_role("button", name="Undo the last change")).to_be_visible()
        page.goto("about:blank")
    assert office.client.get_run(office.run_id).data.tags["team"] == "a"
    with office.store.read() as conn:
        assert audit.entries(conn)[0]["who"] == "ada@example.com in Monitor"


def test_who_may_only_see_is_offered_nothing_to_write(office: Office, browser: Browser) -> None:
    with closing(browser.new_context()) as context:
        page = sign_in(context, office.address, "grace")
        expect(page.get_by_text("viewer")).to_be_visible()
        page.goto(f"{office.address}/?page=run&id={office.run_id}&tab=tags")
        expect(heading(page, "first")).to_be_visible()
        expect(page.get_by_test_id("stBaseButton-primaryFormSubmit")).to_have_count(0)
        page.goto(f"{office.address}/?tab=experiments")
        expect(page.get_by_role("button", name="New experiment …")).to_have_count(0)
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("button", name="End session").click()  # the provider asks
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        assert page.request.get(f"{office.address}/api/v1/runs/export?format=json").status == 401
        page.goto("about:blank")


def test_a_download_is_for_whom_it_was_drawn(office: Office, browser: Browser) -> None:
    exported = f"{office.address}/api/v1/runs/export?format=json"
    with closing(browser.new_context()) as hers, closing(browser.new_context()) as of_another:
        page, other = sign_in(hers, office.address, "ada"), sign_in(of_another, office.address, "grace")
        page.goto(f"{office.address}/?page=run&id={office.run_id}&tab=outputs&file=report.html")
        expect(page.frame_locator("iframe").first.get_by_text("Report")).to_be_visible()
        link = page.get_by_role("link", name="Download").get_attribute("href")
        assert link is not None
        assert [each.request.get(link).status for each in (page, other)] == [200, 403]
        assert page.request.get(link.replace("report.html", "gone.html")).status == 403
        assert page.request.get(exported).status == 403
        for each in (page, other):
            each.goto("about:blank")


def test_a_page_that_was_left_open_has_links_that_open(office: Office, browser: Browser) -> None:
    with closing(browser.new_context()) as context:
        page = sign_in(context, office.address, "ada")

        def status(name: str) -> int:
            link = page.get_by_role("link", name=name).get_attribute("href")
            assert link is not None
            return page.request.get(link).status

        page.goto(f"{office.address}/?tab=runs")
        expect(page.locator("canvas table td", has_text="first")).to_be_attached()
        page.wait_for_timeout(2.2 * LINK_MS)
        page.get_by_role("button", name="Download").click()
        expect(page.get_by_role("link", name="CSV")).to_be_visible()
        assert status("CSV") == 200
        page.wait_for_timeout(2.2 * LINK_MS)
        assert status("CSV") == 200
        page.goto(f"{office.address}/?page=run&id={office.run_id}&tab=outputs&file=report.pdf")
        expect(page.get_by_role("link", name="Download")).to_be_visible()
        page.wait_for_timeout(2.2 * LINK_MS)
        assert [status(name) for name in ("Download", "Open in a new tab")] == [200, 200]
        page.goto("about:blank")


def test_a_page_that_was_left_open_shows_nothing_more_once_the_sign_in_is_too_old(
    office: Office, browser: Browser, tmp_path: Path
) -> None:
    seconds = 40
    with (
        opened(tmp_path, office.provider, office.store, office.mlflow_server, hours=seconds / 3600) as address,
        closing(browser.new_context()) as context,
    ):
        page = sign_in(context, address, "ada")
        page.goto(f"{address}/?tab=runs")
        expect(page.locator("canvas table td", has_text="first")).to_be_attached()
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        expect(page.locator("canvas table td")).to_have_count(0)
        page.goto("about:blank")


def test_nothing_is_drawn_or_answered_before_anybody_has_signed_in(office: Office, browser: Browser) -> None:
    with closing(browser.new_context()) as context:
        page = context.new_page()
        page.goto(f"{office.address}/?page=run&id={office.run_id}")
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        expect(page.get_by_text("first")).to_have_count(0)
        for path in ("/api/v1/runs/export?format=json", f"/api/v1/runs/{office.run_id}/files/report.html", "/media/a"):
            assert page.request.get(f"{office.address}{path}").status == 401
        page.goto("about:blank")


def test_an_address_that_the_provider_has_not_verified_opens_nothing(office: Office, browser: Browser) -> None:
    with closing(browser.new_context()) as context:
        page = sign_in(context, office.address, "nobody", shows="you have no role here")
        assert page.request.get(f"{office.address}/api/v1/runs/export?format=json").status == 401
        page.goto("about:blank")
