"""The command line: what it lists, how it says what is wrong."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from afterglow_monitor.cli import COMMANDS, cli
from afterglow_store import ingest_file, open_store
from tests.support.journals import Journal, run_id_of

START = 1_790_000_000_000  # 2026-09-21
DAY = 86_400_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with three applications, the last of them a minute ago in the data's own time."""
    folder = tmp_path_factory.mktemp("cli")
    for number, name in enumerate(("train", "score", "train")):
        made = Journal(folder / "journal", f"app-{number}", name=name, start=START + number * DAY)
        run = made.run_start(run_id_of(f"run {number}"), f"run {number}", experiment_id=f"{number % 2}")
        made.job(run_id_of(f"run {number}"), error="no room" if number == 1 else None)
        made.run_end(run, status="FAILED" if number == 1 else "FINISHED", metrics={"loss": 0.5, "odd": "NaN"})
        made.end()
    store = open_store(f"sqlite:///{folder / 'store.db'}")
    for path in sorted((folder / "journal").glob("*")):
        ingest_file(store, path, now=START)
    store.close()
    return folder


def afterglow(home: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "afterglow_monitor.cli", *arguments],
        env={**os.environ, "AFTERGLOW_HOME": str(home), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def listed(home: Path, *arguments: str) -> list[Mapping[str, Any]]:
    done = afterglow(home, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    rows: list[Mapping[str, Any]] = orjson.loads(done.stdout)
    return rows


def test_a_run_has_at_least_what_it_promises(home: Path) -> None:
    run = listed(home, "runs", "--since", "all", "--limit", "1")[0]
    promised = (
        "run_id name experiment experiment_id tracking_uri status effective_status start_time end_time duration_s user "
        "source registered_version applications parent_run_id params metrics tags"
    )
    assert set(promised.split()) <= set(run)
    assert run["start_time"].endswith("Z")
    assert run["applications"] == ["app-2"]
    assert run["metrics"] == {"loss": 0.5, "odd": "NaN"}


def test_an_application_has_at_least_what_it_promises(home: Path) -> None:
    promised = (
        "app_id attempt name status start_time end_time duration_s user master spark_version runs experiments jobs "
        "failed_jobs core_seconds"
    )
    app = listed(home, "apps", "--since", "all")[0]
    assert set(promised.split()) <= set(app)
    assert (app["app_id"], app["runs"], app["jobs"]) == ("app-2", 1, 1)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--since", "all"], ["run 2", "run 1", "run 0"]),
        (["--since", "2026-09-22"], ["run 2", "run 1"]),
        (["--since", "2026-09-22", "--until", "2026-09-23"], ["run 1"]),
        (["--since", "all", "--status", "failed"], ["run 1"]),
        (["--since", "all", "--status", "FAILED", "--status", "FINISHED", "--limit", "2"], ["run 2", "run 1"]),
        (["--since", "all", "--app", "app-0"], ["run 0"]),
        (["--since", "all", "--app", "train"], ["run 2", "run 0"]),
        (["--since", "all", "--experiment", "1"], ["run 1"]),
        (["--since", "1h"], []),
    ],
)
def test_runs_are_selected_by_window_status_application_and_experiment(
    home: Path, arguments: list[str], expected: list[str]
) -> None:
    assert [row["name"] for row in listed(home, "runs", *arguments)] == expected


def test_applications_and_experiments_are_selected_the_same_way(home: Path) -> None:
    assert [row["app_id"] for row in listed(home, "apps", "--since", "all", "--app", "train")] == ["app-2", "app-0"]
    assert [row["experiment_id"] for row in listed(home, "experiments", "--since", "all")] == ["0", "1"]
    of_score = listed(home, "experiments", "--since", "all", "--app", "score")
    assert [(row["experiment_id"], row["runs"], row["failed_runs"]) for row in of_score] == [("1", 1, 1)]


def test_without_json_it_is_a_table_that_says_when_there_is_more(home: Path) -> None:
    done = afterglow(home, "runs", "--since", "all", "--limit", "2")
    lines = done.stdout.splitlines()
    assert lines[0].split()[:2] == ["run", "id"]
    assert len(lines) == 3
    assert "2 of 3: more with --limit" in done.stderr


def test_an_empty_window_says_how_to_widen_it(home: Path) -> None:
    assert "Widen it with --since" in afterglow(home, "apps", "--since", "1h").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs", "--since", "yesterday"], "'yesterday' is no time: use a span such as 30d"),
        (["runs", "--since", "2026-09-23", "--until", "2026-09-22"], "ends (2026-09-22) before it begins"),
        (["sync"], "no tracking server is configured"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_1(home: Path, arguments: list[str], message: str) -> None:
    done = afterglow(home, *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_bad_settings_and_a_bad_store_are_one_line(home: Path, tmp_path: Path) -> None:
    (tmp_path / "afterglow.toml").write_text("[monitor]\nprot = 1\n")
    done = afterglow(tmp_path, "runs")
    assert (done.returncode, "there is no setting monitor.prot" in done.stderr) == (1, True)
    done = afterglow(home, "runs", AFTERGLOW_STORE_URL="postgresql+psycopg://x:hunter2@127.0.0.1:1/none")
    assert done.returncode == 1
    assert "does not answer" in done.stderr
    assert "hunter2" not in done.stderr


def test_ingest_says_what_it_took_in_and_what_it_refused(home: Path, tmp_path: Path) -> None:
    first = afterglow(tmp_path, "ingest", str(home / "journal"))
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("3 logs: ")
    assert afterglow(tmp_path, "ingest", str(home / "journal")).stdout == "3 logs: 0 new lines (0 bytes)\n"
    broken = tmp_path / "broken"
    broken.mkdir()
    Journal(broken, "app-9", name="good", start=START).end()
    afterglow(tmp_path, "ingest", str(broken))
    shrunk = next(broken.glob("*.jsonl"))
    shrunk.write_text("")
    Journal(broken, "app-8", name="other", start=START).end()
    done = afterglow(tmp_path, "ingest", str(broken))
    assert done.returncode == 1
    assert "Refused:" in done.stderr
    assert "has shrunk" in done.stderr
    assert "app-8" in afterglow(tmp_path, "apps", "--since", "all").stdout


def test_every_command_has_a_help_text() -> None:
    for name in COMMANDS:
        command = cli.get_command(None, name)  # type: ignore[arg-type]
        assert command is not None
        assert command.help, name


def test_a_command_whose_part_is_not_installed_says_what_to_install(home: Path) -> None:
    script = "import sys; sys.modules['sqlalchemy'] = None; from afterglow_monitor.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", script, "runs"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'afterglow[monitor]'" in done.stderr


def test_runs_are_filtered_and_ordered_by_what_mlflow_knows_and_what_spark_did(home: Path) -> None:
    asked = ("--since", "all", "--filter", "metrics.loss < 0.8 AND (status = 'FINISHED' OR spark.failed_jobs > 9)")
    assert [row["name"] for row in listed(home, "runs", *asked)] == ["run 2", "run 0"]
    assert [row["name"] for row in listed(home, "runs", *asked, "--order-by", "start_time")] == ["run 0", "run 2"]
    apps = listed(home, "apps", "--since", "all", "--filter", "failed_jobs > 0 AND name LIKE 's%'")
    assert [row["app_id"] for row in apps] == ["app-1"]


def test_a_filter_that_cannot_be_read_is_shown_with_the_place(home: Path) -> None:
    done = afterglow(home, "runs", "--filter", "metrics.loss << 1")
    assert done.returncode == 1
    assert "metrics.loss << 1" in done.stderr
    assert "^" in done.stderr
