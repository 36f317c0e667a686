"""What can be asked for: the fields of runs, experiments and applications. docs/filters.md shows the same tables."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, NamedTuple

from afterglow_store import status
from afterglow_store.filters.tokens import in_backticks
from afterglow_store.links import SOURCES
from afterglow_store.schema import PEAKS, SUMS

Of = Literal["runs", "experiments", "applications"]
Kind = Literal["text", "choice", "number", "time", "duration", "boolean"]

_ORDERING = ("=", "!=", "<", "<=", ">", ">=")
_LIST = ("IN", "NOT IN")
# All of them also take IS NULL and IS NOT NULL.
COMPARATORS: dict[Kind, tuple[str, ...]] = {
    "text": ("=", "!=", "LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE", *_LIST),
    "choice": ("=", "!=", *_LIST),
    "number": _ORDERING,
    "time": _ORDERING,
    "duration": _ORDERING,
    "boolean": ("=", "!="),
}
NULL_TESTS = ("IS NULL", "IS NOT NULL")


@dataclass(frozen=True)
class Field:
    """Something that an item has. `keyed`: one for each key, as in `params.depth`. `many`: an item may have several,
    and a comparison holds if it does for one of them; nothing can be ordered by such a field."""

    name: str
    kind: Kind
    help: str
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    keyed: bool = False
    many: bool = False
    decimal: bool = False  # may be NaN or infinite

    @property
    def comparators(self) -> tuple[str, ...]:
        return (*COMPARATORS[self.kind], *NULL_TESTS)


class Reference(NamedTuple):
    """A field, and the key where it has one."""

    field: Field
    key: str | None = None

    def __str__(self) -> str:
        if self.key is None:
            return self.field.name
        return f"{self.field.name}.{self.key if _PLAIN_KEY.fullmatch(self.key) else in_backticks(self.key)}"


_PLAIN_KEY = re.compile(r"[\w./:-]*[\w/:-]")

_RUN_STATUSES = (status.RUNNING, "SCHEDULED", status.FINISHED, status.FAILED, "KILLED")
_TRUE_STATUSES = (*_RUN_STATUSES, status.ORPHANED, status.SUSPECT)
_APPLICATION_STATUSES = (status.RUNNING, status.SUCCEEDED, status.FAILED, status.LOST, status.ENDED)
_STAGES = ("active", "deleted", "purged")
_TAGS = Field("tags", "text", "a tag", aliases=("tag",), keyed=True)
_LIFECYCLE = Field(
    "lifecycle_stage", "choice", "deleted in MLflow, or not; purged is deleted for good", choices=_STAGES
)
_SERVER = Field("server", "text", "the tracking server, by its name in the settings")
_DURATION = Field("duration", "duration", "from start to end; none while it runs")


def _figure(name: str) -> str:
    """What a column of SUMS or PEAKS is: its name has its unit at the end, if it has one."""
    if name == "core_ms":
        return "executor run time × spark.task.cpus, in ms"
    what, _, unit = name.replace("_", " ").rpartition(" ")
    return f"{what}, in {unit}" if unit in ("ms", "ns", "bytes") else f"{what} {unit}"


_FIGURES = tuple(Field(f"spark.{name}", "number", _figure(name)) for name in (*SUMS, *PEAKS))

_RUNS = (
    Field("metrics", "number", "a metric's last value", aliases=("metric",), keyed=True, decimal=True),
    Field("params", "text", "a parameter", aliases=("param", "parameter", "parameters"), keyed=True),
    _TAGS,
    Field("run_id", "text", "MLflow's id of the run"),
    Field("run_name", "text", "its name", aliases=("run name", "Run name", "Run Name", "name")),
    Field("status", "text", f"as MLflow has it: {', '.join(_RUN_STATUSES)}"),
    Field("effective_status", "choice", "the status that is true", choices=_TRUE_STATUSES),
    Field("status_reason", "text", "why it is that"),
    Field("start_time", "time", "when it started", aliases=("created", "Created")),
    Field("end_time", "time", "when it ended"),
    _DURATION,
    Field("user", "text", "who made it", aliases=("user_id", "user_name")),
    Field("source", "text", "the program or notebook that made it", aliases=("source_name",)),
    Field("source_type", "text", "what that is: LOCAL, NOTEBOOK, JOB, …"),
    Field("artifact_uri", "text", "where its files are"),
    _LIFECYCLE,
    Field("parent_run_id", "text", "the run above it"),
    _SERVER,
    Field("experiment.id", "text", "its experiment's id on that server", aliases=("experiment_id",)),
    Field("experiment.name", "text", "its experiment's name", aliases=("experiment",)),
    Field("experiment.workspace", "text", "its experiment's workspace; none is MLflow's default one"),
    Field("linked", "boolean", "whether a Spark application is known for it"),
    Field("link.source", "choice", "how it is known", choices=SOURCES, many=True),
    Field("application.id", "text", "Spark's application id", aliases=("application.app_id",), many=True),
    Field("application.name", "text", "the application's name", many=True),
    Field("application.master", "text", "its master: local[2], yarn, …", many=True),
    Field("application.status", "choice", "its status", choices=_APPLICATION_STATUSES, many=True),
    Field("application.user", "text", "who started it", many=True),
    Field("registered_model.name", "text", "a model that the run's output is registered as", many=True),
    Field("registered_model.version", "number", "and as which version", many=True),
    Field("spark.core_seconds", "number", "cores × seconds that its Spark tasks used"),
    Field("spark.jobs", "number", "its Spark jobs"),
    Field("spark.failed_jobs", "number", "those that failed"),
    *_FIGURES,
)

_EXPERIMENTS = (
    _TAGS,
    Field("name", "text", "its name"),
    Field("experiment_id", "text", "its id on its server", aliases=("id",)),
    _SERVER,
    Field("workspace", "text", "MLflow's workspace that it is in; none is the default one"),
    Field("creation_time", "time", "when it was made", aliases=("created_time", "created")),
    Field("last_update_time", "time", "when it was last changed", aliases=("updated_time",)),
    _LIFECYCLE,
    Field("artifact_location", "text", "where its runs' files go"),
    Field("runs", "number", "its runs in the window"),
    Field("failed_runs", "number", "those that failed"),
    Field("running_runs", "number", "those that still run"),
    Field("last_run_time", "time", "when the last of them started"),
    Field("users", "number", "how many users they are of"),
    Field("applications", "number", "how many Spark applications they are of"),
    Field("core_seconds", "number", "cores × seconds that they used", aliases=("spark.core_seconds",)),
)

_APPLICATIONS = (
    Field("app_id", "text", "Spark's application id", aliases=("id",)),
    Field("attempt", "text", "of the cluster manager; empty where it has none"),
    Field("name", "text", "its name"),
    Field("user", "text", "who started it", aliases=("user_name",)),
    Field("master", "text", "its master: local[2], yarn, …"),
    Field("driver_host", "text", "where its driver runs"),
    Field("spark_version", "text", "the version of Spark"),
    Field("status", "choice", "its status", choices=_APPLICATION_STATUSES),
    Field("status_reason", "text", "why it is that"),
    Field("start_time", "time", "when it started"),
    Field("end_time", "time", "when it ended"),
    _DURATION,
    Field("runs", "number", "its MLflow runs"),
    Field("failed_runs", "number", "those that failed"),
    Field("experiments", "number", "the experiments that they are of"),
    Field("jobs", "number", "its Spark jobs", aliases=("spark.jobs",)),
    Field("failed_jobs", "number", "those that failed", aliases=("spark.failed_jobs",)),
    Field("lost_events", "number", "what its journal lacks"),
    Field("core_seconds", "number", "cores × seconds that its tasks used", aliases=("spark.core_seconds",)),
    Field("overhead_core_seconds", "number", "of these, those that served no run"),
    Field("allocated_core_seconds", "number", "cores × seconds that its executors were there"),
    Field("idle_share", "number", "the part of these that no task used, 0 to 1"),
    *_FIGURES,
)

FIELDS: dict[Of, tuple[Field, ...]] = {"runs": _RUNS, "experiments": _EXPERIMENTS, "applications": _APPLICATIONS}

# What may stand before the name of a field that is the item's own: `attributes.status` is `status`.
OWN: dict[Of, tuple[str, ...]] = {
    "runs": ("attributes", "attribute", "attr", "run"),
    "experiments": ("attributes", "attribute", "attr", "experiment"),
    "applications": ("attributes", "attribute", "attr", "application"),
}


def _by_name(fields: Iterable[Field], *, keyed: bool) -> dict[str, Field]:
    return {name: field for field in fields if field.keyed is keyed for name in (field.name, *field.aliases)}


_KEYED = {of: _by_name(fields, keyed=True) for of, fields in FIELDS.items()}
_PLAIN = {of: _by_name(fields, keyed=False) for of, fields in FIELDS.items()}


def find(of: Of, name: str) -> Reference | None:
    """The field of that name, and its key where it has one: `metrics.rmse`, `status`, `attributes.status`."""
    prefix, dot, rest = name.partition(".")
    if dot and prefix in _KEYED[of]:
        return Reference(_KEYED[of][prefix], rest)
    own = rest if dot and prefix in OWN[of] else name
    field = _PLAIN[of].get(own)
    return None if field is None else Reference(field)


def is_keyed(of: Of, name: str) -> bool:
    """Whether it is the name of a field that needs a key."""
    return name in _KEYED[of]


def nearest(of: Of, name: str) -> str | None:
    """The known name that a misspelt one is most like."""
    prefix, dot, rest = name.partition(".")
    if dot:
        near = get_close_matches(prefix.lower(), [*_KEYED[of]], n=1, cutoff=0.7)
        if near:
            return f"{near[0]}.{rest}"
    own = rest if dot and prefix.lower() in OWN[of] else name
    known = [field_name for field_name in _PLAIN[of] if field_name.islower()]
    near = get_close_matches(own.lower(), known, n=1, cutoff=0.6) or [
        each for each in known if each.endswith("." + own.lower())
    ]
    return near[0] if near else None
