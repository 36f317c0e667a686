"""MLflow's database read past its server: the same runs, down to the last digit, on both databases."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from typing import Any
from uuid import uuid4

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from afterglow.run_details import RunDetails, registered_versions
from afterglow_monitor.errors import BadTrackingDatabase
from afterglow_monitor.syncing import tracking_database
from afterglow_monitor.syncing.sources import RunSource
from afterglow_monitor.syncing.tracking_connections import named_database
from afterglow_monitor.syncing.tracking_database import TrackingDatabase
from afterglow_monitor.syncing.tracking_server import TrackingServer
from afterglow_store import open_store
from tests.support.databases import PostgresCluster
from tests.support.generated import NOW, RUNS

DAY = 86_400_000
ODD = 'a "quoted" \\ back\nslash \t\x01 é 漢字 🙂 \' %s {value} ?'
ODD_KEY = "a key: of/odd.parts-_"
NUMBERS = {"nan": "nan", "high": "inf", "low": "-inf", "tenth": "0.1", "tiny": "5e-324", "two": "2"}


def runs_of(source: RunSource, **asked: Any) -> dict[str, RunDetails]:
    return {run["run_id"]: run for details, _ in source.chunks(**asked) for run in details}


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking_database, "CHUNK", 7)
    monkeypatch.setattr(tracking_database, "LISTED", 30)


def log_everything(client: MlflowClient) -> list[str]:
    """Runs with all that a run can have, of an experiment of their own; their ids."""
    experiment = client.create_experiment(f"direct {uuid4().hex[:8]}", tags={"why": ODD})
    tags = {"mlflow.user": "me", "mlflow.source.name": "a.py", ODD_KEY: ODD}
    run_id: str = client.create_run(experiment, run_name=ODD[:30], tags=tags).info.run_id
    for name, value in (("depth", "5"), (ODD_KEY, ODD), ("empty", "")):
        client.log_param(run_id, name, value)
    for name, number in NUMBERS.items():
        client.log_metric(run_id, name, float(number))
    steps = [Metric("loss", 1 / (step + 3), 1_000 + step, step) for step in (3, 1, 7, 2)]
    client.log_batch(run_id, metrics=steps)
    client.set_tag(run_id, "gone", "soon")
    client.delete_tag(run_id, "gone")
    client.set_terminated(run_id, "FAILED")
    client.update_run(run_id, name="renamed")
    running = client.create_run(experiment, tags={"mlflow.parentRunId": run_id}).info.run_id
    deleted = client.create_run(experiment).info.run_id
    client.delete_run(deleted)
    elsewhere = client.create_experiment(f"deleted {uuid4().hex[:8]}")
    orphan = client.create_run(elsewhere).info.run_id
    client.delete_experiment(elsewhere)
    return [run_id, running, deleted, orphan]


class TestOfAGeneratedServer:
    def test_the_runs_are_those_that_the_client_reads(self, generated_url: str, small_chunks: None) -> None:
        direct, asked = runs_of(TrackingDatabase(generated_url)), runs_of(TrackingServer(generated_url))
        assert len(direct) >= RUNS
        assert direct == asked

    def test_the_experiments_are_too(self, generated_url: str) -> None:
        assert TrackingDatabase(generated_url).experiments() == TrackingServer(generated_url).experiments()

    @pytest.mark.parametrize(
        "asked",
        [
            {"since": NOW - 30 * DAY},
            {"until": NOW - 30 * DAY},
            {"since": NOW - 90 * DAY, "until": NOW - 30 * DAY, "ended_since": NOW - 60 * DAY},
            {"ended_since": NOW - DAY},
            {"since": 2 * NOW},
        ],
        ids=str,
    )
    def test_a_part_of_them_is_the_same_part(self, generated_url: str, small_chunks: None, asked: Any) -> None:
        direct = runs_of(TrackingDatabase(generated_url), **asked)
        assert direct == runs_of(TrackingServer(generated_url), **asked)
        assert len(direct) < RUNS

    def test_they_come_latest_first_each_once_in_chunks(self, generated_url: str, small_chunks: None) -> None:
        chunks = [details for details, _ in TrackingDatabase(generated_url).chunks(until=NOW)]
        assert {len(chunk) for chunk in chunks[:4]} == {7}
        starts = [run["start_time"] or 0 for chunk in chunks for run in chunk]
        assert starts == sorted(starts, reverse=True)
        assert len(starts) == len({run["run_id"] for chunk in chunks for run in chunk}) == RUNS

    @pytest.mark.parametrize("kind", [TrackingDatabase, TrackingServer])
    def test_a_pass_that_was_interrupted_goes_on_where_it_was(
        self, generated_url: str, small_chunks: None, kind: type[TrackingDatabase] | type[TrackingServer]
    ) -> None:
        source = kind(generated_url)
        before, reached = next(source.chunks(until=NOW))
        after = runs_of(source, until=reached)
        again = set(after) & {run["run_id"] for run in before}
        assert again == {before[-1]["run_id"]}
        assert len(before) + len(after) - len(again) == RUNS

    def test_nothing_can_be_written(self, generated_url: str) -> None:
        database = named_database(generated_url)
        with pytest.raises(BadTrackingDatabase, match=r"read-?only"), database.connect() as conn:
            conn.rows("DELETE FROM params")


class TestOfRunsThatWereLogged:
    def test_through_a_server_every_detail_is_what_the_client_reads(
        self, mlflow_server: str, mlflow_folder: Path
    ) -> None:
        client = MlflowClient(mlflow_server, mlflow_server)
        logged = log_everything(client)
        direct, asked = TrackingDatabase(f"sqlite:///{mlflow_folder / 'mlflow.db'}"), TrackingServer(mlflow_server)
        assert_same(direct, asked, logged)

    def test_in_both_databases_as_well(self, generated_url: str) -> None:
        logged = log_everything(MlflowClient(generated_url, generated_url))
        assert_same(TrackingDatabase(generated_url), TrackingServer(generated_url), logged)

    @pytest.mark.filterwarnings("ignore:.*transition_model_version_stage:FutureWarning")
    def test_registered_versions_are_those_that_are_not_deleted(self, generated_url: str) -> None:
        client = MlflowClient(generated_url, generated_url)
        run_id = client.create_run(client.create_experiment(f"models {uuid4().hex[:8]}")).info.run_id
        client.create_registered_model(model := f"wine-{uuid4().hex[:8]}")
        for _ in range(11):
            client.create_model_version(model, "somewhere", run_id=run_id)
        client.create_model_version(model, "somewhere")
        client.delete_model_version(model, "3")
        client.transition_model_version_stage(model, "4", "Production")
        for alias in ("champion", "best"):
            client.set_registered_model_alias(model, alias, "5")
        direct = TrackingDatabase(generated_url).registered_versions()
        assert direct == TrackingServer(generated_url).registered_versions()
        assert [each["version"] for each in direct[run_id]] == ["1", "2", "4", "5", "6", "7", "8", "9", "10", "11"]
        assert [each.get("stage") for each in direct[run_id]][1:4] == [None, "Production", None]
        assert [each.get("aliases") for each in direct[run_id]][1:4] == [None, None, ["best", "champion"]]
        assert registered_versions(client, run_id) == direct[run_id]


def assert_same(direct: TrackingDatabase, asked: TrackingServer, logged: list[str]) -> None:
    found, expected = runs_of(direct), runs_of(asked)
    for run_id in logged:
        assert found[run_id] == expected[run_id]
    assert found.keys() == expected.keys()
    assert direct.experiments() == asked.experiments()
    full = found[logged[0]]
    assert (full["run_name"], full["status"], full["user"]) == ("renamed", "FAILED", "me")
    assert (full["params"][ODD_KEY], full["tags"][ODD_KEY]) == (ODD, ODD)
    assert full["metrics"]["nan"] == "NaN"
    assert (full["metrics"]["loss"], full["metrics"]["tiny"]) == (0.1, 5e-324)
    assert [found[run_id]["lifecycle_stage"] for run_id in logged] == ["active", "active", "deleted", "deleted"]


class TestWhileItIsRead:
    @pytest.fixture
    def url(self, generated_sqlite: str, tmp_path: Path) -> str:
        """A generated SQLite database that a test may change."""
        copyfile(generated_sqlite.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
        return f"sqlite:///{tmp_path / 'mlflow.db'}"

    @pytest.fixture
    def reading(self, url: str, small_chunks: None) -> Iterator[Iterator[tuple[list[RunDetails], int]]]:
        """Chunks of which the first was taken."""
        chunks = TrackingDatabase(url).chunks()
        next(chunks)
        yield chunks
        chunks.close()  # type: ignore[attr-defined]  # a generator

    def test_others_write_without_waiting(self, url: str, reading: Iterator[Any]) -> None:
        with sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0) as conn:
            conn.execute("UPDATE runs SET name = 'written meanwhile'")
        conn.close()
        details, _ = next(reading)
        assert {run["run_name"] for run in details} == {"written meanwhile"}

    def test_a_run_that_is_removed_for_good_is_left_out(self, url: str, reading: Iterator[Any]) -> None:
        before = runs_of(TrackingDatabase(url))
        oldest = list(before)[20]
        store = SqlAlchemyStore(url, "mlflow-artifacts:/")  # type: ignore[no-untyped-call]
        store._hard_delete_run(oldest)  # type: ignore[no-untyped-call]
        store.engine.dispose()
        assert oldest not in {run["run_id"] for details, _ in reading for run in details}


class TestWhatCannotBeRead:
    def test_a_file_that_is_not_there_is_not_made(self, tmp_path: Path) -> None:
        with pytest.raises(BadTrackingDatabase, match=r"nowhere\.db cannot be read: unable to open"):
            TrackingDatabase(f"sqlite:///{tmp_path / 'nowhere.db'}")
        assert list(tmp_path.glob("*.db")) == []

    def test_a_database_of_something_else_is_called_that(self, store_url: str) -> None:
        open_store(store_url).close()
        with pytest.raises(BadTrackingDatabase, match="no database of an MLflow tracking server"):
            TrackingDatabase(store_url)

    def test_a_version_with_other_tables_is_named_with_what_is_missing(
        self, generated_sqlite: str, tmp_path: Path
    ) -> None:
        copyfile(generated_sqlite.removeprefix("sqlite:///"), tmp_path / "old.db")
        with sqlite3.connect(tmp_path / "old.db") as conn:
            conn.execute("ALTER TABLE latest_metrics RENAME COLUMN is_nan TO not_a_number")
            [revision] = conn.execute("SELECT version_num FROM alembic_version").fetchone()
        conn.close()
        with pytest.raises(BadTrackingDatabase, match=rf"revision {revision}.* has no latest_metrics\.is_nan\."):
            TrackingDatabase(f"sqlite:///{tmp_path / 'old.db'}")

    @pytest.mark.parametrize("url", ["mysql+pymysql://me@localhost/mlflow", "http://localhost:5000", "mlflow.db"])
    def test_another_kind_of_address_says_which_ones_there_are(self, url: str) -> None:
        with pytest.raises(BadTrackingDatabase, match="use sqlite:///FILE or postgresql://"):
            TrackingDatabase(url)

    def test_a_password_is_not_told(self, tmp_path: Path) -> None:
        url = f"postgresql://me:hush@/mlflow?host={tmp_path}"
        with pytest.raises(BadTrackingDatabase) as caught:
            TrackingDatabase(url)
        assert "hush" not in str(caught.value)
        assert "me:***@" in str(caught.value)


class TestWhatIsNew:
    def test_the_stamp_differs_once_something_was_written_and_only_then(self, generated_url: str) -> None:
        direct = TrackingDatabase(generated_url)
        before = direct.stamp()
        runs_of(direct)
        assert direct.stamp() == before
        client = MlflowClient(generated_url, generated_url)
        run_id = client.create_run(client.create_experiment(f"stamp {uuid4().hex[:8]}")).info.run_id
        assert (made := direct.stamp()) != before
        client.log_metric(run_id, "loss", 1)
        assert direct.stamp() != made

    def test_a_run_is_fresh_whatever_its_start_says(self, generated_url: str) -> None:
        client = MlflowClient(generated_url, generated_url)
        direct, experiment = TrackingDatabase(generated_url), client.create_experiment(f"fresh {uuid4().hex[:8]}")
        list(direct.fresh(2 * NOW))
        run_id = client.create_run(experiment, start_time=NOW + DAY).info.run_id
        found = [run for runs in direct.fresh(2 * NOW) for run in runs]
        assert run_id in {run["run_id"] for run in found}
        assert len(found) < RUNS
        asked = [run_id, "0" * 32]
        assert direct.again(asked) == TrackingServer(generated_url).again(asked)
        assert [run["run_id"] for run in direct.again(asked)] == [run_id]
        assert direct.count() == len(runs_of(direct))

    def test_a_connection_that_was_lost_is_made_anew(
        self, generated_postgres: str, postgres_cluster: PostgresCluster
    ) -> None:
        direct = TrackingDatabase(generated_postgres)
        before = _connections(postgres_cluster)
        direct.count()
        direct.stamp()
        assert _connections(postgres_cluster) == before  # it was kept
        with postgres_cluster.connect() as conn:
            conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ANY(%s)", [list(before)])
        with pytest.raises(BadTrackingDatabase, match="cannot be read"):
            direct.count()
        assert direct.count() >= RUNS


def _connections(cluster: PostgresCluster) -> set[object]:
    with cluster.connect() as conn:
        asked = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        return {pid for (pid,) in conn.execute(asked)}
