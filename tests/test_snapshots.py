"""Snapshots: what a run was stays as it was, is listed, and is told apart from what it is now."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from afterglow_monitor.cli import cli
from afterglow_monitor.settings import SyncSettings
from afterglow_store import Store, diff, ingest_file, open_store, snapshots
from afterglow_store.diff import between
from afterglow_store.errors import NotFound
from afterglow_store.schema import snapshot_content
from tests.support.journals import TRACKING_URI, Journal, run_id_of

START = 1_790_000_000_000
RUN = run_id_of("kept")
ALWAYS = SyncSettings(recent_interval_seconds=0.001, sweep_interval_seconds=0.001)
BEFORE: dict[str, Any] = {
    "run_id": RUN,
    "run_name": "first",
    "status": "RUNNING",
    "start_time": START,
    "end_time": None,
    "params": {"depth": "5", "gone": "x"},
    "metrics": {"rmse": 0.5, "broken": "NaN"},
    "tags": {"team": "a"},
    "outputs": [{"path": "a.txt", "size": 1}, {"path": "b.txt", "size": 2}],
    "registered_versions": [],
}


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = open_store(store_url)
    yield opened
    opened.close()


def journal_of(folder: Path, name: str = "train", start: int = START) -> Path:
    """An application with one run, which leaves two snapshots."""
    journal = Journal(folder, f"app-{name}", name=name, start=start)
    run = journal.run_start(run_id_of(name), name, params={"depth": "5"})
    journal.run_end(run, metrics={"loss": 0.5})
    return journal.end()


def test_differences_come_in_the_order_for_reading_and_say_what_was_and_what_is() -> None:
    after = copy.deepcopy(BEFORE) | {"status": "FINISHED", "end_time": START + 1, "run_name": "renamed"}
    after["params"] = {"depth": "6"}
    after["metrics"]["rmse"] = 0.25
    after["tags"]["quality"] = "good"
    after["outputs"] = [{"path": "a.txt", "size": 3}]
    after["registered_versions"] = [{"name": "wine", "version": "10"}, {"name": "wine", "version": "9"}]
    assert [(each.kind, each.name, each.how, each.before, each.after) for each in between(BEFORE, after)] == [
        ("run", "status", "changed", "RUNNING", "FINISHED"),
        ("run", "run_name", "changed", "first", "renamed"),
        ("run", "end_time", "added", None, START + 1),
        ("metric", "rmse", "changed", 0.5, 0.25),
        ("param", "depth", "changed", "5", "6"),
        ("param", "gone", "removed", "x", None),
        ("registered model", "wine", "added", None, "v9, v10"),
        ("output file", "a.txt", "changed", 1, 3),
        ("output file", "b.txt", "removed", 2, None),
        ("tag", "quality", "added", None, "good"),
    ]


def test_what_nobody_had_looked_for_has_not_come_or_gone() -> None:
    unasked = {key: value for key, value in BEFORE.items() if key not in ("outputs", "registered_versions")}
    assert between(unasked, BEFORE) == between(BEFORE, unasked) == between(BEFORE, BEFORE) == []


def test_snapshots_are_listed_for_a_run_an_experiment_and_an_application_newest_first(
    store: Store, tmp_path: Path
) -> None:
    for number, name in enumerate(("train", "score")):
        ingest_file(store, journal_of(tmp_path, name, START + number * 60_000), now=START)
    with store.read() as conn:
        of_run = snapshots.listed(conn, snapshots.Of(run_id=run_id_of("train")))
        of_app = snapshots.listed(conn, snapshots.Of(application_id=of_run[0]["application_id"]))
        of_experiment = snapshots.listed(conn, snapshots.Of(experiment=(TRACKING_URI, "1")))
        second_page = snapshots.listed(conn, snapshots.Of(experiment=(TRACKING_URI, "1")), limit=2, offset=2)
        contents = conn.scalar(sa.select(sa.func.count()).select_from(snapshot_content))
    assert [row["cause"] for row in of_run] == ["application end", "run end"]
    assert of_app == of_run
    assert [row["run_name"] for row in of_experiment] == ["score", "score", "train", "train"]
    assert second_page == of_run
    assert of_run[0]["app_id"] == "app-train"
    assert of_run[0]["content_hash"] == of_run[1]["content_hash"]  # two moments, one content
    assert contents == 2
    assert all(0 < row["content_bytes"] < 1_000 for row in of_experiment)


def test_a_snapshot_or_a_present_that_is_not_there_is_said_so(store: Store, tmp_path: Path) -> None:
    with store.read() as conn, pytest.raises(NotFound, match="snapshot 7 is not in the store"):
        diff.of_snapshots(conn, 7, None)
    with store.write() as conn:
        snapshots.take(conn, "run", RUN, BEFORE, time=START, cause=snapshots.SYNC)
    with store.read() as conn, pytest.raises(NotFound, match=f"run {RUN} is not in the store any more"):
        diff.of_snapshots(conn, 1, None)


def test_the_command_line_lists_shows_and_compares(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    ingest_file(store, journal_of(tmp_path / "journal"), now=START)
    with store.write() as conn:
        snapshots.take(
            conn,
            "run",
            run_id_of("train"),
            BEFORE | {"run_id": run_id_of("train")},
            time=START - 1,
            cause=snapshots.SYNC,
        )
    store.close()

    def afterglow(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(cli, arguments, env={"AFTERGLOW_HOME": str(tmp_path)})
        assert done.exit_code == code, done.output
        return done.output

    listed = orjson.loads(afterglow("snapshots", "--app", "app-train", "--json"))
    assert [row["cause"] for row in listed] == ["application end", "run end"]
    assert orjson.loads(afterglow("snapshots", "--experiment", "wine-quality", "--limit", "2", "--json")) == listed
    assert "sync" in afterglow("snapshots", "--run", run_id_of("train"))
    shown = orjson.loads(afterglow("snapshot", str(listed[0]["id"])))
    assert (shown["taken_time"], shown["content"]["params"]) == (listed[0]["taken_time"], {"depth": "5"})
    assert afterglow("diff", str(listed[0]["id"])) == "Nothing has changed.\n"
    changes = orjson.loads(afterglow("diff", "3", "now", "--json"))
    assert changes[0] | {"change": ""} == {
        "kind": "run", "name": "status", "change": "", "before": "RUNNING", "after": "FINISHED",
    }  # fmt: skip
    assert "wine-quality" not in afterglow("diff", "1", "2")
    assert "snapshot 99 is not in the store" in afterglow("diff", "1", "99", code=1)
    assert "neither the number of a snapshot nor now" in afterglow("diff", "1", "then", code=2)
    for option in ("--run", "--experiment", "--app"):
        assert "is not in the store" in afterglow("snapshots", option, "unheard-of", code=1)
