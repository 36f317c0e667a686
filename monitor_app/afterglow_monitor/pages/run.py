"""One run: the eight things that MLflow knows of it, and what Spark did for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from urllib.parse import quote

import streamlit as st

from afterglow_monitor import address, browser_address, data, live, places
from afterglow_monitor import format as fmt
from afterglow_monitor.charting import run_charts
from afterglow_monitor.clock import now_ms
from afterglow_monitor.data import Row
from afterglow_monitor.listing import lists
from afterglow_monitor.listing.ordered import Keys, by, ordered
from afterglow_monitor.parts import (
    details,
    history,
    model_form,
    output_files,
    run_models,
    spark_jobs,
    spark_ui,
    tag_editor,
)
from afterglow_monitor.parts.offer import offer
from afterglow_store.errors import NotFound

TABS = {
    "overview": "Overview",
    "charts": "Charts",
    "outputs": "Output files",
    "models": "Models",
    "tags": "Tags",
    "children": "Child runs",
    "jobs": "Spark jobs",
    "snapshots": "Snapshots",
}
REFRESH_SECONDS = 2.0  # while it runs
HOW_LINKED = {
    "tag": "made by this application",
    "job-tag": "its Spark jobs carry this run",
    "client": "made through MlflowClient here",
    "resumed": "made elsewhere, resumed here",
    "executor": "made on an executor of it",
    "inferred": "linked by hand",
}


def show() -> None:
    try:
        row = _read()
    except NotFound as exc:
        places.not_found("Run", str(exc))
        return
    running = row["status"] == "RUNNING"
    live.part(REFRESH_SECONDS if running else None)(_body)(running)


def _read() -> Row:
    return data.run(browser_address.value("id"))


def _body(running: bool) -> None:
    """`running`: when the page was drawn."""
    row, zone, now = _read(), fmt.zone(st.context.timezone), now_ms()
    _header(row, zone, now=now)
    tab = address.open_tab(TABS)
    address.follow("run tab", TABS[tab])
    panels = st.tabs(list(TABS.values()), key="run tab", on_change=_change_tab)
    with panels[list(TABS).index(tab)]:
        _DRAW[tab](row, zone, now)
    if running and row["status"] != "RUNNING" and browser_address.by_itself():
        st.rerun()  # as a page that does not draw itself again, which would close what is opened on it


def _change_tab() -> None:
    tab = next(key for key, label in TABS.items() if label == st.session_state["run tab"])
    address.change(tab=None if tab == "overview" else tab, sort=None, tag=None, file=None, model=None)


def _header(row: Row, zone: tzinfo, *, now: int) -> None:
    experiment = (
        fmt.in_workspace(row["experiment"], row["workspace"]),
        places.experiment(row["server"], row["experiment_id"]),
    )
    applications = [(each["name"], places.application(each)) for each in row["applications"][:1]]
    places.trail(("Monitor", places.monitor()), *applications, experiment, here=row["name"])
    details.title(row["name"], row["effective_status"], lifecycle=row["lifecycle_stage"])
    details.reason(row["effective_status"], row["status_reason"])
    details.facts(
        "header",
        {
            **details.span_facts(row, zone, now=now, started="Start date"),
            "User": row["user_name"],
            "Source": fmt.run_source(row) or "not known",
            "Commit": (fmt.commit(row["tags"]), fmt.verbatim(_whole_commit(row))),
            "Branch": fmt.branch(row["tags"]),
            "Registered version": fmt.versions(row["registered_versions"]) if row["registered_versions"] else "none",
        },
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        details.copyable(row["run_id"])
        if url := mlflow_page(row):
            st.link_button("Open in MLflow", url, icon=":material/open_in_new:", type="tertiary")
        for each in row["applications"][:1]:
            spark_ui.link(each, data.spark_properties_of((each["id"],)).get(each["id"], {}))
        model_form.button(row)


def mlflow_page(row: Row) -> str | None:
    """The run in MLflow's own UI, where its server has one."""
    uri = row["tracking_uri"] or ""
    if not uri.startswith(("http://", "https://")):
        return None
    return f"{uri.rstrip('/')}/#/experiments/{quote(row['experiment_id'])}/runs/{quote(row['run_id'])}"


def _overview(row: Row, zone: tzinfo, now: int) -> None:
    left, right = st.columns([3, 2], gap="large")
    with left:
        details.section("Metrics")
        details.metrics(row["metrics"] or {})
        details.section("Hyperparameters")
        details.name_values("params", row["params"] or {}, "Parameter")
    with right:
        _applications(row)
        _spark(row)
        _data(row)
        _code(row)
        _family(row)


