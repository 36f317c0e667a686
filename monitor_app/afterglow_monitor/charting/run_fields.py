"""What of a run can be an axis of a chart, a colour, or a row of a comparison: by name, as filters name it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from afterglow_monitor import format as fmt
from afterglow_monitor.data import Row
from afterglow_monitor.parts import status

RUN, START, DURATION, PRICE = "run", "start_time", "duration_s", "price"
ATTRIBUTES = (RUN, "experiment", "application", "user", "status", "source", START, DURATION)
# Of a run and those below it, as what a parent costs is what its children do.
SPARK = {
    "spark.core_seconds": "core_seconds",
    "spark.jobs": "jobs",
    "spark.failed_tasks": "failed_tasks",
    "spark.input_bytes": "input_bytes",
    "spark.output_bytes": "output_bytes",
    "spark.shuffle_read_bytes": "shuffle_read_bytes",
    "spark.shuffle_write_bytes": "shuffle_write_bytes",
    "spark.disk_spilled_bytes": "disk_spilled_bytes",
}


def names(rows: Sequence[Row]) -> list[str]:
    """All that any of these runs has, metrics first; a price where the rows say it."""
    groups = (("metrics", "metrics"), ("params", "params"))
    found = [f"{prefix}.{key}" for prefix, name in groups for key in _keys(rows, name)]
    tags = sorted({key for row in rows for key in fmt.own_tags(row["tags"])})
    return [
        *found,
        DURATION,
        *([PRICE] if any(row.get(PRICE) is not None for row in rows) else []),
        *SPARK,
        *(each for each in ATTRIBUTES if each != DURATION),
        *(f"tags.{key}" for key in tags),
    ]


def metrics(rows: Sequence[Row]) -> list[str]:
    """The metrics of these runs, those that most of them have first."""
    return _keys(rows, "metrics")


def frame(rows: Sequence[Row], fields: Iterable[str]) -> pd.DataFrame:
    """A row for each run, a column for each field; numbers where all values are."""
    table = pd.DataFrame({each: [value(row, each) for row in rows] for each in fields})
    for each in table.columns:
        if each != START:
            table[each] = _numbers(table[each])
    return table


def value(row: Row, field: str) -> Any:
    """What a run has of a field; None where it has nothing."""
    group, _, key = field.partition(".")
    if field in SPARK:
        return row["total"][SPARK[field]]
    if group in ("metrics", "params", "tags"):
        return (row[group] or {}).get(key)
    return _attribute(row, field)


def _attribute(row: Row, field: str) -> Any:
    if field == RUN:
        return fmt.named(row["name"])
    if field == "status":
        return status.look(row["effective_status"]).word
    if field == "application":
        return ", ".join(fmt.named(each["name"]) for each in row["applications"]) or None
    if field == DURATION:
        return None if row["duration_ms"] is None else row["duration_ms"] / 1000
    if field == START:
        return pd.Timestamp(row["start_time"], unit="ms", tz="UTC") if row["start_time"] else None
    if field == PRICE:
        return row.get(PRICE)
    return row[{"user": "user_name", "source": "source_name"}.get(field, field)]


def is_number(column: pd.Series[Any]) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column))


def _numbers(column: pd.Series[Any]) -> pd.Series[Any]:
    """As numbers, if every value that is there is one. MLflow's infinities and NaN are no place on an axis."""
    there = column.dropna()
    numbers = pd.to_numeric(there, errors="coerce")
    infinite = there.astype(str).isin(("NaN", "Infinity", "-Infinity", "nan", "inf", "-inf"))
    if len(there) == 0 or bool((numbers.isna() & ~infinite).any()):
        return column
    return pd.to_numeric(column, errors="coerce").replace([float("inf"), float("-inf")], float("nan"))


def _keys(rows: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    counts: dict[str, int] = {}
    for row in rows:
        for key in row[name] or {}:
            counts[key] = counts.get(key, 0) + 1
    return sorted(counts, key=lambda key: (-counts[key], key))
