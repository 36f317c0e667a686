"""Whether the tasks of a stage were so unequal that the last of them held it up.

The thresholds are the defaults of Microsoft Fabric's *Diagnosis*, with a megabyte of 1000 × 1000 bytes as there:
https://github.com/MicrosoftDocs/fabric-docs/blob/main/docs/data-engineering/apache-spark-history-server.md
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Figure = Literal["duration_ms", "input_bytes", "shuffle_read_bytes"]

TIMES_THE_MEAN = 3
LEAST_MS, LEAST_BYTES = 30_000, 10_000_000

# What is judged of a task: the sum of it over the stage, and from where on it matters at all.
_JUDGED: dict[Figure, tuple[str, int]] = {
    "duration_ms": ("executor_run_ms", LEAST_MS),
    "input_bytes": ("input_bytes", LEAST_BYTES),
    "shuffle_read_bytes": ("shuffle_read_bytes", LEAST_BYTES),
}


@dataclass(frozen=True)
class Skewed:
    """What was unequal in a stage: the most that one task had of it (ms or bytes), and how many times the mean of all
    task attempts that is."""

    figure: Figure
    most: int
    times: float


def skewed(stage: Mapping[str, Any]) -> list[Skewed]:
    """Of a row of the stage table, its `skew` as of compact.skew. The most unequal first; empty where none is."""
    attempts = sum(stage[name] or 0 for name in ("succeeded_tasks", "failed_tasks", "killed_tasks"))
    found = []
    for figure, (whole, least) in _JUDGED.items():
        most, total = ((stage["skew"] or {}).get(figure) or {}).get("max", 0), stage[whole] or 0
        if total and most > least and most * attempts > TIMES_THE_MEAN * total:
            found.append(Skewed(figure, most, most * attempts / total))
    return sorted(found, key=lambda each: -each.times)
