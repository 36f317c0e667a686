"""What Afterglow remembers, as pandas DataFrames: docs/api.md.

`source` of every function is the address of a server (`http://127.0.0.1:8501`) or the URL of a store (which needs
`afterglow[monitor]`). Without it AFTERGLOW_MONITOR_URL says where, else AFTERGLOW_STORE_URL, else it is the server on
this machine. AFTERGLOW_TOKEN is the token that a server elsewhere wants. All of them raise AfterglowError, whose kinds
are in `afterglow.sources`, and ImportError where pandas is not installed.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from afterglow.frames import frame, pandas
from afterglow.sources import Row, opened

if TYPE_CHECKING:
    import pandas as pd

MOST = 100_000  # as mlflow.search_runs has it

Time = str | datetime
_RUN = ("run_id", "name", "experiment", "experiment_id", "server", "status", "effective_status", "artifact_uri",
        "start_time", "end_time", "duration_s", "user", "source", "applications", "jobs", "core_seconds")  # fmt: skip
_APPLICATION = ("app_id", "attempt", "name", "status", "start_time", "end_time", "duration_s", "user", "runs", "jobs",
                "failed_jobs", "core_seconds")  # fmt: skip
_EXPERIMENT = (
    "name",
    "experiment_id",
    "server",
    "created_time",
    "last_run_time",
    "runs",
    "failed_runs",
    "core_seconds",
    "primary_metric",
    "best_value",
    "best_run_id",
)
_SNAPSHOT = ("id", "run_id", "run_name", "experiment", "cause", "app_id", "taken_time")
_CHANGE = ("kind", "name", "change", "before", "after")
_OF_A_TOTAL = ("runs", "core_seconds")


def search_runs(
    filter_string: str = "",
    *,
    since: Time | None = "30d",
    until: Time | None = None,
    active: bool = False,
    status: str | Sequence[str] = (),
    user: str | Sequence[str] = (),
    app: str | None = None,
    experiment: str | None = None,
    server: str | None = None,
    text: str | None = None,
    linked: bool | None = None,
    order_by: str | Sequence[str] = (),
    max_results: int | None = MOST,
    source: str | None = None,
) -> "pd.DataFrame":
    """MLflow runs of all experiments, newest first, each with its Spark applications and what Spark did for it.

    `filter_string` is in the language of docs/filters.md: MLflow's, with OR, brackets and what Spark did. `since` and
    `until` are spans (``7d``, ``24h``), dates, datetimes (UTC, unless they name a zone), or ``all``; `active` takes in
    what began earlier and had not ended. `app` and `experiment` are ids or names; `text` is a part of a name or id;
    `linked=False` are runs without an application. `max_results=None` is all of them.

    A row a run: `run_id`, `name`, `experiment`, `status`, `effective_status`, `start_time` and `end_time` (UTC
    timestamps), `duration_s` and `core_seconds` (seconds), sizes in bytes, `applications` (a tuple of ids),
    `total.core_seconds` (with the runs below it), and ``metrics.x`` (floats), ``params.x`` and ``tags.x`` (text), NaN
    or None where a run has none.

    >>> import afterglow
    >>> best = afterglow.search_runs("metrics.rmse < 0.8 AND duration > 1s", order_by="metrics.rmse", since="all")
    >>> best[["name", "metrics.rmse", "core_seconds"]].head(3)  # doctest: +SKIP
    """
    words = {
        "filter": filter_string, "since": since, "until": until, "active": active, "status": status, "user": user,
        "app": app, "experiment": experiment, "server": server, "text": text, "linked": linked, "order_by": order_by,
    }  # fmt: skip
    return _list("/runs", "runs", words, max_results, source, _RUN)


def search_applications(
    filter_string: str = "",
    *,
    since: Time | None = "30d",
    until: Time | None = None,
    active: bool = False,
    status: str | Sequence[str] = (),
    user: str | Sequence[str] = (),
    app: str | None = None,
    experiment: str | None = None,
    text: str | None = None,
    order_by: str | Sequence[str] = (),
    max_results: int | None = MOST,
    source: str | None = None,
) -> "pd.DataFrame":
    """Spark applications, newest first; the arguments are those of `search_runs`.

    A row an application: `app_id`, `name`, `status`, `start_time`, `end_time`, `duration_s`, `runs`, `jobs`,
    `core_seconds`, `allocated_core_seconds`, `idle_share` (0 to 1), `lost_events`, sizes in bytes.

    >>> import afterglow
    >>> failed = afterglow.search_applications(status="FAILED", since="7d")
    """
    words = {
        "filter": filter_string, "since": since, "until": until, "active": active, "status": status, "user": user,
        "app": app, "experiment": experiment, "text": text, "order_by": order_by,
    }  # fmt: skip
    return _list("/applications", "applications", words, max_results, source, _APPLICATION)


def search_experiments(
    filter_string: str = "",
    *,
    since: Time | None = "30d",
    until: Time | None = None,
    status: str | Sequence[str] = (),
    app: str | None = None,
    server: str | None = None,
    text: str | None = None,
    order_by: str | Sequence[str] = (),
    max_results: int | None = MOST,
    source: str | None = None,
) -> "pd.DataFrame":
    """MLflow experiments by their newest run, with what the runs of the window add up to. The arguments are those of
    `search_runs`; `since`, `until` and `status` select the runs that are counted.

    A row an experiment: `name`, `experiment_id`, `server`, `last_run_time`, `runs`, `failed_runs`, `core_seconds`,
    `primary_metric` (of MLflow's tag `mlflow.experiment.primaryMetric.name`) with its `best_value` and `best_run_id`,
    ``tags.x``.

    >>> import afterglow
    >>> busy = afterglow.search_experiments(since="all", order_by="runs DESC")
    >>> bool(busy["runs"].is_monotonic_decreasing)
    True
    """
    words = {
        "filter": filter_string, "since": since, "until": until, "status": status, "app": app, "server": server,
        "text": text, "order_by": order_by,
    }  # fmt: skip
    return _list("/experiments", "experiments", words, max_results, source, _EXPERIMENT)


def snapshots(
    run_id: str | None = None,
    *,
    experiment: str | None = None,
    app: str | None = None,
    since: Time | None = "all",
    until: Time | None = None,
    max_results: int | None = MOST,
    source: str | None = None,
) -> "pd.DataFrame":
    """The snapshots of a run, of an experiment's runs, or those that an application left; newest first. `experiment` is
    an id or a name, `app` Spark's id. Raises NotThere for an experiment or application that is not known.

    A row a snapshot: `id`, which `diff` takes, `run_id`, `run_name`, `taken_time` (UTC timestamp), `cause`, `app_id`.

    >>> import afterglow
    >>> kept = afterglow.snapshots()
    """
    words = {"run_id": run_id, "experiment": experiment, "app": app, "since": since, "until": until}
    return _list("/snapshots", "snapshots", words, max_results, source, _SNAPSHOT)


def diff(before: int, after: int | str = "now", *, source: str | None = None) -> "pd.DataFrame":
    """What changed from one snapshot to another, or from one to what its run is now. Raises NotThere.

    A row a difference: `kind` (run, metric, param, registered model, output file, tag), `name`, `change` (added,
    removed, changed), `before` and `after`.

    >>> import afterglow
    >>> newest = afterglow.snapshots(max_results=1)
    >>> changed = [afterglow.diff(int(each)) for each in newest["id"]]
    """
    pandas()
    with opened(source) as asking:
        body = asking.ask(f"/snapshots/{int(before)}/diff", _words({"after": after}))
    return frame(body["changes"], _CHANGE)


def usage(
    by: str = "experiment",
    *,
    since: Time | None = "30d",
    until: Time | None = None,
    max_results: int = 10_000,
    source: str | None = None,
) -> "pd.DataFrame":
    """What the Spark jobs of a time used, by `run`, `experiment`, `user`, `application` or `day`; the most first. Each
    job counts once.

    A row a group: what tells it, `jobs`, `failed_jobs`, `core_seconds`, `overhead_core_seconds` (what of that served no
    run), sizes in bytes. At most 10,000.

    >>> import afterglow
    >>> used = afterglow.usage(by="user", since="all")
    >>> bool(used["core_seconds"].is_monotonic_decreasing)
    True
    """
    pandas()
    with opened(source) as asking:
        words = {"by": by, "since": since, "until": until, "max_results": max_results}
        return frame(asking.ask("/usage", _words(words))["usage"], ("jobs", "core_seconds"))


def _list(
    path: str, name: str, words: dict[str, Any], most: int | None, source: str | None, columns: Iterable[str]
) -> "pd.DataFrame":
    pandas()  # before anything is asked
    with opened(source) as asking:
        return frame(map(_of_a_column_each, asking.rows(path, name, _words(words), most)), columns)


def _of_a_column_each(row: Row) -> Row:
    """Without the lists of things that have no place in a table; of what a run used with others the sums that count."""
    row.pop("outputs", None)
    row.pop("registered_versions", None)
    if "total" in row:
        row["total"] = {name: row["total"][name] for name in _OF_A_TOTAL}
    return row


def _words(said: dict[str, Any]) -> list[tuple[str, str]]:
    """As an address has them. None, and no values at all, are left out."""
    return [(name, text) for name, value in said.items() for text in _texts(name, value)]


def _texts(name: str, value: Any) -> Iterator[str]:
    if value is None:
        if name == "since":
            yield "all"
    elif isinstance(value, bool):
        yield "true" if value else "false"
    elif isinstance(value, datetime):
        yield value.isoformat()
    elif isinstance(value, str | int):
        yield from [str(value)] if value != "" else []
    elif name == "order_by":
        yield from [", ".join(value)] if value else []
    else:
        yield from map(str, value)
