"""How soon a run is in the store: a real server, and the worker that `afterglow up` starts."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from mlflow import MlflowClient

from afterglow_monitor.running.up import Worker
from afterglow_monitor.settings import SyncSettings
from afterglow_store import Store, open_store, tracking

ALLOWED_SECONDS = 2.0  # beside the poll interval
RUNS = 5  # the one in the middle counts: a machine that runs tests does other things as well


@pytest.fixture(params=["client", "database"])
def store(
    request: pytest.FixtureRequest, afterglow_home: Path, mlflow_server: str, mlflow_folder: Path
) -> Iterator[Store]:
    """That of a worker which is at work, and has loaded what the server had."""
    database = f'database = "sqlite:///{mlflow_folder / "mlflow.db"}"' if request.param == "database" else ""
    afterglow_home.mkdir()
    (afterglow_home / "afterglow.toml").write_text(f'[[mlflow]]\nname = "team"\nuri = "{mlflow_server}"\n{database}\n')
    worker = Worker()
    with closing(open_store(f"sqlite:///{afterglow_home / 'store.db'}")) as opened:
        worker.start()
        try:
            _until(lambda: _loaded(opened))
            yield opened
        finally:
            worker.stop()


def _loaded(store: Store) -> bool:
    with store.read() as conn:
        return any(row["loaded_time"] is not None for row in tracking.servers(conn))


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def _seconds_to_the_store(store: Store, client: MlflowClient, experiment: str) -> float:
    def there() -> bool:
        with store.read() as conn:
            return run_id in tracking.workspaces_of(conn, [run_id])

    run_id = client.create_run(experiment).info.run_id
    made = time.monotonic()
    _until(there)
    return time.monotonic() - made


def test_a_new_run_is_in_the_store_within_two_seconds_of_the_poll_interval(store: Store, client: MlflowClient) -> None:
    experiment = client.create_experiment(f"in time {uuid4().hex[:8]}")
    taken = sorted(_seconds_to_the_store(store, client, experiment) for _ in range(RUNS))
    assert taken[RUNS // 2] < SyncSettings().interval_seconds + ALLOWED_SECONDS, taken
