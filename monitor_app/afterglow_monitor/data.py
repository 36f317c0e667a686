"""What the pages read: the store, opened once, and reads that the sessions of a second share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar, cast

import sqlalchemy as sa
import streamlit as st

from afterglow_monitor.access import sign_in
from afterglow_monitor.address import PAGE_ROWS, View
from afterglow_monitor.clock import now_ms
from afterglow_monitor.settings import load_settings
from afterglow_store import (
    Page,
    Query,
    Store,
    audit,
    diff,
    items,
    open_store,
    parse_window,
    registered,
    search_applications,
    search_experiments,
    search_runs,
    search_runs_of_unknown_owner,
    snapshots,
    tracking,
    trend,
)
from afterglow_store import saved_views as views
from afterglow_store.alerts import latest as latest_alerts
from afterglow_store.cost import Price
from afterglow_store.cost import cost as cost_of
from afterglow_store.cost import idle as idle_of
from afterglow_store.cost import prices_of_runs as prices_of
from afterglow_store.cost import tag_keys as tag_keys_of
from afterglow_store.diff import Change, Left, of_snapshots
from afterglow_store.engine import answering
from afterglow_store.filters.tokens import in_backticks
from afterglow_store.report import behind as behind_of
from afterglow_store.report import report
from afterglow_store.search import add_best, any_primary_metric, facets_of_applications
from afterglow_store.search import facets as facets_of
from afterglow_store.search.deadline import deadline
from afterglow_store.suggest import Suggestion, add_suggestions, suggest
from afterglow_store.windows import ALL, DEFAULT

Row = dict[str, Any]
Read = TypeVar("Read", bound=Callable[..., Any])

# Long enough that twenty open pages read once a second together, short enough that nobody sees it.
FRESH_SECONDS = 0.5
USAGE_SECONDS = 10.0
LATE_MS = 180_000  # a tracking server is read each second or two, and that is noted every half a minute


def kept(*, ttl: float, max_entries: int, show_spinner: bool | str = False) -> Callable[[Read], Read]:
    """Streamlit's `cache_data`, of each scope for itself: what one person has read is nobody else's, unless both see
    the same. Raises StoreUnreachable where the store does not answer."""

    def of(read: Read) -> Read:
        def cached(seen: str, *said: Any, **named: Any) -> Any:
            return read(*said, **named)

        cached.__module__, cached.__qualname__ = (
            read.__module__,
            read.__qualname__,
        )  # what the cache tells them apart by
        kept_ = st.cache_data(ttl=ttl, max_entries=max_entries, show_spinner=show_spinner)(cached)

        @functools.wraps(read)
        def for_who_asks(*said: Any, **named: Any) -> Any:
            with answering():
                return kept_(repr(sign_in.scope()), *said, **named)

        return cast("Read", for_who_asks)

    return of


reading = kept(ttl=FRESH_SECONDS, max_entries=200)

# What a list can be sorted by: the column's name in an address, and the field that search knows it by.
SORTS = {
    "applications": {name: name for name in ("start_time", "name", "status", "runs", "jobs")}
    | {"user_name": "user", "core_ms": "core_seconds", "idle_share": "idle_share", "duration": "duration",
       "experiments": "experiments", "master": "master"},
    "experiments": {name: name for name in ("name", "runs", "failed_runs", "applications", "users", "core_seconds")}
    | {"last_run": "last_run_time"},
    "runs": {"start_time": "start_time", "name": "run_name", "status": "effective_status", "user_name": "user",
             "source_name": "source", "core_ms": "spark.core_seconds", "duration": "duration"},
}  # fmt: skip


@st.cache_resource(show_spinner=False)
def _whole_store() -> Store:
    return open_store(load_settings().store.url)


def store() -> Store:
    """As much of it as the person at the page may see."""
    return _whole_store().seen_by(sign_in.scope())


@reading
def applications(view: View) -> Page:
    with store().read() as conn:
        return search_applications(conn, query_of(view, "applications"))


@kept(ttl=2, max_entries=50)  # it adds up all runs of the time
def experiments(view: View) -> Page:
    with store().read() as conn:
        return search_experiments(conn, query_of(view, "experiments"))


@kept(ttl=10, max_entries=2)
def primary_metrics() -> bool:
    """Whether any experiment says by a tag which metric it is about."""
    with store().read() as conn:
        return any_primary_metric(conn)


def best_of_experiments(view: View, rows: list[Row]) -> list[Row]:
    """The rows of that list with what add_best gives them."""
    return _best(view, [{name: row[name] for name in ("server", "experiment_id", "tags")} for row in rows])


@kept(ttl=10, max_entries=50)  # of each experiment it looks into an index
def _best(view: View, rows: list[Row]) -> list[Row]:
    with store().read() as conn:
        add_best(conn, rows, query_of(view, "experiments"))
    return rows


@reading
def runs(view: View, server: str | None = None, experiment_id: str | None = None) -> Page:
    with store().read() as conn:
        linked = False if view.unlinked else None
        page = search_runs(conn, query_of(view, "runs", server=server, experiment=experiment_id, linked=linked))
        if view.unlinked:
            add_suggestions(conn, page.rows)
        return page


@reading
def runs_named(run_ids: tuple[str, ...]) -> list[Row]:
    with store().read() as conn:
        return items.runs_named(conn, run_ids)


@answering()
def run_ids(view: View, of_experiment: tuple[str, str] | None, most: int) -> list[str]:
    """All runs that a list of this view has, perhaps of one experiment of a server: the first `most` of them."""
    found: list[str] = []
    server, experiment_id = of_experiment or (None, None)
    which = {"server": server, "experiment": experiment_id, "linked": False if view.unlinked else None}
    query = replace(query_of(view, "runs", **which), offset=0, limit=1_000, count=False)
    with store().read() as conn:
        while len(found) < most:
            page = search_runs(conn, query)
            found += [row["run_id"] for row in page.rows]
            if page.next is None:
                break
            query = replace(query, after=page.next)
    return found[:most]


@kept(ttl=30, max_entries=50, show_spinner="Adding up what was used …")  # it goes through every job of the time
def cost(by: str, tag: str, view: View) -> list[Row]:
    """As the store's `cost` has it, at the prices of the settings. Raises TooSlow."""
    with store().read() as conn, deadline(conn, USAGE_SECONDS):
        return cost_of(conn, by, view.span(now=now_ms()), tag=tag, **_prices())


