"""`%load_ext afterglow` in IPython shells of this process: what is shown under a cell, and that no cell notices."""

import json
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import mlflow
import nbformat
import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from mlflow.entities import Metric, Param
from nbclient import NotebookClient

import afterglow
from afterglow import hook, notebook
from afterglow.driver import LogCall
from afterglow.notebook.background import Background
from afterglow.notebook.picture import RunPicture
from afterglow.notebook.view import nested
from tests.support import world
from tests.support.api import Served
from tests.support.jupyter import write_notebook
from tests.support.parts import ROOT

# MLflow's use of what others deprecated is not ours to settle.
pytestmark = pytest.mark.filterwarnings("default")

WIDGET = "application/vnd.jupyter.widget-view+json"
HOSTILE = "<img src=x onerror=alert(1)>&\"'"


class Shell(InteractiveShell):
    """IPython's shell as a kernel has it, without the sockets: what is displayed is kept."""

    kernel: Any = None


class Kernel:
    """What `notebook_cell` asks of ipykernel's."""

    def __init__(self) -> None:
        self.cell_id = ""

    def get_parent(self) -> dict[str, Any]:
        return {"metadata": {"cellId": self.cell_id}}


class Notebook:
    """A notebook's kernel, whose outputs can be looked at."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.published = CapturingDisplayPublisher(shell=shell)  # type: ignore[no-untyped-call]
        shell.display_pub = self.published

    def run(self, source: str, cell_id: str = "cell-a") -> Any:
        """Execute a cell; what was raised in it is raised here."""
        self.shell.kernel.cell_id = cell_id
        ran = self.shell.run_cell(source, store_history=True, cell_id=cell_id)  # type: ignore[no-untyped-call]
        return ran.raise_error()

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """The last of each display."""
        found: dict[str, dict[str, Any]] = {}
        for each in list(self.published.outputs):
            found[each["transient"]["display_id"]] = each["data"]
        return list(found.values())


@pytest.fixture(scope="module")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('notebook')}/mlflow.db"


@pytest.fixture
def bench(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_experiment(f"cells {uuid4().hex[:8]}")
    monkeypatch.setattr(notebook, "_cells", None)
    Shell.clear_instance()
    shell = Shell.instance()
    shell.kernel = Kernel()
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/ada/train.ipynb")
    bench = Notebook(shell)
    try:
        yield bench
    finally:
        afterglow.unload_ipython_extension(shell)
        if notebook._cells is not None:
            notebook._cells._views.clear()  # what is read from now on is shown nowhere
        Shell.clear_instance()
        while mlflow.active_run():
            mlflow.end_run()
        mlflow.set_tracking_uri(before)


@pytest.fixture
def loaded(bench: Notebook) -> Notebook:
    bench.run("%load_ext afterglow")
    bench.run("import mlflow")
    return bench


def test_the_runs_of_a_cell_are_shown_under_it_with_a_table_for_whoever_has_no_widgets(loaded: Notebook) -> None:
    loaded.run(
        "with mlflow.start_run(run_name='first'):\n"
        "    mlflow.log_param('depth', 3)\n"
        "    mlflow.log_metric('rmse', 0.71)\n"
    )
    [output] = loaded.outputs
    assert set(output) == {WIDGET, "text/html", "text/plain"}
    for kind in ("text/html", "text/plain"):
        for said in ("first", "Finished", "rmse", "0.71", "1 run of cell 3"):
            assert said in output[kind]
    assert "depth=3" in output["text/html"]


def test_a_cell_without_runs_has_no_output(loaded: Notebook) -> None:
    loaded.run("1 + 1")
    assert loaded.outputs == []


def test_a_run_carries_the_cell_that_made_it_without_any_extension(bench: Notebook) -> None:
    bench.run("import mlflow, afterglow\nafterglow.autolog()", cell_id="one")
    bench.run("run_id = mlflow.start_run().info.run_id\nmlflow.end_run()", cell_id="two")
    bench.run("by_client = mlflow.MlflowClient().create_run('0').info.run_id", cell_id="three")
    in_cell = {"jupyter.notebook.path": "/home/ada/train.ipynb", "jupyter.cell.execution_count": "2"}
    assert jupyter_tags(bench.shell.user_ns["run_id"]) == in_cell | {"jupyter.cell.id": "two"}
    assert jupyter_tags(bench.shell.user_ns["by_client"])["jupyter.cell.id"] == "three"
    assert bench.outputs == []


@pytest.mark.parametrize("session", ["console-1-0a1b", ""])
def test_what_is_no_file_is_not_taken_for_the_notebook(
    bench: Notebook, monkeypatch: pytest.MonkeyPatch, session: str
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", session)
    bench.run("import mlflow, afterglow\nafterglow.autolog()\nwith mlflow.start_run() as run: pass")
    assert set(jupyter_tags(bench.shell.user_ns["run"].info.run_id)) == {
        "jupyter.cell.id",
        "jupyter.cell.execution_count",
    }


def test_an_output_is_there_while_its_cell_runs_and_follows_it(loaded: Notebook) -> None:
    loaded.shell.user_ns["look"] = lambda: [widget_state(loaded), *loaded.outputs]
    loaded.run(
        "with mlflow.start_run(run_name='live'):\n"
        "    at_first = look()\n"
        "    for step in range(5): mlflow.log_metric('loss', 1 / (step + 1), step=step)\n"
    )
    state, output = loaded.shell.user_ns["at_first"]
    assert state["runs"][0]["status"] == "RUNNING"
    assert "Running" in output["text/html"]
    [run] = widget_state(loaded)["runs"]
    assert (run["status"], run["metrics"]) == ("FINISHED", {"loss": 0.2})
    assert widget(loaded).history["loss"][run["id"]] == [[0, 1.0], [1, 0.5], [2, 1 / 3], [3, 0.25], [4, 0.2]]


def test_whatever_logs_to_a_run_shows_it_with_what_was_logged(loaded: Notebook) -> None:
    client = mlflow.MlflowClient()
    run_id = client.create_run("0", run_name="of another cell").info.run_id
    loaded.shell.user_ns.update(client=client, run_id=run_id, Metric=Metric, Param=Param)
    loaded.run(
        "client.log_batch(run_id, metrics=[Metric('a', 2.0, 0, 3)], params=[Param('p', 'q')])\n"
        "client.log_metric(run_id, key='b', value=float('nan'))\n"
        "client.set_terminated(run_id, 'KILLED')"
    )
    [run] = widget_state(loaded)["runs"]
    assert (run["status"], run["metrics"], run["params"]) == ("KILLED", {"a": 2.0, "b": "NaN"}, {"p": "q"})
    until(lambda: widget_state(loaded)["runs"][0]["name"] == "of another cell")


@pytest.mark.parametrize(
    "touch", ["set_tag(run_id, 'seen', 'yes')", "delete_tag(run_id, 'old')", "log_artifact(run_id, 'f')"]
)
def test_a_cell_that_only_tags_a_run_or_gives_it_a_file_has_touched_it(
    loaded: Notebook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, touch: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f").touch()
    experiment = mlflow.create_experiment(f"touched {touch}", artifact_location=tmp_path.as_uri())
    with mlflow.start_run(experiment_id=experiment, run_name="of yesterday", tags={"old": "1"}) as run:
        pass
    loaded.shell.user_ns.update(client=mlflow.MlflowClient(), run_id=run.info.run_id)
    loaded.run(f"client.{touch}")
    expected = {"set_tag": {"old": "1", "seen": "yes"}, "delete_tag": {}, "log_artifact": {"old": "1"}}
    until(lambda: widget_state(loaded)["runs"][0]["tags"] == expected[touch.partition("(")[0]])
    assert widget_state(loaded)["runs"][0]["status"] == "FINISHED"


def test_a_nested_run_is_below_its_parent_unless_another_order_was_asked_for(loaded: Notebook) -> None:
    loaded.run(
        "with mlflow.start_run(run_name='search'):\n"
        "    for depth in (1, 2):\n"
        "        with mlflow.start_run(run_name=f'trial {depth}', nested=True): mlflow.log_metric('rmse', depth)\n"
        "with mlflow.start_run(run_name='later'): mlflow.log_metric('rmse', 0)\n"
        "import afterglow\n"
        "afterglow.display_runs()\n"
        "afterglow.display_runs(order_by=['metrics.rmse DESC'])"
    )
    views = [[(each["name"], each["depth"]) for each in view.state()["runs"]] for view in notebook._cells._views]  # type: ignore[union-attr]
    search, trials, later = ("search", 0), [("trial 1", 1), ("trial 2", 1)], ("later", 0)
    assert views == [
        [search, *trials, later],
        [later, search, *reversed(trials)],
        [("trial 2", 0), ("trial 1", 0), later, search],
    ]
    assert "\n  trial 1" in loaded.outputs[0]["text/plain"]


def test_runs_that_name_each_other_as_parents_are_all_shown() -> None:
    runs = [
        {"id": "a", "parent": "b", "depth": 0},
        {"id": "b", "parent": "a", "depth": 0},
        {"id": "c", "parent": "c", "depth": 0},
    ]
    assert sorted(nested(runs), key=lambda run: run["id"]) == runs


def test_what_another_process_logs_is_read_from_mlflow_and_what_changes_later_is_shown_later(loaded: Notebook) -> None:
    loaded.run("run = mlflow.start_run(run_name='goes on')")
    run_id = loaded.shell.user_ns["run"].info.run_id
    store = mlflow.tracking._tracking_service.utils._get_store()  # type: ignore[no-untyped-call]
    store.log_metric(run_id, Metric("by another", 5.0, 0, 0))  # past every patch
    until(lambda: widget_state(loaded)["runs"][0]["metrics"] == {"by another": 5.0})
    loaded.run("mlflow.end_run()", cell_id="later")
    until(lambda: "Finished" in loaded.outputs[0]["text/html"] and "by another" in loaded.outputs[0]["text/html"])


def test_a_cell_that_is_executed_again_has_only_its_new_runs(loaded: Notebook) -> None:
    for _ in range(2):
        loaded.run("with mlflow.start_run(): pass")
    assert len(widget_state(loaded)["runs"]) == 1
    assert len(notebook._cells._views) == 1  # type: ignore[union-attr]


def test_names_that_would_be_markup_are_text(loaded: Notebook) -> None:
    loaded.shell.user_ns["hostile"] = HOSTILE
    loaded.run(
        "with mlflow.start_run(run_name=hostile):\n    mlflow.log_param('p', hostile)\n    mlflow.set_tag('t', hostile)"
    )
    [output] = loaded.outputs
    assert "<img" not in output["text/html"]
    assert "&lt;img" in output["text/html"]
    assert widget_state(loaded)["runs"][0]["name"] == HOSTILE


def test_after_unloading_nothing_is_shown(loaded: Notebook) -> None:
    loaded.run("%unload_ext afterglow")
    loaded.run("with mlflow.start_run(): pass")
    assert loaded.outputs == []
    loaded.run("%load_ext afterglow")
    loaded.run("with mlflow.start_run(): pass")
    assert len(loaded.outputs) == 1


def test_switched_off_it_says_so_and_shows_nothing(
    bench: Notebook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AFTERGLOW_DISABLED", "1")
    bench.run("%load_ext afterglow")
    bench.run("import mlflow\nwith mlflow.start_run(): pass")
    assert bench.outputs == []
    assert "AFTERGLOW_DISABLED" in caplog.text


# -- with a server -----------------------------------------------------------------------------------------------


def test_a_monitor_adds_its_link_its_word_and_what_spark_did_for_a_run_of_elsewhere(
    loaded: Notebook, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFTERGLOW_MONITOR_URL", served.address)
    monkeypatch.setenv("AFTERGLOW_TOKEN", "afterglow_of_nobody")
    # MLflow here does not know it, and Monitor does.
    loaded.shell.user_ns["log"] = lambda: hook.driver.run_logged_to(
        world.CV_PARENT, mlflow.get_tracking_uri(), LogCall("log_param", ("p", "q"), {})
    )
    loaded.run("log()")
    until(lambda: widget_state(loaded)["runs"][0]["missing"])
    [run] = widget_state(loaded)["runs"]
    assert (run["monitor"], run["spark"]) == (f"{served.address}/?page=run&id={world.CV_PARENT}", None)  # not let in
    monkeypatch.delenv("AFTERGLOW_TOKEN")
    loaded.run("log()", cell_id="another")
    until(lambda: notebook._cells._views[-1].state()["runs"][0]["spark"])  # type: ignore[union-attr]
    [known] = afterglow.search_runs(f"run_id = '{world.CV_PARENT}'", source=served.address).to_dict("records")
    use = notebook._cells._views[-1].state()["runs"][0]["spark"]  # type: ignore[union-attr]
    assert (use["jobs"], use["core_seconds"]) == (6, pytest.approx(known["total.core_seconds"]))


@pytest.mark.parametrize(
    ("by_monitor", "shown"), [("RUNNING", ("ORPHANED", "its driver is gone")), ("FAILED", ("RUNNING", ""))]
)
def test_monitors_word_counts_as_long_as_it_is_of_the_same_status(by_monitor: str, shown: tuple[str, str]) -> None:
    picture = RunPicture("a" * 32, "sqlite:///x")
    picture.details["status"] = "RUNNING"
    picture.monitor = {"status": by_monitor, "effective_status": "ORPHANED", "status_reason": "its driver is gone"}
    assert (picture.to_json()["status"], picture.to_json()["reason"]) == shown


# -- staying out of the way ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        ("RunsView", "state"), ("RunsView", "show"), ("RunsView", "publish"), ("RunsView", "add"),
        ("RunsView", "__init__"), ("Reading", "wake"), ("Reading", "picture"),
        ("RunPicture", "touch"), ("RunPicture", "log"), ("RunPicture", "end"),
    ],
)  # fmt: skip
def test_an_error_of_ours_reaches_no_cell(
    loaded: Notebook, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], owner: str, name: str
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("ours")

    from afterglow.notebook import picture, reading, view  # noqa: PLC0415

    [kind] = [getattr(each, owner) for each in (view, reading, picture) if hasattr(each, owner)][:1]
    monkeypatch.setattr(kind, name, broken)
    loaded.run("with mlflow.start_run() as run:\n    mlflow.log_metric('a', 1)")
    loaded.run("mlflow.MlflowClient().log_param(run.info.run_id, 'b', 2)")
    assert mlflow.get_run(loaded.shell.user_ns["run"].info.run_id).info.status == "FINISHED"
    assert "ours" not in "".join(capfd.readouterr())


def test_no_cell_waits_for_an_mlflow_that_has_stopped_answering(loaded: Notebook) -> None:
    """Its run is on a server that takes the reader's requests and never answers; the job's own are not sent there."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        loaded.shell.user_ns["touch"] = lambda number: hook.driver.run_terminated(f"{number:032x}", uri, "FINISHED")
        loaded.run("pass")
        took = []
        for number in range(7):
            began = time.monotonic()
            loaded.run(f"touch({number})", cell_id=f"cell {number}")
            took.append(time.monotonic() - began)
        assert len(loaded.outputs) == 7
        silent.settimeout(20)
        silent.accept()[0].close()  # it was asked
    assert statistics.median(took) < 0.05 + plain_cell(loaded)
    assert max(took) < 5


