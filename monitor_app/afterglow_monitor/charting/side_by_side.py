"""Runs side by side: a row for each thing that any of them has, a column for each run.

What is compared and downloaded is each value as it is. It is rounded to be read, and not even for that where rounding
would show two values that differ as the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

import pandas as pd

from afterglow_monitor import format as fmt
from afterglow_monitor.charting import run_fields
from afterglow_monitor.charting.charts import distinct_names, told_apart
from afterglow_monitor.data import Row
from afterglow_monitor.parts import details
from afterglow_monitor.public import iso, seconds
from afterglow_monitor.row_files import harmless

GROUPS = ("Run", "Metrics", "Parameters", "Tags", "Spark", "Data", "Spark configuration")
DIFFERS = "≠"
NAMED = ("Group", "What", "Differs")  # the columns before those of the runs
MOST_SHOWN, MOST_EXACT = 500, 10_000  # characters of a cell

Show = Callable[[Any], str]


@dataclass(frozen=True)
class Line:
    """What the runs have of one thing, in their order: `values` as they are, in `unit`, None where one has nothing;
    and how they are `shown`."""

    group: str
    what: str
    values: Sequence[Any]
    shown: Sequence[str]
    unit: str = ""

    @property
    def differs(self) -> bool:
        return _different(self.values) > 1


def lines(
    rows: Sequence[Row],
    read: Mapping[str, Mapping[str, Sequence[Row]]],
    properties: Mapping[int, Mapping[str, str]],
    zone: tzinfo,
    *,
    now: int,
    currency: str = "",
) -> list[Line]:
    """`read`: data_of_runs; `properties`: spark_properties_of their applications; `currency`: of prices, where the rows
    have them."""
    return [
        *_run(rows, zone, now=now),
        *_keyed("Metrics", [row["metrics"] or {} for row in rows], fmt.metric),
        *_keyed("Parameters", [row["params"] or {} for row in rows]),
        *_keyed("Tags", [fmt.own_tags(row["tags"]) for row in rows]),
        *_spark(rows, currency),
        *(_line("Data", what, [details.named_files(read[row["run_id"]][name]) or None for row in rows])
          for what, name in (("Reads", "inputs"), ("Writes", "outputs"))),
        *_keyed("Spark configuration", _configurations(rows, properties)),
    ]  # fmt: skip


def shown(lines: Sequence[Line], rows: Sequence[Row]) -> pd.DataFrame:
    """For a page: columns `Group`, `What`, `Differs` and one for each run."""
    heads = _heads(rows)
    cells = [
        {"Group": each.group, "What": fmt.short(each.what, 200), "Differs": DIFFERS if each.differs else ""}
        | dict(zip(heads, each.shown, strict=True))
        for each in lines
    ]
    return pd.DataFrame(cells, columns=[*NAMED, *heads])


def as_csv(lines: Sequence[Line], rows: Sequence[Row]) -> bytes:
    """For a download: the values themselves."""
    heads = [*NAMED, *map(harmless, _heads(rows))]
    cells = [
        [
            each.group,
            harmless(f"{each.what} ({each.unit})" if each.unit else each.what),
            DIFFERS if each.differs else "",
        ]
        + [harmless(value) for value in each.values]
        for each in lines
    ]
    return pd.DataFrame(cells, columns=heads, dtype=object).to_csv(index=False).encode()


def _heads(rows: Sequence[Row]) -> list[str]:
    """The names of the runs, none of which is that of another column."""
    names = distinct_names(rows)
    return told_apart([*names, *NAMED], [*(row["run_id"] for row in rows), *NAMED], (6, 12))[: len(names)]


def _line(group: str, what: str, values: Sequence[Any], rounded: Sequence[str] | None = None, unit: str = "") -> Line:
    cells = [fmt.short(str(each), MOST_SHOWN) for each in (values if rounded is None else rounded)]
    cells = [fmt.NOTHING if value is None else cell for value, cell in zip(values, cells, strict=True)]
    if _different(cells) < _different(values):
        cells = [fmt.NOTHING if value is None else fmt.short(f"{value} {unit}".strip(), MOST_EXACT) for value in values]
    return Line(group, what, values, cells, unit)


def _different(values: Sequence[Any]) -> int:
    """How many different ones there are. NaN, which equals nothing, not even itself, is one."""
    return len({"NaN" if isinstance(value, float) and math.isnan(value) else value for value in values})


def _keyed(group: str, of_runs: Sequence[Mapping[str, Any]], show: Show = str) -> Iterator[Line]:
    for key in sorted({key for each in of_runs for key in each}):
        values = [each.get(key) for each in of_runs]
        yield _line(group, key, values, [fmt.NOTHING if value is None else show(value) for value in values])


def _run(rows: Sequence[Row], zone: tzinfo, *, now: int) -> Iterator[Line]:
    for what, value, show, unit in _OF_RUN:
        values = [value(row) for row in rows]
        yield _line("Run", what, values, None if show is None else [show(row, zone, now) for row in rows], unit)


# What it is, as it is and as it is shown, and its unit.
_OF_RUN: tuple[tuple[str, Callable[[Row], Any], Callable[[Row, tzinfo, int], str] | None, str], ...] = (
    ("Status", lambda row: row["effective_status"], lambda row, *_: str(run_fields.value(row, "status")), ""),
    ("Experiment", lambda row: " · ".join(filter(None, (row["experiment"], row["workspace"]))) or None, None, ""),
    ("Server", lambda row: row["server"], None, ""),
    ("Application", lambda row: run_fields.value(row, "application"), None, ""),
    ("Application ID", lambda row: ", ".join(each["app_id"] for each in row["applications"]) or None, None, ""),
    ("User", lambda row: row["user_name"], None, ""),
    ("Source", lambda row: row["source_name"], lambda row, *_: fmt.source(row["source_name"]), ""),
    ("Commit", lambda row: fmt.commit(row["tags"]) or None, None, ""),
    ("Start", lambda row: iso(row["start_time"]), lambda row, zone, now: fmt.moment(row["start_time"], zone, now=now),
     ""),
    ("Duration", lambda row: seconds(row["duration_ms"]), lambda row, _, now: fmt.lasting(row, now=now), "s"),
    ("Registered version", lambda row: fmt.versions(row["registered_versions"] or ()), None, ""),
)  # fmt: skip


def _spark(rows: Sequence[Row], currency: str) -> Iterator[Line]:
    """With the runs below each."""
    for what, value, show, unit in _OF_SPARK:
        values = [value(row["total"]) for row in rows]
        yield _line("Spark", what, values, [show(each) for each in values], unit)
    prices = [run_fields.value(row, run_fields.PRICE) for row in rows]
    if any(each is not None for each in prices):
        yield _line("Spark", "Price", prices, [f"{each or 0:,.2f} {currency}".strip() for each in prices], currency)


_OF_SPARK: tuple[tuple[str, Callable[[Row], Any], Show, str], ...] = (
    ("Jobs", lambda of: of["jobs"], fmt.count, ""),
    ("Failed jobs", lambda of: of["failed_jobs"], fmt.count, ""),
    ("Core time", lambda of: of["core_seconds"], fmt.core_time, "s"),
    ("Tasks", lambda of: of["succeeded_tasks"] or 0, fmt.count, ""),
    ("Failed tasks", lambda of: of["failed_tasks"] or 0, fmt.count, ""),
    ("Input", lambda of: of["input_bytes"] or 0, fmt.size, "bytes"),
    ("Written", lambda of: of["output_bytes"] or 0, fmt.size, "bytes"),
    ("Shuffle read", lambda of: of["shuffle_read_bytes"] or 0, fmt.size, "bytes"),
    ("Shuffle write", lambda of: of["shuffle_write_bytes"] or 0, fmt.size, "bytes"),
    ("Spill", lambda of: (of["memory_spilled_bytes"] or 0) + (of["disk_spilled_bytes"] or 0), fmt.size, "bytes"),
)


def _configurations(rows: Sequence[Row], properties: Mapping[int, Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Of the first application of each."""
    return [properties.get(row["applications"][0]["id"], {}) if row["applications"] else {} for row in rows]