@reading
def prices_of_runs(run_ids: tuple[str, ...]) -> dict[str, float]:
    """As the store's `cost.prices_of_runs`, at the prices of the settings; of none where these name no price."""
    if not load_settings().cost.known:
        return {}
    with store().read() as conn:
        return prices_of(conn, run_ids, **_prices())


def _prices() -> dict[str, Any]:
    said = load_settings().cost
    return {"prices": [Price(**each.model_dump()) for each in said.prices], "other": said.core_hour}


@kept(ttl=30, max_entries=50, show_spinner="Adding up what was allocated …")
def idle(by: str | None, view: View) -> dict[Any, Row]:
    """As the store's `cost.idle`. Raises TooSlow."""
    with store().read() as conn, deadline(conn, USAGE_SECONDS):
        return idle_of(conn, view.span(now=now_ms()), by)


@kept(ttl=30, max_entries=50)
def tag_keys(view: View) -> list[str]:
    with store().read() as conn:
        return tag_keys_of(conn, view.span(now=now_ms()))


@reading
def health(most: int) -> dict[str, Any]:
    """The newest `most` of each: runs that are `orphaned`, or of `unknown` owners, whenever they began, since they wait
    for somebody; of the default window runs that are `suspect`, applications that are `lost` or `lossy`; how many
    `unlinked` runs there are, as text; all `servers`, and the last `changes`."""
    now = now_ms()
    asked = Query(window=parse_window(DEFAULT, now=now), now=now, limit=most)
    with store().read() as conn:
        return {
            "orphaned": search_runs(conn, replace(asked, statuses=("ORPHANED",), window=ALL)).rows,
            "unknown": search_runs_of_unknown_owner(conn, replace(asked, window=ALL)).rows,
            "suspect": search_runs(conn, replace(asked, statuses=("SUSPECT",))).rows,
            "lost": search_applications(conn, replace(asked, statuses=("LOST",))).rows,
            "lossy": search_applications(conn, replace(asked, filter="lost_events > 0")).rows,
            "unlinked": search_runs(conn, replace(asked, linked=False, limit=1)).total_text,
            "servers": tracking.servers(conn),
            "changes": _changes(conn),
        }


@reading
def server_status() -> dict[str, Any]:
    """As the store's `report` has it, of now: of the server, not of any item, so that it is the same for everybody."""
    with _whole_store().read() as conn:
        return report(conn, now=now_ms())


@kept(ttl=5, max_entries=2)
def behind() -> Row:
    """As the store's `report.behind`, of now; of the servers only those that the settings still name."""
    settings = load_settings()
    late_ms, named = max(LATE_MS, int(3_000 * settings.sync.interval_seconds)), {each.name for each in settings.mlflow}
    with _whole_store().read() as conn:
        found = behind_of(conn, now=now_ms(), late_ms=late_ms)
    return found | {"servers": [each for each in found["servers"] if each["name"] in named]}


@reading
def alerts_told(most: int) -> list[Row]:
    """As the store's `alerts.latest`."""
    with store().read() as conn:
        return latest_alerts(conn, limit=most)