def test_a_reader_that_hangs_is_told_of_and_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("afterglow.notebook.background.SLOW_SECONDS", 0.05)
    done = threading.Event()
    slow, quick = Background("slow", lambda: done.wait(20) and None), Background("quick", lambda: None)
    asked, _ = slow.wake(), quick.wait(quick.wake(), 20)
    until(lambda: slow.hangs)
    assert not slow.wait(asked, 0)
    assert not quick.hangs
    done.set()
    assert slow.wait(asked, 20)


def test_without_what_the_extra_installs_it_says_what_to_install(
    bench: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    for name in ("widget", "view", "cells"):
        monkeypatch.delitem(sys.modules, f"afterglow.notebook.{name}", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"no module named anywidget: pip install 'afterglow\[notebook\]'"):
        afterglow.load_ipython_extension(bench.shell)


def test_a_driver_that_is_no_notebook_loads_nothing_for_notebooks() -> None:
    program = (
        "import afterglow, sys; afterglow.autolog()\n"
        "print({'IPython', 'anywidget', 'mlflow', 'afterglow.notebook'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "set()\n"


# -- display_runs ----------------------------------------------------------------------------------------------


@pytest.fixture
def three(bench: Notebook) -> list[Any]:
    runs = []
    for number in range(3):
        with mlflow.start_run(run_name=f"run {number}") as run:
            mlflow.log_metric("rmse", number)
            mlflow.log_param("depth", number)
        runs.append(run)
    return runs


@pytest.mark.parametrize("how", ["id", "ids", "run", "runs", "frame", "experiment", "filter", "active experiment"])
def test_any_selection_of_runs_is_displayed(bench: Notebook, three: list[Any], how: str) -> None:
    ids = [run.info.run_id for run in three]
    ways: dict[str, tuple[Any, dict[str, Any], list[int]]] = {
        "id": (ids[1], {}, [1]),
        "ids": (ids, {}, [0, 1, 2]),
        "run": (three[2], {}, [2]),
        "runs": (three[:2], {}, [0, 1]),
        "frame": (mlflow.search_runs(order_by=["metrics.rmse"]), {}, [0, 1, 2]),
        "experiment": (
            None,
            {
                "experiment_names": [mlflow.get_experiment(three[0].info.experiment_id).name],
                "order_by": ["metrics.rmse"],
                "max_results": 2,
            },
            [0, 1],
        ),
        "filter": (None, {"filter_string": "metrics.rmse > 1"}, [2]),
        "active experiment": (None, {"order_by": ["metrics.rmse DESC"]}, [2, 1, 0]),
    }
    runs, search, expected = ways[how]
    bench.shell.user_ns.update(runs=runs, search=search)
    bench.run("import afterglow\nafterglow.display_runs(runs, **search)")
    [output] = bench.outputs
    assert WIDGET in output
    names = [run["name"] for run in widget_state(bench)["runs"]]
    assert names == [f"run {number}" for number in expected]
    assert all(name in output["text/plain"] for name in names)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"runs": [3]}, "3 is neither a run id nor an MLflow run"),
        ({"runs": []}, "there are no such runs"),
        ({"experiment_names": ["nowhere"]}, "there is no experiment 'nowhere'"),
        ({"runs": ["0" * 32], "filter_string": "metrics.a > 1"}, "give either runs, or"),
    ],
)
def test_what_names_no_runs_is_refused(bench: Notebook, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        afterglow.display_runs(**given)


def test_outside_of_ipython_runs_are_printed(
    three: list[Any], bench: Notebook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(notebook, "shell", lambda: None)
    afterglow.display_runs(three)
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == "3 runs"
    assert [line.split()[:2] for line in printed.splitlines()[2:]] == [["run", str(n)] for n in range(3)]


# -- a real kernel -----------------------------------------------------------------------------------------------


def test_what_the_readme_and_the_docs_show_runs_in_a_notebook_without_anybody_there(
    tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "Default")
    pages = [(ROOT / name).read_text() for name in ("README.md", "docs/notebook.md")]
    cells = [cell for page in pages for cell in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)]
    cells = [cell for cell in cells if "afterglow.search_runs" not in cell]  # those ask a server: test_python_api.py
    assert len(cells) == 4
    file = write_notebook(tmp_path / "docs.ipynb", cells)
    book = nbformat.read(file, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(book, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()

    shown = [[each for each in cell.outputs if each.output_type == "display_data"] for cell in book.cells]
    assert [len(outputs) for outputs in shown] == [1, 1, 1, 4]
    states = book.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    for outputs in shown:
        for output in outputs:
            assert {WIDGET, "text/html", "text/plain"} == set(output.data)
            state = states[output.data[WIDGET]["model_id"]]["state"]
            assert state["own_id"] == output.data[WIDGET]["model_id"]
            assert all(run["name"] in output.data["text/html"] for run in state["state"]["runs"])
    assert ["0.25" in shown[0][0].data["text/html"], "Running" in shown[0][0].data["text/html"]] == [True, False]
    assert "depth 8" in shown[1][0].data["text/plain"]
    assert "depth 2" not in shown[1][0].data["text/plain"]


KEPT_WAITING = """\
import threading, time, mlflow
from afterglow.notebook.background import Background
from afterglow.notebook.cells import Cells
delays = [0.0]  # seconds that we took of each cell's thread, and that it waited for us
def measured(owner, name, clock):
    method = getattr(owner, name)
    def wrapped(*given, **named):
        began = clock()
        try: return method(*given, **named)
        finally:
            if threading.current_thread() is threading.main_thread(): delays[-1] += clock() - began
    setattr(owner, name, wrapped)
for name in ("cell_begins", "touched", "logged", "ended", "cell_ends"): measured(Cells, name, time.thread_time)
measured(Background, "wait", time.monotonic)
%load_ext afterglow
def one_run():
    with mlflow.start_run():
        mlflow.log_params({"depth": 3, "trees": 50})
        for step in range(20): mlflow.log_metric("loss", 1 / (step + 1), step=step)"""


@pytest.mark.matrix  # what waits for a busy machine is longer
def test_a_cell_of_a_real_kernel_is_kept_waiting_for_less_than_50_ms(
    tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "Default")
    many = "for _ in range(60): mlflow.MlflowClient().create_run('0')"
    cells = [f"delays.append(0.0)\n{cell}" for cell in ("one_run()", "for _ in range(5): one_run()", many)]
    book = nbformat.read(write_notebook(tmp_path / "x.ipynb", [KEPT_WAITING, *cells, "delays"]), as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(book, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [[each.output_type for each in cell.outputs].count("display_data") for cell in book.cells[1:-1]]
    assert shown == [1, 1, 1]  # beside what MLflow says of a new database
    _, *delays = json.loads(book.cells[-1].outputs[0].data["text/plain"])
    assert min(delays) > 0.001
    assert max(delays) < 0.05, delays


# -- what the tests look with ----------------------------------------------------------------------------------


def jupyter_tags(run_id: str) -> dict[str, str]:
    tags = mlflow.get_run(run_id).data.tags
    return {key: value for key, value in tags.items() if key.startswith("jupyter.")}


def widget(bench: Notebook) -> Any:
    """The first widget that is displayed."""
    view = notebook._cells._views[0]  # type: ignore[union-attr]
    return view._widget


def widget_state(bench: Notebook) -> dict[str, Any]:
    state: dict[str, Any] = widget(bench).state
    return state


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def plain_cell(bench: Notebook) -> float:
    """What IPython itself takes for a cell here: the median of a few, in seconds."""
    took = []
    for _ in range(5):
        began = time.monotonic()
        bench.run("pass")
        took.append(time.monotonic() - began)
    return statistics.median(took)
