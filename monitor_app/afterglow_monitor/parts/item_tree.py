"""Item snapshots: what an application left in MLflow, as a tree; as it was when it ended, or as it is now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import Any

import streamlit as st

from afterglow_monitor import address, browser_address, data, places
from afterglow_monitor import format as fmt
from afterglow_monitor.data import Row
from afterglow_monitor.listing import lists
from afterglow_monitor.listing.grid import Column, grid
from afterglow_monitor.listing.toolbar import choice
from afterglow_monitor.parts import changes, details, status
from afterglow_store.diff import METRIC, PARAM, RUN, TAG, Left

NOW, END = "now", "end"
AS = {NOW: "As it is now", END: "As at the application's end"}
CHANGED = "≠ "
MOST_SNAPSHOTS = 2_000  # to choose from

COLUMNS = (
    Column("Item", 260),
    lists.STATUS_OF_RUNS,
    Column("Changed since its end", 200),
    Column("Start", 196),
    Column("Duration", 96, right=True),
    Column("Metrics", 270),
    Column("Parameters", 270),
    Column("Tags", 150),
    Column("Core time", 88, right=True),
    Column("With children", 110, right=True),
)
# In which column a change is seen.
_SEEN_IN = {METRIC: "Metrics", PARAM: "Parameters", TAG: "Tags"}
_FIELDS = {"run_name": "Item", "start_time": "Start", "end_time": "Duration"}


def show(row: Row, zone: tzinfo, now: int) -> None:
    experiments = data.items_of(row["id"])
    if not experiments:
        details.nothing(
            "No MLflow run in this application",
            "Runs that its driver starts appear here, if the Python package afterglow is installed there.",
        )
        return
    left = data.as_left_by(row["id"])
    as_ = address.open_tab(AS, "as")
    if left:
        choice("as", AS, as_)
    cells, targets = [], []
    for experiment in experiments:
        cells.append(_experiment_cells(experiment))
        targets.append(places.experiment(experiment["server"], experiment["experiment_id"]))
        for run, depth in walk(experiment["items"], 1):
            cells.append(run_cells(run, left.get(run["run_id"]), as_, depth, zone, now=now))
            targets.append(places.run(run["run_id"]))
    columns = [each for each in COLUMNS if left or not each.name.startswith("Changed")]
    grid("items", columns, cells, targets)
    _ask_for_two(row["id"], zone, now)


def walk(runs: list[Row], depth: int) -> list[tuple[Row, int]]:
    return [each for run in runs for each in ((run, depth), *walk(run["children"], depth + 1))]


def _experiment_cells(experiment: Row) -> dict[str, Any]:
    """What of this application is in it."""
    runs = [run for run, _depth in walk(experiment["items"], 1)]
    failed = sum(run["effective_status"] == "FAILED" for run in runs)
    return {
        "Item": f"◆  {fmt.named(experiment['name'])}",
        "Metrics": fmt.counted(len(runs), "run") + (f"  ·  {failed:,} failed" if failed else ""),
        "Core time": fmt.core_time(sum(run["core_seconds"] for run in runs)),
    }


def run_cells(run: Row, left: Left | None, as_: str, depth: int, zone: tzinfo, *, now: int) -> dict[str, Any]:
    """Of a run whose application has ended, `left`; a cell that differs between then and now begins with CHANGED."""
    shown = as_it_was(run, left.details) if left is not None and as_ == END else run
    cells: dict[str, Any] = {
        "Start": fmt.when(shown["start_time"], zone, now=now),
        "Duration": fmt.lasting(shown, now=now),
        "Metrics": fmt.metrics(shown["metrics"]),
        "Parameters": fmt.pairs(shown["params"]),
        "Tags": fmt.pairs(fmt.own_tags(shown["tags"])),
    }
    name = fmt.named(shown["name"])
    changed = seen_in(left) if left is not None else set()
    cells = {column: (CHANGED if column in changed else "") + text for column, text in cells.items()}
    return cells | {
        "Item": "\u2003" * (2 * depth - 1) + "└ " + (CHANGED if "Item" in changed else "") + name,
        "Status": [status.label(shown["effective_status"])],
        "Changed since its end": changed_text(left),
        "Core time": fmt.core_time(run["core_seconds"]),
        "With children": fmt.core_time(run["total"]["core_seconds"]) if run["children"] else "",
    }


def as_it_was(run: Row, then: Mapping[str, Any]) -> Row:
    """The row of a run, with what its snapshot says; its status is the one that MLflow had."""
    start, end = then.get("start_time") or run["start_time"], then.get("end_time")
    said = {name: then.get(name) for name in ("params", "metrics", "tags", "status")}
    return (
        run
        | said
        | {
            "name": then.get("run_name"),
            "effective_status": then.get("status"),
            "start_time": start,
            "end_time": end,
            "duration_ms": end - start if end is not None else None,
        }
    )


def seen_in(left: Left) -> set[str]:
    """The columns in which something has changed."""
    of_runs = {_FIELDS.get(each.name) for each in left.changes if each.kind == RUN}
    return {column for column in (*of_runs, *(_SEEN_IN.get(each.kind) for each in left.changes)) if column}


def changed_text(left: Left | None) -> str:
    """`tags.stage, metrics.rmse, +2`."""
    if left is None or not left.changes:
        return fmt.NOTHING
    names = [fmt.short(changes.name(each), 40) for each in left.changes]
    return CHANGED + ", ".join([*names[:3], *([f"+{len(names) - 3}"] if len(names) > 3 else [])])


def _ask_for_two(application_id: int, zone: tzinfo, now: int) -> None:
    """Any two snapshots of the application's runs, or one and its run as it is now."""
    kept = {str(each["id"]): each for each in data.snapshots_of_runs_of(application_id, MOST_SNAPSHOTS)}
    if not kept:
        return
    labels = {key: _label(each, zone, now) for key, each in kept.items()}
    details.section("Compare two snapshots")
    with st.container(horizontal=True, gap="medium"):
        before, after = (_one_of(labels, name) for name in ("before", "after"))
    if before is None:
        st.caption("Choose one of any run here, and another one, or nothing, which means now.")
        return
    heads = [labels[before], labels[after] if after else "Now"]
    changes.show(data.differences(int(before), int(after) if after else None), heads, zone, now)


def _label(kept: Row, zone: tzinfo, now: int) -> str:
    taken = fmt.moment(kept["taken_time"], zone, now=now)
    return f"{fmt.named(kept['run_name'])}  ·  {taken}, {kept['cause']}  (#{kept['id']})"


def _one_of(labels: Mapping[str, str], name: str) -> str | None:
    said = browser_address.value(name)
    chosen = said if said in labels else None
    address.follow(f"snapshot {name}", chosen)
    st.selectbox(
        name.capitalize(),
        list(labels),
        index=None,
        key=f"snapshot {name}",
        format_func=labels.__getitem__,
        placeholder="a snapshot" if name == "before" else "the run as it is now",
        width=480,
        on_change=lambda: address.change(**{name: st.session_state[f"snapshot {name}"]}),
    )
    return chosen
