"""The widget in a real JupyterLab and a real Notebook 7, under the cells of a kernel with real Spark jobs."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nbformat
import pytest
from mlflow import MlflowClient
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.browser import Complaints
from tests.support.jupyter import TOKEN, running_jupyter, write_notebook
from tests.support.parts import require

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(900)]

SECONDS = 300  # for a kernel with MLflow and Spark to start on a busy machine
HOSTILE = "<img src=x onerror=alert(1)>"
OF_NOTEBOOK_7 = ("(reading 'schema')", "Command 'filebrowser:open-path' not registered")
SPARK = """\
%load_ext afterglow
import time, mlflow
from pathlib import Path
from pyspark.sql import SparkSession
def wait_for(name):
    while not Path(name).exists(): time.sleep(0.05)
mlflow.set_experiment("wine quality")
builder = SparkSession.builder.master("local[2]").config("spark.driver.host", "127.0.0.1")
spark = builder.config("spark.ui.showConsoleProgress", "false").getOrCreate()
tasks = spark.sparkContext.parallelize(range(4), 4)"""
RUNS = """\
with mlflow.start_run(run_name="seen while it runs"):
    mlflow.log_params({"depth": 5, "trees": 50})
    mlflow.set_tag("team", "<img src=x onerror=alert(1)>")
    for step in range(10): mlflow.log_metric("loss", 1 / (step + 1), step=step)
    tasks.map(lambda number: number < 2 or wait_for(r"{here}/go")).count()
    mlflow.log_metric("rmse", 0.7412)
with mlflow.start_run(run_name="<img src=x onerror=alert(1)>"):
    mlflow.log_params({"depth": 9, "trees": 100})
    for step in range(10): mlflow.log_metric("loss", 2 / (step + 1), step=step)
    mlflow.log_metric("rmse", 0.6)
print("the cell", "is over")"""
NO_SPARK = """\
%load_ext afterglow
import mlflow
with mlflow.start_run(run_name="in Notebook 7"): mlflow.log_metric("rmse", 0.5)"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notebooks")


@pytest.fixture(scope="module")
def jupyter(folder: Path) -> Iterator[str]:
    require("java")
    settings = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "AFTERGLOW_HOME": str(folder / ".afterglow"),
        "AFTERGLOW_MONITOR_URL": "http://127.0.0.1:1",  # nobody is there: the links are, and nothing waits
        "PYSPARK_PYTHON": sys.executable,
    }
    with running_jupyter(folder, settings) as address:
        yield address


