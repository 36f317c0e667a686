"""The output files of a run, looked into in Monitor; what a hostile one may do there is nothing."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pytest
from mlflow import MlflowClient
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from afterglow.run_details import run_details
from afterglow_store import open_store
from afterglow_store.runs import take_in_run
from tests.support.api import curl_examples
from tests.support.monitor import Grid, running_monitor

expect.set_options(timeout=15_000)  # for a machine that does other things as well

SCRIPT = "try { parent.document.title = 'hacked' } catch (e) {}; document.title = 'ran'; fetch('/stolen')"
HOSTILE = f'<title>mine</title><h1>Report</h1><script>{SCRIPT}</script><img src=x onerror="{SCRIPT}">'
FILES = {
    "report.html": HOSTILE,
    "drawing.svg": f"<svg xmlns='http://www.w3.org/2000/svg' onload=\"{SCRIPT}\"><text y='20'>Drawn</text></svg>",
    "notes.md": "# Heading\n<script>alert(1)</script> ![](http://192.0.2.1/x.png)",
    "metrics.json": json.dumps({"rmse": 0.5}),
    "table.csv": "name,value\nalpha,1\nbeta,2\n",
    "broken.json": "{no json",
    "report.pdf": "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    "2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    "3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
    "gone.txt": "here for a while",
}


@pytest.fixture(scope="module")
def monitor(mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a Monitor, and the id of a run with files."""
    folder = tmp_path_factory.mktemp("files")
    client = MlflowClient(tracking_uri=mlflow_server)
    run_id = client.create_run(client.create_experiment(f"files {time.time_ns()}"), run_name="writer").info.run_id
    for name, text in FILES.items():
        client.log_text(run_id, text, name)
    pd.DataFrame({"depth": range(1_000)}).to_parquet(folder / "rows.parquet")
    (folder / "model.bin").write_bytes(bytes(range(256)) * 10)
    Image.new("RGB", (3, 2), "red").save(folder / "plot.png")
    for name in ("rows.parquet", "model.bin", "plot.png"):
        client.log_artifact(run_id, str(folder / name), "data")
    client.set_terminated(run_id)
    with closing(open_store(f"sqlite:///{folder / 'store.db'}")) as store:
        with store.write() as conn:
            details = dict(run_details(client, run_id))
            take_in_run(conn, details, server=mlflow_server, tracking_uri=mlflow_server, as_of=1)
        with running_monitor(store.url, folder) as address:
            yield address, run_id


def of_file(monitor: tuple[str, str], name: str) -> str:
    address, run_id = monitor
    return f"{address}/?page=run&id={run_id}&tab=outputs&file={quote(name, safe='')}"


def test_text_tables_pictures_and_json_are_shown_and_files_downloaded(monitor: tuple[str, str], page: Page) -> None:
    address, run_id = monitor
    page.goto(f"{address}/?page=run&id={run_id}&tab=outputs")
    Grid(page, "list-files").open("table.csv")
    expect(page.locator("canvas table td", has_text="beta")).to_be_attached()
    page.goto(of_file(monitor, "data/rows.parquet"))
    expect(page.get_by_text("The first 200 rows.")).to_be_visible()
    page.goto(of_file(monitor, "data/plot.png"))
    picture = page.get_by_test_id("stImage").locator("img")
    expect(picture).to_be_visible()
    expect(picture).to_have_js_property("naturalWidth", 3)
    page.goto(of_file(monitor, "metrics.json"))
    expect(page.locator("[data-testid='stJson']")).to_contain_text("rmse")
    page.goto(of_file(monitor, "broken.json"))
    expect(page.get_by_text("It cannot be read as JSON")).to_be_visible()
    expect(page.get_by_text("{no json")).to_be_visible()
    page.goto(of_file(monitor, "notes.md"))
    expect(page.locator("[data-testid='stCode']").get_by_text("<script>alert(1)</script>")).to_be_visible()
    page.goto(of_file(monitor, "report.pdf"))
    alone = page.get_by_role("link", name="Open in a new tab").get_attribute("href")
    assert alone is not None
    with urllib.request.urlopen(alone) as answer:
        assert answer.headers["Content-Type"] == "application/pdf"
        assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    expect(page.locator("iframe")).to_have_count(0)
    page.goto(of_file(monitor, "data/model.bin"))
    expect(page.get_by_text("2.5 KiB that are no text")).to_be_visible()
    expect(page.locator("[data-testid='stCode']").get_by_text("000010  10 11 12")).to_be_visible()
    link = page.get_by_role("link", name="Download").get_attribute("href")
    assert link is not None
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == bytes(range(256)) * 10
        assert answer.headers["Content-Disposition"] == 'attachment; filename="model.bin"'
    page.goto("about:blank")


@pytest.mark.parametrize(("name", "shows"), [("report.html", "Report"), ("drawing.svg", "Drawn")])
def test_a_hostile_file_is_shown_and_runs_nothing(
    monitor: tuple[str, str], browser: Browser, name: str, shows: str
) -> None:
    with closing(browser.new_context()) as context:
        page = context.new_page()  # of its own: what the browser refuses is told in the console
        answered: list[str] = []
        page.on("response", lambda response: answered.append(response.url))
        page.goto(of_file(monitor, name))
        frame = page.frame_locator("iframe").first
        expect(frame.get_by_text(shows)).to_be_visible()
        page.wait_for_timeout(500)
        assert page.title() != "hacked"
        inside = next(each for each in page.frames if "/files/" in each.url)
        assert inside.evaluate("window.origin") == "null"
        assert inside.title() != "ran"
        assert [url for url in answered if "stolen" in url or url.endswith("/x")] == []
        page.goto("about:blank")


def test_only_files_that_the_run_has_are_served(monitor: tuple[str, str]) -> None:
    address, run_id = monitor
    with urllib.request.urlopen(f"{address}/api/v1/runs/{run_id}/files/report.html") as answer:
        assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    [example] = [each for each in curl_examples() if "/files/" in each]
    environment = {**os.environ, "AFTERGLOW_MONITOR_URL": address, "RUN_ID": run_id}
    told = subprocess.run(["bash", "-c", example], env=environment, capture_output=True, text=True, check=True).stdout
    assert "Report" in told
    for path in ("nothing.txt", "..%2f..%2fmlflow.db", "%2e%2e/%2e%2e/mlflow.db", "/etc/passwd"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{address}/api/v1/runs/{run_id}/files/{path}")
        assert refused.value.code in (400, 404)
        refused.value.close()


def test_files_are_not_shown_to_other_machines(monitor: tuple[str, str]) -> None:
    address, run_id = monitor
    for headers in ({"Host": "monitor.example.com"}, {"X-Forwarded-For": "192.0.2.7"}):
        asked = urllib.request.Request(f"{address}/api/v1/runs/{run_id}/files/report.html", headers=headers)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(asked)
        assert refused.value.code == 403
        refused.value.close()


def test_a_file_that_is_gone_is_said_to_be(monitor: tuple[str, str], mlflow_folder: Path, page: Page) -> None:
    [kept] = (mlflow_folder / "artifacts").rglob("gone.txt")
    kept.unlink()
    page.goto(of_file(monitor, "gone.txt"))
    expect(page.get_by_text("MLflow gave no answer about gone.txt")).to_be_visible()
    page.goto("about:blank")
