"""What MLflow knows of a run, in the form of the `Run` object of docs/journal.md.

The driver's hook and the server's sync both call it, so that a run reads the same whoever recorded it.
"""

import logging
import math
import time
from collections.abc import Iterable
from typing import Any, NotRequired, TypedDict

logger = logging.getLogger("afterglow")

MAX_OUTPUTS = 1_000
MAX_OUTPUTS_SECONDS = 2.0


class Output(TypedDict):
    """One file of a run. `size` is in bytes, or None where the artifact store does not say."""

    path: str
    size: int | None


class RegisteredVersion(TypedDict):
    """A registered model version that was made from the run. `stage` and `aliases`, in order, are there only where it
    has any."""

    name: str
    version: str
    stage: NotRequired[str]
    aliases: NotRequired[list[str]]


class RunDetails(TypedDict, total=False):
    """The `Run` object. Times are milliseconds since 1970; the last three keys are there if asked for."""

    run_id: str
    run_name: str | None
    experiment_id: str
    experiment_name: str | None
    status: str
    start_time: int | None
    end_time: int | None
    user: str | None
    lifecycle_stage: str
    source_name: str | None
    source_type: str | None
    artifact_uri: str | None
    params: dict[str, str]
    metrics: dict[str, float | str]
    tags: dict[str, str]
    outputs: list[Output]
    outputs_complete: bool
    registered_versions: list[RegisteredVersion]


def run_details(
    client: Any,
    run: Any,
    *,
    experiment_name: str | None = None,
    outputs: bool = True,
    versions: bool = True,
) -> RunDetails:
    """The details of one run, read through `client`, an `mlflow.MlflowClient`.

    `run` is a run id, which is then read, or an `mlflow.entities.Run` that was read just now.
    `experiment_name` saves the request for it where the caller knows it. `outputs` lists the run's files
    (sorted by path, at most 1,000 and for at most 2 s; `outputs_complete` says whether these are all);
    `versions` looks up the registered model versions made from it.

    Raises what MLflow raises when the run cannot be read. Outputs and versions that cannot be read are
    empty instead: many stores have no registry, and an artifact root may be gone while its run is there.
    """
    if isinstance(run, str):
        run = client.get_run(run)
    info, tags = run.info, dict(run.data.tags)
    details = RunDetails(
        run_id=info.run_id,
        run_name=getattr(info, "run_name", None) or tags.get("mlflow.runName"),
        experiment_id=str(info.experiment_id),
        experiment_name=experiment_name or _experiment_name(client, info.experiment_id),
        status=info.status,
        start_time=info.start_time,
        end_time=info.end_time,
        user=tags.get("mlflow.user") or getattr(info, "user_id", None),
        lifecycle_stage=info.lifecycle_stage,
        source_name=tags.get("mlflow.source.name"),
        source_type=tags.get("mlflow.source.type"),
        artifact_uri=info.artifact_uri,
        params=dict(run.data.params),
        metrics={key: json_number(value) for key, value in run.data.metrics.items()},
        tags=tags,
    )
    if outputs:
        details["outputs"], details["outputs_complete"] = list_outputs(client, info.run_id)
    if versions:
        details["registered_versions"] = registered_versions(client, info.run_id)
    return details


def json_number(value: float) -> float | str:
    """`value`, or the string "NaN", "Infinity" or "-Infinity" where JSON has no number for it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def list_outputs(
    client: Any,
    run_id: str,
    *,
    max_outputs: int = MAX_OUTPUTS,
    max_seconds: float = MAX_OUTPUTS_SECONDS,
) -> tuple[list[Output], bool]:
    """The files of a run, sorted by path, and whether these are all of them.

    The limits hold between two requests: one request that hangs is limited by MLflow's own timeout.
    """
    deadline = time.monotonic() + max_seconds
    found: list[Output] = []
    folders: list[str | None] = [None]
    try:
        while folders:
            if time.monotonic() > deadline or len(found) > max_outputs:
                break
            for entry in client.list_artifacts(run_id, folders.pop(0)):
                if entry.is_dir:
                    folders.append(entry.path)
                else:
                    found.append(Output(path=entry.path, size=entry.file_size))
    except Exception as error:  # noqa: BLE001 - any artifact store's own errors; the run is still worth recording
        logger.info("Could not list all files of run %s: %s", run_id, error)
        folders.append(None)
    found.sort(key=lambda output: output["path"])
    return found[:max_outputs], not folders and len(found) <= max_outputs


def registered_versions(client: Any, run_id: str) -> list[RegisteredVersion]:
    """The registered model versions made from a run, by name and number; empty where there is no model registry."""
    try:
        versions = client.search_model_versions(f"run_id='{run_id}'")
        # A search tells no aliases; the model does.
        aliases = {name: client.get_registered_model(name).aliases for name in {each.name for each in versions}}
    except Exception as error:  # noqa: BLE001 - stores without a registry differ in what they raise
        logger.debug("No registered versions of run %s: %s", run_id, error)
        return []
    found = [
        registered_version(
            each.name, str(each.version), each.current_stage, _of_version(aliases[each.name], each.version)
        )
        for each in versions
    ]
    return sorted(found, key=version_order)


def registered_version(name: str, version: str, stage: str | None, aliases: Iterable[str]) -> RegisteredVersion:
    """`stage` as MLflow has it: "None" is none."""
    found = RegisteredVersion(name=name, version=version)
    if stage and stage != "None":
        found["stage"] = stage
    if named := sorted(aliases):
        found["aliases"] = named
    return found


def _of_version(aliases: dict[str, Any], version: Any) -> list[str]:
    return [alias for alias, of in aliases.items() if str(of) == str(version)]


def version_order(version: RegisteredVersion) -> tuple[str, int, str]:
    """Sorts by model name, then 2 before 10: one order whoever asked, so that equal details stay equal."""
    number = version["version"]
    return version["name"], int(number) if number.isdigit() else 0, number


def _experiment_name(client: Any, experiment_id: str) -> str | None:
    try:
        experiment = client.get_experiment(experiment_id)
    except Exception as error:  # noqa: BLE001 - a name that cannot be read must not cost the run's details
        logger.debug("No name of experiment %s: %s", experiment_id, error)
        return None
    return None if experiment is None else str(experiment.name)