@pytest.fixture
def page_of_notebook_7(browser: Browser) -> Iterator[Page]:
    """As `page`, but for the errors that Notebook 7 itself has."""
    complaints = Complaints()
    with closing(browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")) as context:
        context.on("page", complaints.watch)
        yield context.new_page()
    assert [line for line in complaints.lines if not any(own in line for own in OF_NOTEBOOK_7)] == []


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    expect.set_options(timeout=SECONDS * 1000)
    yield
    expect.set_options(timeout=None)


def open_notebook(page: Page, address: str, *, cells: int) -> Locator:
    """The notebook at this address, once its cells are there."""
    page.set_default_timeout(SECONDS * 1000)
    page.goto(f"{address}?token={TOKEN}")
    notebook = page.locator(".jp-Notebook")
    notebook.locator(".jp-CodeCell").nth(cells - 1).wait_for()
    return notebook


def execute(page: Page, notebook: Locator, *, cells: int) -> None:
    """Execute the cells, one after the other. Front ends forget what they are told before their kernel is there."""
    deadline = time.monotonic() + SECONDS
    while (
        not (kernel := session(page).get("kernel")) or kernel["execution_state"] != "idle" or not kernel["connections"]
    ):
        assert time.monotonic() < deadline, "there is no kernel"
        page.wait_for_timeout(200)
    for cell in notebook.locator(".jp-CodeCell").all()[:cells]:
        while cell.locator(".jp-InputPrompt").inner_text().strip() == "[ ]:":
            assert time.monotonic() < deadline, "the kernel takes nothing"
            cell.locator(".cm-content").click()
            page.keyboard.press("Shift+Enter")
            page.wait_for_timeout(500)


def row(widget: Locator, name: str) -> Locator:
    return widget.locator("tbody tr").filter(has=widget.page.get_by_role("button", name=name, exact=False))


def test_a_cells_runs_are_shown_live_under_it_and_compared_in_jupyterlab(
    jupyter: str, folder: Path, page: Page
) -> None:
    file = write_notebook(folder / "train.ipynb", [SPARK, RUNS.replace("{here}", str(folder))])
    notebook = open_notebook(page, f"{jupyter}/lab/tree/train.ipynb", cells=2)
    execute(page, notebook, cells=2)

    # While the cell runs.
    widget = notebook.locator(".jp-CodeCell").nth(1).locator(".afterglow")
    first = row(widget, "seen while it runs")
    expect(first).to_contain_text("Running")
    expect(first.get_by_role("progressbar")).to_have_attribute("aria-label", "2 of 4 tasks done, 2 running")
    expect(first).to_contain_text("depth=5")
    expect(notebook).not_to_contain_text("the cell is over")
    a_list_stays_open_while_its_cell_runs(widget)
    (folder / "go").touch()

    # Once it is over.
    expect(notebook.get_by_text("the cell is over")).to_be_visible()
    expect(first).to_contain_text("Finished")
    expect(first).to_contain_text("0.7412")
    expect(first).to_contain_text("core-s · 1 job")
    expect(first.get_by_role("progressbar")).to_have_count(0)
    expect(first.get_by_role("link", name="Monitor")).to_have_attribute(
        "href", re.compile(r"^http://127\.0\.0\.1:1/\?page=run&id=")
    )
    expect(widget.get_by_role("link", name="Spark UI")).to_have_attribute("href", re.compile("^http://"))
    expect(row(widget, HOSTILE)).to_contain_text("Finished")
    first.get_by_role("button").click()
    expect(widget.locator(".afterglow-details")).to_contain_text(HOSTILE)

    # Each run carries its cell.
    runs = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_runs(["1"])
    cells = [[run.data.tags[f"jupyter.{key}"] for key in ("cell.id", "cell.execution_count")] for run in runs]
    assert cells == [["cell-2", "2"]] * 2
    assert {run.data.tags["jupyter.notebook.path"] for run in runs} == {str(file)}

    # Compared.
    widget.get_by_role("tab", name="Run comparison").click()
    expect(widget.get_by_label("Chart", exact=True)).to_have_value("line")
    expect(widget.locator("polyline")).to_have_count(2)
    widget.get_by_label("Chart", exact=True).select_option("bar")
    widget.get_by_label("X", exact=True).select_option("params.trees")
    widget.get_by_label("Y", exact=True).select_option("metrics.rmse")
    expect(widget.get_by_role("img", name="Bar chart of rmse by trees")).to_be_visible()
    expect(widget.locator("rect.afterglow-mark")).to_have_count(2)
    expect(widget.locator("rect title").first).to_have_text("seen while it runs: trees 50, rmse 0.7412")

    # Saved, and opened again when there is no kernel.
    page.keyboard.press("Control+s")
    expect(page.locator(".lm-TabBar-tab.jp-mod-current.jp-mod-dirty")).to_have_count(0)
    page.request.delete(f"{jupyter}/api/sessions/{session(page)['id']}?token={TOKEN}")
    saved = nbformat.read(file, as_version=4).cells[1].outputs  # type: ignore[no-untyped-call]
    [html] = [output.data["text/html"] for output in saved if "text/html" in output.get("data", {})]
    assert "0.7412" in html
    assert "<img" not in html
    page.goto("about:blank")
    again = open_notebook(page, f"{jupyter}/lab/tree/train.ipynb", cells=2)
    expect(again.get_by_role("img", name="Bar chart of rmse by trees")).to_be_visible()


def a_list_stays_open_while_its_cell_runs(widget: Locator) -> None:
    """What is drawn changes each second with the duration, and what was chosen from stays the very same element."""
    widget.get_by_role("tab", name="Run comparison").click()
    chart, across = widget.get_by_label("Chart", exact=True), widget.get_by_label("X", exact=True)
    chart.select_option("scatter")
    across.select_option("duration")
    across.focus()
    opened, mark = across.element_handle(), widget.locator("circle title")
    expect(mark).not_to_have_text(mark.text_content() or "")
    assert opened.evaluate("element => element.isConnected && element === document.activeElement")
    chart.select_option("line")
    across.select_option("step")
    widget.get_by_role("tab", name="Runs", exact=True).click()


def session(page: Page) -> dict[str, Any]:
    """What Jupyter's server says of the page's notebook and its kernel; nothing before there is one."""
    address = urlsplit(page.url)
    found = page.request.get(f"{address.scheme}://{address.netloc}/api/sessions?token={TOKEN}").json()
    return next((each for each in found if each["path"] == address.path.rpartition("/")[2]), {})


def test_the_widget_is_shown_in_notebook_7_as_well(jupyter: str, folder: Path, page_of_notebook_7: Page) -> None:
    page = page_of_notebook_7
    write_notebook(folder / "seven.ipynb", [NO_SPARK])
    notebook = open_notebook(page, f"{jupyter}/notebooks/seven.ipynb", cells=1)
    execute(page, notebook, cells=1)
    widget = notebook.locator(".afterglow")
    expect(row(widget, "in Notebook 7")).to_contain_text("Finished")
    widget.get_by_role("tab", name="Run comparison").click()
    expect(widget.locator("rect.afterglow-mark")).to_have_count(1)
