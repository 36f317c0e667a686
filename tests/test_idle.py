"""What a server does where nothing happens: few questions, none of which grows with what there is."""

import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from mlflow import MlflowClient

from afterglow_monitor.clock import now_ms
from afterglow_monitor.running.worker import schedule
from afterglow_monitor.settings import JournalSettings, MlflowServer, Settings, SyncSettings
from afterglow_monitor.syncing import sync
from afterglow_monitor.syncing.sync import ServerSync
from afterglow_monitor.syncing.turns import Followed, Turn
from afterglow_store import Store, open_store, tracking
from afterglow_store.comparing import runs_to_follow
from afterglow_store.judge import judge
from tests.support.meddling import Answer, meddling_proxy
from tests.support.tracking import free_port

NEVER = 1_000_000.0
QUIET = SyncSettings(recent_interval_seconds=NEVER, sweep_interval_seconds=NEVER)


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url)
    yield opened
    opened.close()


def test_a_pass_with_nothing_new_asks_for_changed_experiments_new_runs_and_few_running_ones(
    store: Store, mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "LOAD_SECONDS", 60)
    client = MlflowClient(mlflow_server, mlflow_server)
    experiment = client.create_experiment(f"idle {uuid4().hex[:8]}")
    for _ in range(Followed.ALWAYS + 5):
        client.create_run(experiment)
    asked: list[tuple[str, int]] = []

    def note(path: str, answer: Answer) -> Answer:
        asked.append((path.rpartition("mlflow/")[2], answer[1].count(b'"run_uuid"')))
        return answer

    with meddling_proxy(mlflow_server) as proxy:
        synced = ServerSync(store, MlflowServer(name="team", uri=proxy.uri), QUIET)
        later = now_ms() + 7_200_000  # after the starts of runs that other tests have made
        synced.read(later)
        synced.read(later)
        proxy.meddle = note
        assert synced.read(later) == 0
    assert [path for path, _ in asked] == ["experiments/search", "runs/search", "runs/search"]
    assert asked[1][1] <= 2  # the newest that is known, and what started in its millisecond
    assert asked[2][1] == Followed.ALWAYS


@pytest.fixture
def explained(store: Store) -> Callable[[], list[str]]:
    """How SQLite finds what was asked for since."""
    plans: list[str] = []

    @sa.event.listens_for(store.engine, "before_cursor_execute")
    def explain(conn: sa.Connection, _cursor: object, statement: str, values: tuple[object, ...], *_: object) -> None:
        if statement.startswith(("SELECT", "UPDATE")):
            raw = conn.connection.dbapi_connection
            assert raw is not None
            found = raw.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            plans.extend(row[3] for row in found)

    return lambda: plans


def test_what_the_store_is_asked_again_and_again_goes_through_indexes(
    store: Store, explained: Callable[[], list[str]]
) -> None:
    with store.write() as conn:
        runs_to_follow(conn, "team", 1_000)
        judge(conn, now=now_ms(), server_started=0, grace_ms=1)
    plans = explained()
    assert len(plans) > 4
    assert [plan for plan in plans if plan.startswith("SCAN") or "ORDER BY" in plan] == []


def test_a_server_that_hangs_or_is_down_holds_up_no_other_and_is_shown(
    store: Store, mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "8")
    client = MlflowClient(mlflow_server, mlflow_server)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        servers = (
            MlflowServer(name="hung", uri=f"http://127.0.0.1:{silent.getsockname()[1]}"),
            MlflowServer(name="down", uri=f"http://127.0.0.1:{free_port()}"),
            MlflowServer(name="team", uri=mlflow_server),
        )
        journal = JournalSettings(folders=(str(tmp_path / "journal"),))
        quick = SyncSettings(interval_seconds=0.2)
        scheduler = schedule(store, Settings(home=tmp_path, journal=journal, sync=quick, mlflow=servers))
        scheduler.start()
        try:
            _until(lambda: _known(store)["team"]["loaded_time"] is not None)
            run_id = client.create_run(client.create_experiment(f"beside {uuid4().hex[:8]}")).info.run_id
            _until(lambda: _has(store, run_id))
            _until(lambda: _known(store)["hung"]["last_error"] is not None)
            known = _known(store)
        finally:
            silent.close()
            scheduler.shutdown(wait=True)
    assert known["team"]["last_error"] is None
    assert re.search(r"not answered for|timed out", known["hung"]["last_error"])
    assert "127.0.0.1" in known["down"]["last_error"]
    assert known["hung"]["last_sync_time"] is None


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def _known(store: Store) -> dict[str, dict[str, Any]]:
    with store.read() as conn:
        return {str(row["name"]): row for row in tracking.servers(conn)}


def _has(store: Store, run_id: str) -> bool:
    with store.read() as conn:
        return run_id in tracking.workspaces_of(conn, [run_id])


def test_a_turn_comes_after_its_interval_and_a_rest_for_what_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("afterglow_monitor.syncing.turns.time.monotonic", lambda: clock[0])
    turn = Turn(5.0, 0.1, most=30.0)
    assert turn.due()
    for took, next_due in ((0.1, 5.0), (2.0, 20.0), (60.0, 90.0)):
        began = clock[0]
        clock[0] += took
        turn.taken(began)
        clock[0] = began + next_due - 0.001
        assert not turn.due()
        assert turn.due(early=0.01)
        clock[0] = began + next_due + 0.001
        assert turn.due()


def test_running_runs_that_have_long_been_as_they_are_are_asked_for_more_rarely() -> None:
    hour = 3_600_000
    runs = {f"new {nth}": 0 for nth in range(Followed.ALWAYS)} | {"hours old": 0, "a minute old": 3 * hour - 60_000}
    followed = Followed()
    assert followed.due(runs, 3 * hour) == list(runs)  # it may have changed while nobody looked
    newest = list(runs)[: Followed.ALWAYS]
    assert followed.due(runs, 3 * hour + 1_000) == newest
    assert followed.due(runs, 3 * hour + 21_000) == [*newest, "a minute old"]
    assert followed.due(runs, 3 * hour + Followed.LONGEST_MS) == list(runs)
    assert followed.due({"another": 0}, 3 * hour) == ["another"]
