"""When a stage counts as skewed: one task of it had more than three times the mean, and enough to matter."""

from collections.abc import Mapping
from typing import Any

import pytest

from afterglow_monitor.parts import skew
from afterglow_store.skew import Figure, Skewed, skewed

MB = 1_000_000


def stage(*, tasks: int = 10, failed: int = 0, total: Mapping[str, int], most: Mapping[str, int]) -> dict[str, Any]:
    """One whose tasks had `total` altogether and `most` each at most."""
    sums = {"executor_run_ms": None, "input_bytes": 0, "shuffle_read_bytes": None, **total}
    counts = {"succeeded_tasks": tasks - failed, "failed_tasks": failed, "killed_tasks": None}
    return {"stage_id": 7, **sums, **counts, "skew": {name: {"min": 0, "max": each} for name, each in most.items()}}


@pytest.mark.parametrize(
    ("longest_ms", "run_ms", "is_skewed"),
    [
        (30_001, 100_000, True),
        (30_000, 90_000, False),  # not more than 30 s
        (60_000, 200_000, False),  # not more than three times the mean of 20 s
        (60_003, 200_000, True),
        (29_000, 29_100, False),  # however unequal
    ],
)
def test_time_is_skewed_beyond_three_times_the_mean_and_thirty_seconds(
    longest_ms: int, run_ms: int, is_skewed: bool
) -> None:
    found = skewed(stage(total={"executor_run_ms": run_ms}, most={"duration_ms": longest_ms}))
    assert [each.figure for each in found] == (["duration_ms"] if is_skewed else [])


@pytest.mark.parametrize("figure", ["input_bytes", "shuffle_read_bytes"])
def test_data_is_skewed_beyond_three_times_the_mean_and_ten_megabytes(figure: Figure) -> None:
    assert skewed(stage(total={figure: 100 * MB}, most={figure: 40 * MB})) == [Skewed(figure, 40 * MB, 4.0)]
    assert skewed(stage(total={figure: 100 * MB}, most={figure: 30 * MB})) == []
    assert skewed(stage(total={figure: 11 * MB}, most={figure: 10 * MB})) == []


def test_attempts_that_failed_count_for_the_mean_and_the_worst_is_told_first() -> None:
    total = {"executor_run_ms": 400_000, "input_bytes": 1_000 * MB}
    unequal = stage(tasks=20, failed=10, total=total, most={"duration_ms": 100_000, "input_bytes": 400 * MB})
    assert skewed(unequal) == [Skewed("input_bytes", 400 * MB, 8.0), Skewed("duration_ms", 100_000, 5.0)]
    assert skew.of_stage(unequal) == "▲ 8.0 × the mean input, 5.0 × the mean time"
    assert skew.said(unequal) == (
        "stage 7: one task read 381.5 MiB of input, 8.0 × the mean, one task took 1 min 40 s, 5.0 × the mean"
    )
    assert skew.worst(unequal) == 8.0


def test_a_stage_of_which_little_is_known_is_not_skewed() -> None:
    nothing = stage(tasks=0, total={}, most={})
    assert skewed(nothing) == []
    assert skewed(nothing | {"skew": None}) == []
    assert (skew.of_stage(nothing), skew.worst(nothing)) == ("", None)


def test_a_job_names_its_skewed_stages_and_counts_the_rest() -> None:
    assert skew.of_job([]) == ""
    assert skew.of_job([7]) == "▲ stage 7"
    assert skew.of_job([3, 4, 5, 6, 7, 8]) == "▲ stages 3, 4, 5, 6, +2"