def _changes(conn: sa.Connection) -> list[Row]:
    """The last entries of the audit, with `run_name`; `undoable` where a settling can be taken back. More settlings
    than others: a tag of many runs is as many entries."""
    lately = [*audit.entries(conn, limit=20), *audit.entries(conn, audit.SETTLE, audit.UNDO, limit=50)]
    found = sorted({each["id"]: each for each in lately}.values(), key=lambda each: each["id"], reverse=True)
    names = {row["run_id"]: row["name"] for row in items.runs_named(conn, [each["run_id"] for each in found])}
    seen: set[str] = set()  # a settling can be taken back if it was the last of its run
    for each in found:
        settled = each["action"] in (audit.SETTLE, audit.UNDO)
        each["undoable"] = each["action"] == audit.SETTLE and each["run_id"] not in seen
        seen |= {each["run_id"]} if settled else set()
        each["run_name"] = names.get(each["run_id"])
    return found


@reading
def data_of_runs(run_ids: tuple[str, ...]) -> dict[str, dict[str, list[Row]]]:
    with store().read() as conn:
        return items.data_of_runs(conn, run_ids)


@reading
def spark_properties_of(application_ids: tuple[int, ...]) -> dict[int, dict[str, str]]:
    with store().read() as conn:
        return items.spark_properties_of(conn, application_ids)


@reading
def anything() -> bool:
    """Whether the store has any application or run yet."""
    first = Query(limit=1, count=False)
    with store().read() as conn:
        return bool(search_applications(conn, first).rows or search_runs(conn, first).rows)


@reading
def application(app_id: str, start_time: int | None) -> Row:
    """The application that started then; of a start that is not known, the latest of that id. Raises NotFound."""
    with store().read() as conn:
        if start_time is not None:
            same_id = search_applications(conn, Query(app=app_id, limit=1_000)).rows
            for row in same_id:
                if (row["app_id"], row["start_time"]) == (app_id, start_time):
                    return items.application_by_id(conn, row["id"])
        return items.application_by_app_id(conn, app_id)


@reading
def applications_named(name: str, most: int) -> list[Row]:
    """The latest of this name, newest first."""
    with store().read() as conn:
        found = search_applications(conn, Query(app=name, limit=most, count=False)).rows
        return [each for each in found if each["name"] == name]


@reading
def items_of(application_id: int) -> list[Row]:
    with store().read() as conn:
        return items.items_of(conn, application_id)


@reading
def jobs_of(application_id: int) -> list[Row]:
    with store().read() as conn:
        return items.jobs_of(conn, application_id)


@reading
def stages_of(application_id: int) -> list[Row]:
    with store().read() as conn:
        return items.stages_of(conn, application_id)


@reading
def stages_by_job(application_id: int) -> dict[int, Row]:
    """As items.stages_by_job. The last stage's name is what Spark's own UI calls a job that nobody has described."""
    with store().read() as conn:
        return items.stages_by_job(conn, application_id)


@reading
def progress_of(application_id: int) -> list[Row]:
    with store().read() as conn:
        return items.progress_of(conn, application_id)


@reading
def executors_of(application_id: int) -> list[Row]:
    with store().read() as conn:
        return items.executors_of(conn, application_id)


@reading
def writers_in_trouble(application_id: int) -> list[Row]:
    with store().read() as conn:
        return items.writers_in_trouble(conn, application_id)


@reading
def sql_executions_of(application_id: int) -> list[Row]:
    with store().read() as conn:
        return items.sql_executions_of(conn, application_id)


@kept(ttl=2, max_entries=50)  # as well
def experiment(server: str, experiment_id: str) -> Row:
    """Raises NotFound."""
    with store().read() as conn:
        return items.experiment_by_id(conn, server, experiment_id)


@reading
def applications_of(server: str, experiment_id: str, order: View, most: int) -> Page:
    """The first applications that wrote into an experiment, in the order of `order`."""
    with store().read() as conn:
        order_by = order_of(order, "applications")
        return search_applications(conn, Query(server=server, experiment=experiment_id, order_by=order_by, limit=most))


@reading
def trend_of(server: str, experiment_id: str, metric: str, view: View, most: int) -> list[Row]:
    """As trend.of_experiment. Raises TooSlow."""
    with store().read() as conn:
        window = view.span(now=now_ms())
        return trend.of_experiment(conn, server, experiment_id, window, metric=metric, most=most)


@reading
def metrics_of_experiment(server: str, experiment_id: str) -> list[str]:
    with store().read() as conn:
        return trend.metrics_of_experiment(conn, server, experiment_id)


@reading
def metric_of_applications(application_ids: tuple[int, ...], metric: str) -> dict[int, float]:
    """As trend.of_applications."""
    with store().read() as conn:
        return trend.of_applications(conn, application_ids, metric)


