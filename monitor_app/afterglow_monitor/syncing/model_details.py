"""What MLflow knows of models beyond the store: asked for when somebody looks at one, and never changed here."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afterglow_monitor import data
from afterglow_monitor.data import Row
from afterglow_monitor.errors import CannotWrite
from afterglow_monitor.settings import load_settings

if TYPE_CHECKING:
    from afterglow_monitor.writing import Writer

MODEL_FILE = "MLmodel"
MOST_FILES = 500
SECONDS = 60  # that an answer is kept


@dataclass(frozen=True)
class Contents:
    """What a model consists of. `signature`: `part` (input, output or parameter), `name`, `type`; `files`: `path` and
    `size`; `missing`: why there is no more of it."""

    signature: list[Row] = field(default_factory=list)
    flavors: list[str] = field(default_factory=list)
    files: list[Row] = field(default_factory=list)
    missing: str = ""


@data.kept(ttl=SECONDS, max_entries=100)
def of_version(run_id: str, name: str, version: str) -> Row:
    """`created_time` (ms), `user`, `description`, `source`, `tags`, `model_id` and `location` of a registered version.
    Raises NotFound, and CannotWrite when MLflow does not answer."""
    asking, row = _asking(run_id)
    client, what = asking.client_of(row), f"version {version} of {name}"
    found = _ask(asking, what, lambda: client.get_model_version(name, version))
    return {
        "created_time": found.creation_timestamp,
        "user": found.user_id,
        "description": found.description,
        "source": found.source,
        "tags": dict(found.tags or {}),
        "model_id": getattr(found, "model_id", None),
        "location": _ask(asking, what, lambda: client.get_model_version_download_uri(name, version)),
    }


@data.kept(ttl=SECONDS, max_entries=100)
def logged_models(run_id: str) -> list[Row]:
    """The models that a run has logged in MLflow 3, the latest first: model_id, name, status, model_type, created_time
    (ms), location, params, metrics, tags. Older servers know none. Raises as `of_version`."""
    asking, row = _asking(run_id)
    client = asking.client_of(row)
    asked = {"experiment_ids": [row["experiment_id"]], "filter_string": f"source_run_id = '{run_id}'"}
    found = _ask(asking, f"run {run_id}", lambda: client.search_logged_models(**asked))
    rows = [
        {
            "model_id": each.model_id,
            "name": each.name,
            "status": str(each.status).rpartition(".")[2],
            "model_type": each.model_type,
            "created_time": each.creation_timestamp,
            "location": each.artifact_location,
            "params": dict(each.params or {}),
            "metrics": {metric.key: metric.value for metric in each.metrics or ()},
            "tags": dict(each.tags or {}),
        }
        for each in found
    ]
    return sorted(rows, key=lambda each: -each["created_time"])


@data.kept(ttl=SECONDS, max_entries=50)
def contents(run_id: str, location: str) -> Contents:
    """Of the model that a run has left at `location`."""
    asking, row = _asking(run_id)
    if not _of_its_experiment(row, location):
        return Contents(missing="Its files lie outside of its experiment's folder, and are not looked into.")
    from mlflow.models import Model  # noqa: PLC0415 - MLflow takes a second to import
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository  # noqa: PLC0415

    repository: Any = get_artifact_repository(location, tracking_uri=asking.client_of(row).tracking_uri)
    try:
        with tempfile.TemporaryDirectory(prefix="afterglow-model-") as folder:
            file = _ask(asking, location, lambda: repository.download_artifacts(MODEL_FILE, folder))
            model = Model.load(str(Path(file).parent))
        files = _ask(asking, location, lambda: list(_files(repository, None)))
    except CannotWrite as exc:
        return Contents(missing=str(exc))
    except Exception:  # noqa: BLE001 - MLmodel is a file that anyone may have written
        return Contents(missing=f"Its {MODEL_FILE} cannot be read.")
    return Contents(_signature(model.signature), sorted(model.flavors), files)


def _of_its_experiment(row: Row, location: str) -> bool:
    """A location on this machine's own disk is looked into only where the run's experiment keeps its files."""
    path = location.removeprefix("file://")
    if "://" in path or ":/" in path:
        return True
    root = (row["artifact_uri"] or "").removeprefix("file://").partition(row["run_id"])[0]
    return bool(root) and ".." not in Path(path).parts and path.startswith(root)


def _files(repository: Any, path: str | None) -> Iterator[Row]:
    for each in repository.list_artifacts(path)[:MOST_FILES]:
        if each.is_dir:
            yield from _files(repository, each.path)
        else:
            yield {"path": each.path, "size": each.file_size}


def _signature(said: Any) -> list[Row]:
    if said is None:
        return []
    parts = (("Input", said.inputs), ("Output", said.outputs), ("Parameter", getattr(said, "params", None)))
    return [_column(part, each) for part, schema in parts for each in schema or ()]


def _column(part: str, said: Any) -> Row:
    """Of a column, a tensor or a parameter, as it says of itself."""
    told = said.to_dict()
    kind = told.get("type") or str(told.get("tensor-spec", ""))
    shape = told.get("tensor-spec") or {}
    if shape:
        kind = f"{shape.get('dtype')} {shape.get('shape')}"
    default = f", {told['default']} by default" if "default" in told else ""
    optional = "" if told.get("required", True) else ", optional"
    return {"part": part, "name": told.get("name") or "", "type": f"{kind}{optional}{default}"}


def _asking(run_id: str) -> tuple[Writer, Row]:
    from afterglow_monitor.writing import Writer, clients  # noqa: PLC0415 - MLflow takes a second to import

    return Writer(data.store(), "", clients(load_settings())), data.run(run_id)


def _ask(asking: Writer, what: str, request: Any) -> Any:
    from afterglow_monitor.writing import NO_ANSWER  # noqa: PLC0415

    return asking.ask(what, request, failed=NO_ANSWER)
