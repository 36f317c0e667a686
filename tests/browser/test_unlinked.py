"""A run without a link in Monitor: found by its filter, its application suggested, and linked by two clicks."""

import time
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient
from playwright.sync_api import Page, expect

from afterglow.run_details import run_details
from afterglow_store import ingest_file, open_store
from afterglow_store.runs import refresh_sums, take_in_run
from tests.support.journals import Journal, run_id_of
from tests.support.monitor import Grid, heading, running_monitor

expect.set_options(timeout=15_000)  # for a machine that does other things as well


def test_a_run_without_a_link_is_found_and_linked(
    mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: Page
) -> None:
    began = int(time.time() * 1000) - 3_600_000
    home = tmp_path / "home-of-offer"
    home.mkdir()
    (home / "afterglow.toml").write_text(f'[[mlflow]]\nname = "team"\nuri = "{mlflow_server}"\n')
    monkeypatch.setenv("AFTERGLOW_HOME", str(home))
    client = MlflowClient(tracking_uri=mlflow_server)
    tags = {"mlflow.user": "anna", "mlflow.source.name": "churn.py"}
    made = client.create_run(client.create_experiment(f"offer {tmp_path.name}"), began + 9_000, tags, "forgotten")
    client.set_terminated(made.info.run_id, end_time=began + 300_000)
    with closing(open_store(f"sqlite:///{home / 'store.db'}")) as store:
        by_listener = Journal(tmp_path, "app-1", name="churn", user="anna", start=began).job().wait(600)
        by_hook = Journal(tmp_path, "app-2", name="other", start=began)
        by_hook.run_start(run_id_of("offer"), "remembered")
        for path in (by_listener.end_without_hook(), by_hook.path):
            ingest_file(store, path, now=began)
        with store.write() as conn:
            details = dict(run_details(client, made.info.run_id))
            take_in_run(conn, details, server="team", tracking_uri=mlflow_server, as_of=began)
            refresh_sums(conn, [made.info.run_id])
    with running_monitor(store.url, home) as address:
        page.goto(f"{address}/?tab=runs")
        expect(page.locator(".st-key-counted")).to_contain_text("2 runs")
        page.get_by_role("button", name="Unlinked").click()
        expect(page.locator(".st-key-counted")).to_contain_text("1 run ")
        page.wait_for_url("**unlinked=yes**")
        expect(Grid(page).cells.first).to_contain_text("same user anna, its script churn.py is named like")

        Grid(page).open("forgotten")
        expect(heading(page, "forgotten")).to_be_visible()
        expect(page.locator(".st-key-suggestion")).to_contain_text("Because: same user anna")
        page.get_by_role("button", name="Link …").click()
        assert "spark.app.id" not in client.get_run(made.info.run_id).data.tags
        page.get_by_role("button", name="Link", exact=True).click()
        expect(page.get_by_text("linked by hand")).to_be_visible()
        expect(page.locator(".st-key-trail").get_by_role("link", name="churn", exact=True)).to_be_visible()
        assert client.get_run(made.info.run_id).data.tags["spark.app.id"] == "app-1"
        page.goto("about:blank")  # before the server goes: a page without one complains