@reading
def metrics_of_applications(application_ids: tuple[int, ...]) -> list[str]:
    with store().read() as conn:
        return trend.metrics_of_applications(conn, application_ids)


@reading
def facets(view: View, what: str, server: str | None, experiment_id: str | None) -> dict[str, list[Row]]:
    """Of a list of applications or of runs, as `what` says: users, masters, experiments and applications, as far as
    these have any, each as if it was not chosen among them yet. Raises BadFilter and TooSlow."""
    free = replace(view, users=(), masters=(), experiment="", app="", page=1)
    if what == "applications":
        with store().read() as conn:
            return facets_of_applications(conn, query_of(free, what), ("user", "master", "experiment"))
    which: dict[str, Any] = {"linked": False if view.unlinked else None}
    if server is not None:
        which |= {"server": server, "experiment": experiment_id}
    with store().read() as conn:
        return facets_of(conn, query_of(free, "runs", **which), ("user", "experiment", "application"))


@answering()
def last_view(owner: str) -> dict[str, list[str]] | None:
    with _whole_store().read() as conn:
        return views.last(conn, owner)


@answering()
def saved_views(owner: str) -> list[Row]:
    """As saved_views.named."""
    with _whole_store().read() as conn:
        return views.named(conn, owner)


@answering()
def keep_view(owner: str, name: str, address: dict[str, list[str]], *, shared: bool, now: int) -> None:
    views.keep(_whole_store(), owner, name, address, shared=shared, now=now)


@answering()
def remove_view(owner: str, name: str) -> None:
    views.remove(_whole_store(), owner, name)


@reading
def models(text: str, most: int) -> list[Row]:
    """As registered.models."""
    with store().read() as conn:
        return registered.models(conn, text=text, most=most)


@reading
def model_versions(server: str, workspace: str | None, name: str) -> list[Row]:
    """As registered.versions."""
    with store().read() as conn:
        return registered.versions(conn, server, workspace, name)


@reading
def run(run_id: str) -> Row:
    """Raises NotFound."""
    with store().read() as conn:
        return items.run_by_id(conn, run_id)


@reading
def suggestion(run_id: str) -> Suggestion | None:
    """Raises NotFound."""
    with store().read() as conn:
        return suggest(conn, [items.run_by_id(conn, run_id)]).get(run_id)


@reading
def jobs_of_run(run_id: str) -> list[Row]:
    with store().read() as conn:
        return items.jobs_of_run(conn, run_id)


@reading
def snapshots_of(run_id: str) -> list[Row]:
    with store().read() as conn:
        return snapshots.snapshots_of(conn, "run", run_id)


@reading
def as_left_by(application_id: int) -> dict[str, Left]:
    """As diff.as_left_by."""
    with store().read() as conn:
        return diff.as_left_by(conn, application_id)


@reading
def snapshots_of_runs_of(application_id: int, most: int) -> list[Row]:
    """The latest snapshots of its runs, whatever they were taken for."""
    with store().read() as conn:
        return snapshots.listed(conn, snapshots.Of(linked_to=application_id), limit=most)


@reading
def snapshot(snapshot_id: int) -> Row:
    """Raises NotFound."""
    with store().read() as conn:
        return snapshots.content(conn, snapshot_id)


@reading
def tag_changes_of(run_id: str) -> list[Row]:
    """As audit.of_run has them, the latest first."""
    with store().read() as conn:
        return audit.of_run(conn, run_id, audit.TAG, audit.UNTAG)


@reading
def differences(before: int, after: int | None) -> list[Change]:
    """Of two snapshots; `after` None is now. Raises NotFound."""
    with store().read() as conn:
        return of_snapshots(conn, before, after)


def _keyed(name: str) -> str:
    """A metric, param or tag, as an order names it; '' for anything else."""
    group, _, key = name.partition(".")
    return f"{group}.{in_backticks(key)}" if group in ("metrics", "params", "tags") and key else ""


def query_of(view: View, what: str, **which: Any) -> Query:
    """For a list of `what`: one of SORTS, or experiments."""
    now = now_ms()
    if view.experiment:
        which.setdefault("experiment", None)
        which["experiment"] = which["experiment"] or view.experiment
    return Query(
        window=view.span(now=now),
        statuses=view.statuses,
        text=view.text,
        filter=view.filter,
        users=view.users,
        masters=view.masters,
        app=view.app or None,
        active=view.active,
        now=now,
        limit=PAGE_ROWS,
        offset=(view.page - 1) * PAGE_ROWS,
        order_by=order_of(view, what),
        **which,
    )


def order_of(view: View, what: str) -> str:
    """As search reads it."""
    field = SORTS.get(what, {}).get(view.order_by) or (_keyed(view.order_by) if what == "runs" else "") or "start_time"
    return f"{field} {'DESC' if view.descending else 'ASC'}"
