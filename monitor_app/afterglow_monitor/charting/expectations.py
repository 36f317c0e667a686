"""What is expected of applications of one name, and which of them took unusually long, and why that may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

Row = Mapping[str, Any]

FEWEST = 4  # others, of which an expectation can be had
WIDTHS = 3.0  # standard deviations, of a normal spread, that are still expected
TO_DEVIATION = 1.4826  # of the median absolute deviation
LEAST_SHARE = 0.1  # of the median that is always expected: runs that never differ would make any difference unusual
MORE_INPUT, FEWER_CORES = 1.5, 0.67
# What differs from one application to the next without anyone having changed it.
OF_THE_START = ("spark.app.", "spark.driver.host", "spark.driver.port", "spark.ui.", "spark.repl.", "spark.executor.id",
                "spark.yarn.", "spark.afterglow.", "spark.submit.", "spark.master", "spark.history.")  # fmt: skip


@dataclass(frozen=True)
class Expected:
    """Durations in ms, or values of a metric."""

    median: float
    low: float
    high: float


def expectation(durations: Sequence[float], *, floor: float | None = 0.0) -> Expected | None:
    """The median and what lies about it, by the median absolute deviation; None of too few. `floor`: what nothing can
    be below, None where there is none."""
    if len(durations) <= FEWEST:
        return None
    middle = median(durations)
    spread = WIDTHS * TO_DEVIATION * median(abs(each - middle) for each in durations)
    width = max(spread, LEAST_SHARE * abs(middle))
    low = middle - width if floor is None else max(floor, middle - width)
    return Expected(middle, low, middle + width)


def unusual(
    row: Row, rows: Sequence[Row], expected: Expected | None, properties: Mapping[int, Mapping[str, str]]
) -> list[str]:
    """Of an application that took longer than expected, what may be why; empty where it did not."""
    if expected is None or row["duration_ms"] is None or row["duration_ms"] <= expected.high:
        return []
    others = [each for each in rows if each is not row]
    found = []
    usual_input = median(each["input_bytes"] or 0 for each in others)
    if (row["input_bytes"] or 0) > MORE_INPUT * usual_input > 0:
        found.append(f"{row['input_bytes'] / usual_input:.1f} × the usual input")
    usual_cores = median(_cores(each) for each in others)
    if 0 < _cores(row) < FEWER_CORES * usual_cores:
        found.append(f"{_cores(row):.1f} cores on average instead of {usual_cores:.1f}")
    if (row["failed_tasks"] or 0) > 2 * median(each["failed_tasks"] or 0 for each in others) + 2:
        found.append(f"{row['failed_tasks']:,} failed tasks")
    before = next((each for each in rows if each["start_time"] < row["start_time"]), None)
    if before is not None and (changed := _changed(properties.get(before["id"], {}), properties.get(row["id"], {}))):
        found.append("changed since the one before: " + ", ".join(changed))
    return found or ["nothing else unusual is known of it"]


def _cores(row: Row) -> float:
    """Allocated, on average."""
    return (row["allocated_core_seconds"] or 0) / (row["duration_ms"] / 1000) if row["duration_ms"] else 0.0


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    keys = sorted(before.keys() | after.keys())
    return [key for key in keys if not key.startswith(OF_THE_START) and before.get(key) != after.get(key)][:5]
