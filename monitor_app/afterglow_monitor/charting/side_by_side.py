"""Runs side by side: a row for each thing that any of them has, a column for each run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from typing import Any

import pandas as pd

from afterglow_monitor import format as fmt
from afterglow_monitor.charting import run_fields
from afterglow_monitor.charting.charts import distinct_names
from afterglow_monitor.data import Row
from afterglow_monitor.parts import details

GROUPS = ("Run", "Metrics", "Parameters", "Tags", "Spark", "Data", "Spark configuration")
DIFFERS = "≠"

Lines = dict[str, list[Any]]  # by name, the value of each run


def table(
    rows: Sequence[Row],
    read: Mapping[str, Mapping[str, Sequence[Row]]],
    properties: Mapping[int, Mapping[str, str]],
    zone: tzinfo,
    *,
    now: int,
) -> pd.DataFrame:
    """Columns `Group`, `What`, `Differs` and one for each run. `read`: data_of_runs; `properties`: spark_properties_of
    their applications."""
    groups: dict[str, Lines] = {
        "Run": _run(rows, zone, now=now),
        "Metrics": _of(rows, "metrics", fmt.metric),
        "Parameters": _of(rows, "params", str),
        "Tags": _tags(rows),
        "Spark": _spark(rows),
        "Data": {
            what: [details.files(read[row["run_id"]][name]) for row in rows]
            for what, name in (("Reads", "inputs"), ("Writes", "outputs"))
        },
        "Spark configuration": _configuration(rows, properties),
    }
    heads = distinct_names(rows)
    lines = [
        {"Group": group, "What": fmt.short(what, 200), "Differs": _differs(values)}
        | {head: fmt.NOTHING if value is None else fmt.short(str(value), 500)
           for head, value in zip(heads, values, strict=True)}
        for group, lines in groups.items()
        for what, values in lines.items()
    ]  # fmt: skip
    return pd.DataFrame(lines, columns=["Group", "What", "Differs", *heads])


def _differs(values: Sequence[Any]) -> str:
    return DIFFERS if len({str(each) for each in values}) > 1 else ""


def _run(rows: Sequence[Row], zone: tzinfo, *, now: int) -> Lines:
    cells: dict[str, Callable[[Row], Any]] = {
        "Status": lambda row: run_fields.value(row, "status"),
        "Experiment": lambda row: fmt.in_workspace(row["experiment"], row["workspace"]),
        "Application": lambda row: run_fields.value(row, "application"),
        "User": lambda row: row["user_name"],
        "Source": lambda row: fmt.source(row["source_name"]),
        "Start": lambda row: fmt.moment(row["start_time"], zone, now=now),
        "Duration": lambda row: fmt.lasting(row, now=now),
        "Registered version": lambda row: fmt.versions(row["registered_versions"]),
    }
    return {name: [of(row) for row in rows] for name, of in cells.items()}


def _of(rows: Sequence[Row], name: str, shown: Any) -> Lines:
    keys = sorted({key for row in rows for key in row[name] or {}})
    return {key: [shown(row[name][key]) if key in (row[name] or {}) else None for row in rows] for key in keys}


def _tags(rows: Sequence[Row]) -> Lines:
    own = [fmt.own_tags(row["tags"]) for row in rows]
    return {key: [tags.get(key) for tags in own] for key in sorted({key for tags in own for key in tags})}


def _spark(rows: Sequence[Row]) -> Lines:
    """With the runs below each."""
    totals = [row["total"] for row in rows]
    return {
        "Jobs": [fmt.with_failed(each["jobs"], each["failed_jobs"]) for each in totals],
        "Core time": [fmt.core_time(each["core_seconds"]) for each in totals],
        "Tasks": [details.run_tasks(each) for each in totals],
        **{name: [details.data_cells(each)[name] for each in totals] for name in details.data_cells(totals[0])},
    }


def _configuration(rows: Sequence[Row], properties: Mapping[int, Mapping[str, str]]) -> Lines:
    """Of the first application of each."""
    of_runs = [properties.get(row["applications"][0]["id"], {}) if row["applications"] else {} for row in rows]
    return {key: [each.get(key) for each in of_runs] for key in sorted({key for each in of_runs for key in each})}