def _applications(row: Row) -> None:
    details.section("Spark application" if len(row["applications"]) < 2 else "Spark applications")
    if not row["applications"]:
        offer(row)
    for each in row["applications"]:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            places.link(each["name"], places.application(each), icon=":material/bolt:")
            st.caption(f"{fmt.verbatim(each['app_id'])}  ·  {HOW_LINKED.get(each['source'], 'linked')}")


def _spark(row: Row) -> None:
    details.section("Spark")
    parent, total = row["parent"], row["total"]
    if total["jobs"] > row["jobs"]:
        st.caption(f"With {fmt.counted(total['runs'] - 1, 'run')} below it:")
        _used("spark total", total)
        if not row["jobs"]:
            st.caption("It made no Spark jobs of its own.")
            return
        st.caption("By itself:")
    if row["jobs"]:
        _used("spark", row)
    elif parent is not None and parent["jobs"]:
        st.caption("This run made no Spark jobs of its own. Its parent's, which did the work:")
        _used("spark", parent)
    else:
        st.caption("No Spark job ran for this run.")


def _used(key: str, row: Row) -> None:
    details.facts(
        key,
        {
            "Jobs": fmt.with_failed(row["jobs"], row["failed_jobs"]),
            "Core time": details.core_fact(row["core_seconds"]),
            "Tasks": details.run_tasks(row),
            **details.data_facts(row),
            "GC": fmt.duration(row["gc_ms"]) if row["gc_ms"] else None,
            "Peak memory of a task": fmt.size(row["peak_execution_memory_bytes"]),
            "Peak heap": fmt.size(row["peak_heap_bytes"]),
        },
    )


MOST_DATA = 10  # files and tables


def _data(row: Row) -> None:
    """What the queries that ran for it read and wrote."""
    found = data.data_of_runs((row["run_id"],)).get(row["run_id"], {})
    for heading, said in (("Data read", found.get("inputs")), ("Data written", found.get("outputs"))):
        if said:
            details.section(heading)
            for each in said[:MOST_DATA]:
                st.text(details.files([each]))
            if len(said) > MOST_DATA:
                st.caption(f"and {len(said) - MOST_DATA:,} more: see the tab Data of its application")


def _whole_commit(row: Row) -> str:
    return fmt.short((row["tags"] or {}).get(f"{fmt.GIT}commit"), 200)


def _code(row: Row) -> None:
    """Which version of it ran, to be copied."""
    if not (commit := _whole_commit(row)):
        return
    details.section("Code")
    details.copyable(commit)
    on_branch = f"branch {branch}" if (branch := fmt.branch(row["tags"])) else ""
    changed = "with changes that were not committed" if fmt.is_dirty(row["tags"]) else ""
    if on_branch or changed:
        st.caption(fmt.verbatim("  ·  ".join(filter(None, (on_branch, changed)))))


def _family(row: Row) -> None:
    if row["parent"] is not None:
        details.section("Parent run")
        places.link(row["parent"]["name"], places.run(row["parent"]["run_id"]), icon=":material/arrow_upward:")
    if row["children"]:
        details.section("Child runs")
        for child in row["children"][:5]:
            places.link(child["name"], places.run(child["run_id"]), icon=":material/subdirectory_arrow_right:")
        if len(row["children"]) > 5:
            st.caption(f"and {len(row['children']) - 5:,} more: see the tab Child runs")


def _children(row: Row, zone: tzinfo, now: int) -> None:
    if not row["children"]:
        details.nothing("No child runs", "Nested runs, such as the folds of a cross-validation, are listed here.")
        return
    order = address.order()
    children = ordered(row["children"], order, _CHILD_KEYS)
    lists.runs("children", children, order, zone, now=now, without=("Experiment", "Application"))


_CHILD_KEYS: Keys = {
    **by("name", "start_time", "user_name", "source_name"),
    "status": lambda child: child["effective_status"],
    "duration": lambda child: child["duration_ms"],
}


def _jobs(row: Row, zone: tzinfo, now: int) -> None:
    jobs = data.jobs_of_run(row["run_id"])
    if not jobs and row["parent"] is not None:
        st.caption("This run made no Spark jobs of its own. Its parent's:")
        jobs = data.jobs_of_run(row["parent"]["run_id"])
    stages = {each: data.stages_by_job(each) for each in {job["application_id"] for job in jobs}}
    spark_jobs.show("run jobs", jobs, stages, zone, now=now, of_run=True)


_DRAW: dict[str, Callable[[Row, tzinfo, int], None]] = {
    "overview": _overview,
    "charts": run_charts.show,
    "outputs": output_files.show,
    "models": run_models.show,
    "tags": tag_editor.show,
    "children": _children,
    "jobs": _jobs,
    "snapshots": history.show,
}
