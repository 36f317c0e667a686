"""Saving a run's model: a new version of a registered model, of an old name or a new one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from mlflow.exceptions import MlflowException

from afterglow_monitor.errors import CannotWrite
from afterglow_monitor.syncing.tracking_server import NOT_THERE, pages
from afterglow_monitor.writing import NO_ANSWER, Row, Writer
from afterglow_store import audit
from afterglow_store.items import is_registered

MOST_NAME = 250  # characters
MODEL_FILE = "MLmodel"  # what makes a folder a model
READY_SECONDS = 60  # that a registry may take to copy the model's files


@dataclass(frozen=True)
class Model:
    """A model that a run has logged. `model_id`: of MLflow 3's logged models, which are no files of the run."""

    name: str
    source: str
    model_id: str | None = None


def wrong_name(name: str) -> str | None:
    """What is wrong with it as the name of a registered model."""
    if not name.strip():
        return "Give the model a name."
    if len(name) > MOST_NAME:
        return f"A name has at most {MOST_NAME} characters; this one has {len(name):,}."
    if "/" in name or ":" in name:
        return "A name has no slash and no colon in it."
    return None


class Registrar(Writer):
    def models_of(self, run_id: str) -> list[Model]:
        """The models of a run, those that MLflow 3 logged first. Raises NotFound; CannotWrite when MLflow does not
        answer."""
        row = self.row(run_id)
        client = self.client_of(row)
        return [*self._logged(client, row), *self._in_files(client, row)]

    def names(self, run_id: str) -> list[str]:
        """The registered models that the run's server has; to who may not see everything, those with a version of a
        run that he may. Raises as `models_of`."""
        search = self.client_of(self.row(run_id)).search_registered_models
        found = self.ask("its models", lambda: [*pages(lambda token: search(page_token=token))], failed=NO_ANSWER)
        return sorted(each.name for each in found if self._is_shown(each.name))

    def _is_shown(self, name: str) -> bool:
        if self.store.scope is None:
            return True
        with self.store.read() as conn:
            return is_registered(conn, name)

    def save(self, run_id: str, model: Model, name: str, *, now: int) -> str:
        """Register `model` of this run as the next version of `name`, which is made if there is none; the version.

        Raises NotFound; CannotWrite for a name that breaks the rules, or when MLflow does not take it.
        """
        if wrong := wrong_name(name):
            raise CannotWrite(wrong)
        row = self.row(run_id)
        client, what = self.client_of(row), f"model {name}"
        there = self.ask(what, lambda: _exists(client, name))
        if there and not self._is_shown(name):
            raise CannotWrite(f"the name {name} is taken by a model that is not yours to see: choose another one")
        asked = {"name": name, "source": model.source}
        with self.audited(audit.REGISTER, run_id, asked, now) as entry:
            if not there:
                self.ask(what, lambda: client.create_registered_model(name))
            version = self._make_version(client, row, model, name)
            details = self.details(client, row)
        with self.store.write() as conn:
            self.take_in(conn, row, details, now)
            audit.finish(conn, entry, action=audit.REGISTER, before={}, after=asked | {"version": version})
        return version

    def _make_version(self, client: Any, row: Row, model: Model, name: str) -> str:
        what, run_id = f"model {name}", row["run_id"]
        more: dict[str, Any] = {} if model.model_id is None else {"model_id": model.model_id}
        made = self.ask(
            what,
            lambda: client.create_model_version(name, model.source, run_id, await_creation_for=READY_SECONDS, **more),
        )
        if row["applications"]:
            app_id = row["applications"][0]["app_id"]
            self.ask(what, lambda: client.set_model_version_tag(name, made.version, "spark.app.id", app_id))
        return str(made.version)

    def _logged(self, client: Any, row: Row) -> list[Model]:
        """Of MLflow 3; older servers and clients know none."""
        if not hasattr(client, "search_logged_models"):
            return []
        asked = f"source_run_id = '{row['run_id']}'"
        try:
            found = client.search_logged_models([row["experiment_id"]], filter_string=asked)
        except MlflowException:
            return []
        return [Model(each.name, each.artifact_location, each.model_id) for each in found]

    def _in_files(self, client: Any, row: Row) -> list[Model]:
        files = self.details(client, row)["outputs"]
        folders = [PurePosixPath(each["path"]).parent for each in files if each["path"].endswith(f"/{MODEL_FILE}")]
        root = (row["artifact_uri"] or "").rstrip("/")
        return [Model(str(folder), f"{root}/{folder}") for folder in folders]


def _exists(client: Any, name: str) -> bool:
    try:
        client.get_registered_model(name)
    except MlflowException as exc:
        if exc.error_code == NOT_THERE:
            return False
        raise
    return True
