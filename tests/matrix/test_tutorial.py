"""The tutorial word for word: from the built wheel, in a fresh folder and HOME, to the runs in Monitor."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyspark
import pytest
from playwright.sync_api import Page

from tests.support.monitor import Grid, answers
from tests.support.parts import ROOT, require
from tests.support.tracking import free_port
from tests.test_wheel import build

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(600)]

BLOCKS = re.findall(r"^```bash\n(.*?)^```", (ROOT / "docs" / "tutorial.md").read_text(), re.DOTALL | re.MULTILINE)
PORTS = ("MLFLOW_PORT", "MONITOR_PORT", "SPARK_PORT", "SPARK_UI_PORT")
# What a person has not set. The environments of the tests and of `make` are not theirs.
NOT_THEIRS = re.compile(r"(AFTERGLOW|SPARK|PYSPARK|STREAMLIT|PYTHON|VIRTUAL_ENV|MLFLOW_TRACKING|UV_PYTHON)")
SECONDS = 500.0
NAMES = ["never done", "strength 5.0", "strength 0.5", "strength 0.0"]  # newest first


@dataclass
class Tutorial:
    """Somebody who follows it in `folder`, in a shell that waits before the last commands."""

    folder: Path
    ports: dict[str, str] = field(default_factory=lambda: {name: str(free_port()) for name in PORTS})

    def script(self) -> str:
        *commands, stop = BLOCKS
        wait = "touch reached\nuntil [ -e go-on ]; do sleep 0.2; done\n"
        return "".join(["set -eo pipefail\n", *commands, wait, stop])

    def environment(self) -> dict[str, str]:
        theirs = {name: value for name, value in os.environ.items() if not NOT_THEIRS.match(name)}
        path = [str(self.folder / "bin"), str(require("uv").parent), *os.environ["PATH"].split(os.pathsep)]
        return {
            **theirs,
            **self.ports,
            "PATH": os.pathsep.join(each for each in path if each != str(Path(sys.executable).parent)),
            "HOME": str(self.folder / "home"),
            "UV_CONSTRAINT": str(locked(self.folder)),  # else what is new since then is installed
            "UV_FIND_LINKS": ",".join(map(str, folders_of_built_wheels())),
            "UV_PYTHON_DOWNLOADS": "never",
            "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # seven JVMs that live for seconds
        }

    def afterglow(self, *arguments: str) -> list[dict[str, Any]]:
        """What a command of the installed Afterglow says in JSON."""
        environment = {**self.environment(), "AFTERGLOW_HOME": str(self.folder / "afterglow")}
        program = self.folder / "env" / "bin" / "afterglow"
        done = subprocess.run([program, *arguments, "--json"], env=environment, capture_output=True, check=True)
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    @property
    def monitor(self) -> str:
        return f"http://127.0.0.1:{self.ports['MONITOR_PORT']}"

    def rest(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.monitor}/api/v1{path}", timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    @property
    def log(self) -> str:
        return "\n".join(f"{path.name}:\n{path.read_text()[-3000:]}" for path in self.folder.glob("*.log"))


def locked(folder: Path) -> Path:
    """The locked versions, as constraints."""
    file = folder / "constraints.txt"
    if not file.exists():
        what = ["--locked", "--all-extras", "--no-emit-project", "--no-hashes"]
        command = [str(require("uv")), "export", "--quiet", *what, "--output-file", str(file)]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return file


def folders_of_built_wheels() -> Iterator[Path]:
    """Where uv keeps the pyspark that it has built. Asked for by name it builds it again: a minute or two."""
    kept = Path(os.environ["UV_CACHE_DIR"]).glob(f"sdists-*/*/pyspark/{pyspark.__version__}/*/*.whl")
    return (wheel.parent for wheel in kept if wheel.is_file())


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator["tuple[Tutorial, subprocess.Popen[bytes]]"]:
    """The tutorial up to the point where one stops what still runs, and its shell."""
    for part in ("java", "jar", "uv"):
        require(part)
    tutorial = Tutorial(tmp_path_factory.mktemp("tutorial"))
    prepare(tutorial.folder)
    with (tutorial.folder / "shell.log").open("wb") as log:
        command = ["bash", "-c", tutorial.script()]
        popen = subprocess.Popen(
            command, cwd=tutorial.folder, env=tutorial.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + SECONDS
        while not (tutorial.folder / "reached").exists():
            assert popen.poll() is None, tutorial.log
            assert time.monotonic() < deadline, tutorial.log
            time.sleep(0.2)
        yield tutorial, popen
    finally:
        if anything_runs(popen.pid):
            os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()


def prepare(folder: Path) -> None:
    """The wheel, alone; a home; and the Python that a person has, not that of these tests."""
    assert (built := build(ROOT, folder)).returncode == 0, built.stderr
    for name in ("home", "bin"):
        (folder / name).mkdir()
    (folder / "bin" / "python3").symlink_to(Path(sys.executable).resolve())


def anything_runs(session: int) -> bool:
    """Whether a process of this session is there and is no zombie: nobody may be there to reap an orphan."""
    states = [stat.rpartition(")")[2].split() for stat in stats()]
    return any(int(its) == session and state != "Z" for state, _, _, its, *_ in states)


def stats() -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            yield process.read_text()


@pytest.fixture
def tutorial(shell: "tuple[Tutorial, subprocess.Popen[bytes]]") -> Tutorial:
    return shell[0]


def test_each_run_is_there_with_its_application_and_its_jobs(tutorial: Tutorial) -> None:
    runs = tutorial.afterglow("runs")
    assert [run["name"] for run in runs] == NAMES
    assert [run["status"] for run in runs] == ["FINISHED"] * 4  # MLflow's word
    assert [run["effective_status"] for run in runs] == ["SUSPECT", "FINISHED", "FINISHED", "FINISHED"]
    assert "no fares today" in runs[0]["status_reason"]
    names = {each["app_id"]: each["name"] for each in tutorial.afterglow("apps")}
    applications = [[names[app_id] for app_id in run["applications"]] for run in runs]
    assert applications == [["broken fares"], *[["taxi fares"]] * 3]
    assert all(run["jobs"] >= 1 and run["core_seconds"] > 0 for run in runs)


def test_the_applications_ran_on_both_workers_and_show_how_they_ended(tutorial: Tutorial) -> None:
    failed, succeeded = tutorial.afterglow("apps")
    assert [failed["status"], succeeded["status"]] == ["FAILED", "SUCCEEDED"]
    assert succeeded["master"] == f"spark://127.0.0.1:{tutorial.ports['SPARK_PORT']}"
    executors = tutorial.rest(f"/applications/{succeeded['app_id']}/executors")["executors"]
    assert sorted(each["executor_id"] for each in executors) == ["0", "1"]


def test_rest_says_the_same(tutorial: Tutorial) -> None:
    said, shown = tutorial.rest("/runs")["runs"], tutorial.afterglow("runs")
    assert said
    for row in (*said, *shown):
        row.pop("suggested_application", None)  # the command line's, for runs without an application
    assert said == shown


def test_monitor_shows_the_runs(tutorial: Tutorial, page: Page) -> None:
    assert answers(tutorial.monitor)
    page.goto(f"{tutorial.monitor}/?tab=runs")
    rows = Grid(page)
    rows.row("never done")
    shown = rows.texts()
    assert [name for name in NAMES if not any(name in row for row in shown)] == []


def test_nothing_is_left_in_the_home_folder(tutorial: Tutorial) -> None:
    assert not (tutorial.folder / "home" / ".afterglow").exists()


def test_what_was_started_is_stopped(shell: "tuple[Tutorial, subprocess.Popen[bytes]]") -> None:
    tutorial, popen = shell
    (tutorial.folder / "go-on").touch()
    assert popen.wait(60) == 0, tutorial.log
    deadline = time.monotonic() + 30
    while anything_runs(popen.pid):
        assert time.monotonic() < deadline, tutorial.log
        time.sleep(0.2)
