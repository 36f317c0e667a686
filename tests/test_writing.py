"""What people change in Monitor: tags, registered models and experiments, in a real MLflow, audited, and taken back."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from mlflow import MlflowClient
from mlflow.models import Model as MlflowModel

from afterglow.run_details import run_details
from afterglow_monitor.errors import CannotWrite
from afterglow_monitor.settings import MlflowServer
from afterglow_monitor.writing import Writer, experiments
from afterglow_monitor.writing.models import Model, Registrar
from afterglow_monitor.writing.tags import MOST_NAME, MOST_VALUE, Edit, Tagger, wrong_name, wrong_value
from afterglow_store import Store, audit, snapshots
from afterglow_store.errors import NotFound
from afterglow_store.items import experiment_by_id, run_by_id
from afterglow_store.runs import take_in_run
from afterglow_store.visibility import Grant, Scope, exactly
from tests.support.meddling import meddling_proxy

NOW = 1_790_000_000_000
NOBODY = "http://127.0.0.1:1"  # where nothing listens


@pytest.fixture
def tagger(store: Store, client: MlflowClient) -> Tagger:
    return Tagger(store, "grace", lambda row: client)


def finished_run(store: Store, client: MlflowClient, **tags: str) -> str:
    """A run in MLflow and in the store."""
    experiment = client.create_experiment(f"writing {uuid4().hex[:8]}")
    run_id: str = client.create_run(experiment, tags=tags, run_name="done").info.run_id
    client.log_param(run_id, "depth", 5)
    client.set_terminated(run_id)
    with store.write() as conn:
        take_in_run(conn, dict(run_details(client, run_id)), server="team", tracking_uri="", as_of=NOW)
    return run_id


def row_of(store: Store, run_id: str) -> dict[str, Any]:
    with store.read() as conn:
        return run_by_id(conn, run_id)


class TestTags:
    def test_are_set_and_deleted_in_mlflow_and_in_the_store(
        self, store: Store, client: MlflowClient, tagger: Tagger
    ) -> None:
        run_id = finished_run(store, client, team="a", old="1")
        row = tagger.change(run_id, Edit({"team": "b", "stage": "final"}, ["old", "never there"]), now=NOW + 1)
        tags = client.get_run(run_id).data.tags
        assert (tags["team"], tags["stage"], "old" in tags) == ("b", "final", False)
        assert row["tags"] == tags
        assert row["params"] == {"depth": "5"}

    def test_a_change_is_audited_kept_as_a_snapshot_and_undone(
        self, store: Store, client: MlflowClient, tagger: Tagger
    ) -> None:
        run_id = finished_run(store, client, team="a", old="1")
        tagger.change(run_id, Edit({"team": "b", "stage": "final"}, ["old"]), now=NOW + 1)
        with store.read() as conn:
            [entry] = audit.entries(conn)
            assert [each["cause"] for each in snapshots.snapshots_of(conn, "run", run_id)] == ["sync"]
        assert (entry["who"], entry["time"], entry["action"], entry["run_id"]) == ("grace", NOW + 1, "tag", run_id)
        assert entry["before"] == {"tags": {"team": "a", "stage": None, "old": "1"}}
        assert entry["after"] == {"tags": {"team": "b", "stage": "final", "old": None}}

        row = tagger.undo(run_id, now=NOW + 2)
        assert row["tags"] == client.get_run(run_id).data.tags
        assert (row["tags"]["team"], row["tags"]["old"], "stage" in row["tags"]) == ("a", "1", False)
        with pytest.raises(CannotWrite, match="nothing to undo"):
            tagger.undo(run_id, now=NOW + 3)

    def test_nothing_is_undone_that_was_changed_meanwhile(
        self, store: Store, client: MlflowClient, tagger: Tagger
    ) -> None:
        run_id = finished_run(store, client, team="a")
        tagger.change(run_id, Edit({"team": "b"}), now=NOW + 1)
        client.set_tag(run_id, "team", "c")
        with pytest.raises(CannotWrite, match=r"tag team of run .* was changed meanwhile"):
            tagger.undo(run_id, now=NOW + 2)
        assert client.get_run(run_id).data.tags["team"] == "c"

    def test_of_many_runs_are_changed_and_each_refusal_is_told(
        self, store: Store, client: MlflowClient, tagger: Tagger
    ) -> None:
        there = [finished_run(store, client, team=str(number)) for number in range(10)]
        client.delete_run(there[3])  # MLflow sets no tags on what is deleted
        told = dict(tagger.change_many([*there, "0" * 32], Edit({"team": "b"}), now=NOW + 1))
        assert [run_id for run_id, refused in told.items() if refused] == [there[3], "0" * 32]
        assert "active" in (told[there[3]] or "")
        changed = [run_id for run_id, refused in told.items() if not refused]
        assert {row_of(store, run_id)["tags"]["team"] for run_id in changed} == {"b"}
        assert set(dict(tagger.undo_many(changed, now=NOW + 2)).values()) == {None}
        assert [client.get_run(run_id).data.tags["team"] for run_id in there] == [str(number) for number in range(10)]

    def test_that_break_the_rules_are_refused_before_anything_is_asked(self, tagger: Tagger) -> None:
        for name in ("", "  ", "n" * (MOST_NAME + 1), "mlflow.note", "MLflowish", "synapseml", "trident-x"):
            assert wrong_name(name)
            for edit in (Edit({name: "x"}), Edit(delete=[name])):
                with pytest.raises(CannotWrite):
                    tagger.change("0" * 32, edit, now=NOW)
        for value in ("", " ", "v" * (MOST_VALUE + 1)):
            assert wrong_value(value)
            with pytest.raises(CannotWrite):
                tagger.change("0" * 32, Edit({"team": value}), now=NOW)

    def test_the_longest_name_and_value_are_taken(self, store: Store, client: MlflowClient, tagger: Tagger) -> None:
        run_id = finished_run(store, client)
        name, value = "n" * MOST_NAME, "v" * MOST_VALUE
        assert tagger.change(run_id, Edit({name: value}), now=NOW + 1)["tags"][name] == value

    def test_nothing_is_written_while_mlflow_is_down_and_it_is_said_in_plain_words(
        self, store: Store, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        run_id = finished_run(store, client, team="a")
        away = Tagger(store, "grace", lambda row: MlflowClient(tracking_uri=NOBODY))
        with pytest.raises(CannotWrite, match=r"MLflow did not take it for run .*: its server does not answer"):
            away.change(run_id, Edit({"team": "b"}), now=NOW + 1)
        assert row_of(store, run_id)["tags"]["team"] == "a"
        with store.read() as conn:
            assert audit.entries(conn) == []

    def test_a_change_of_which_mlflow_took_a_part_and_said_no_is_in_the_audit(
        self, store: Store, client: MlflowClient, mlflow_server: str
    ) -> None:
        run_id = finished_run(store, client, team="a", old="1")
        no = 403, b'{"error_code": "PERMISSION_DENIED", "message": "not you"}'
        with meddling_proxy(mlflow_server) as proxy:
            proxy.meddle = lambda path, answer: no if path.endswith("/runs/delete-tag") else answer
            there = MlflowClient(tracking_uri=proxy.uri)
            with pytest.raises(CannotWrite, match="not you"):
                Tagger(store, "grace", lambda row: there).change(run_id, Edit({"team": "b"}, ["old"]), now=NOW + 1)
        assert client.get_run(run_id).data.tags["team"] == "b"
        with store.read() as conn:
            [entry] = audit.entries(conn)
        assert (entry["who"], entry["action"], entry["run_id"]) == ("grace", "tag (not finished)", run_id)
        assert entry["after"]["asked"] == {"tags": {"team": "b", "old": None}}
        assert "not you" in entry["after"]["refused"]

    def test_an_edit_that_changes_nothing_is_not_in_the_audit(
        self, store: Store, client: MlflowClient, tagger: Tagger
    ) -> None:
        run_id = finished_run(store, client, team="a")
        tagger.change(run_id, Edit({"team": "a"}), now=NOW + 1)
        with store.read() as conn:
            assert audit.entries(conn) == []

    def test_of_a_run_that_is_not_there_are_not_found(self, tagger: Tagger) -> None:
        with pytest.raises(NotFound):
            tagger.change("0" * 32, Edit({"team": "b"}), now=NOW)


class TestModels:
    def test_a_logged_model_becomes_the_next_version_of_a_name(
        self, store: Store, client: MlflowClient, tmp_path: Path
    ) -> None:
        run_id = finished_run(store, client)
        registrar, name = Registrar(store, "grace", lambda row: client), f"wine {uuid4().hex[:8]}"
        MlflowModel(artifact_path="model", run_id=run_id).save(str(tmp_path / "MLmodel"))
        client.log_artifact(run_id, str(tmp_path / "MLmodel"), "model")
        [model] = registrar.models_of(run_id)
        assert model.name == "model"
        assert registrar.save(run_id, model, name, now=NOW + 1) == "1"
        assert registrar.save(run_id, model, name, now=NOW + 2) == "2"
        assert name in registrar.names(run_id)
        assert client.get_model_version(name, "2").run_id == run_id
        versions = [(each["name"], each["version"]) for each in row_of(store, run_id)["registered_versions"]]
        assert versions == [(name, "1"), (name, "2")]
        with store.read() as conn:
            assert [each["action"] for each in audit.entries(conn)] == ["register model"] * 2

    def test_of_mlflow_3_are_found_though_they_are_no_files_of_the_run(
        self, store: Store, client: MlflowClient, tmp_path: Path
    ) -> None:
        run_id = finished_run(store, client)
        experiment = client.get_run(run_id).info.experiment_id
        logged = client.create_logged_model(experiment, name="forest", source_run_id=run_id)
        MlflowModel(model_id=logged.model_id, run_id=run_id).save(str(tmp_path / "MLmodel"))
        client.log_model_artifacts(logged.model_id, str(tmp_path))
        client.finalize_logged_model(logged.model_id, "READY")
        registrar, name = Registrar(store, "grace", lambda row: client), f"forest {uuid4().hex[:8]}"
        [model] = registrar.models_of(run_id)
        assert (model.name, model.model_id) == ("forest", logged.model_id)
        assert registrar.save(run_id, model, name, now=NOW + 1) == "1"
        assert client.get_model_version(name, "1").source == logged.artifact_location

    def test_of_runs_that_somebody_may_not_see_are_neither_listed_nor_written_to(
        self, store: Store, client: MlflowClient
    ) -> None:
        hers, other = finished_run(store, client), finished_run(store, client)
        mine, hidden = (f"{name} {uuid4().hex[:8]}" for name in ("mine", "hidden"))
        model = Model("model", f"runs:/{hers}/model")
        everything = Registrar(store, "ops", lambda row: client)
        everything.save(hers, model, mine, now=NOW + 1)
        everything.save(other, Model("model", f"runs:/{other}/model"), hidden, now=NOW + 1)
        grant = Grant(experiments=(exactly(row_of(store, hers)["experiment"]),))
        registrar = Registrar(store.seen_by(Scope((grant,))), "grace", lambda row: client)
        assert {mine, hidden} & set(registrar.names(hers)) == {mine}
        assert registrar.save(hers, model, mine, now=NOW + 2) == "2"
        with pytest.raises(CannotWrite, match="not yours to see"):
            registrar.save(hers, model, hidden, now=NOW + 3)
        assert [each.run_id for each in client.search_model_versions(f"name = '{hidden}'")] == [other]

    def test_a_name_that_mlflow_would_not_take_is_refused(self, store: Store) -> None:
        model = Model("model", "/model")
        for name in ("", " ", "a/b", "a:b", "n" * 251):
            with pytest.raises(CannotWrite):
                Registrar(store, "grace", lambda row: None).save("0" * 32, model, name, now=NOW)


class TestExperiments:
    def test_a_new_one_is_in_mlflow_and_in_the_store_at_once(
        self, store: Store, client: MlflowClient, mlflow_server: str
    ) -> None:
        writer = Writer(store, "grace", lambda row: client)
        name, server = f"new {uuid4().hex[:8]}", MlflowServer(name="team", uri=mlflow_server)
        row = experiments.create(writer, server, name, {"team": "a"}, now=NOW)
        assert client.get_experiment(row["experiment_id"]).name == row["name"] == name
        with store.read() as conn:
            assert experiment_by_id(conn, "team", row["experiment_id"])["tags"]["team"] == "a"
            [entry] = audit.entries(conn)
        assert entry["action"] == "create experiment"
        with pytest.raises(CannotWrite, match="already exists"):
            experiments.create(writer, server, name, {}, now=NOW)

    def test_a_name_that_mlflow_would_not_take_is_refused(self, store: Store) -> None:
        writer, server = Writer(store, "grace", lambda row: None), MlflowServer(name="team", uri=NOBODY)
        for name in ("", "  ", "n" * 257):
            with pytest.raises(CannotWrite):
                experiments.create(writer, server, name, {}, now=NOW)
