"""What the picture of an application over time is drawn from."""

from typing import Any

import pytest

from afterglow_monitor.charting.timeline import (
    MOST_RUNS,
    OUTSIDE,
    POINTS,
    bands,
    cores,
    flat,
    merged,
    most_cores,
    whole,
)

SPAN = (1_000, 401_000)  # a second for each of the picture's points


def job(
    start: int, end: int | None, *, run_id: str | None = None, status: str = "SUCCEEDED", job_id: int = 0
) -> dict[str, Any]:
    return {"start_time": start, "end_time": end, "run_id": run_id, "status": status, "job_id": job_id}


def run(
    run_id: str, start: int, end: int | None, core_seconds: float = 0.0, status: str = "FINISHED"
) -> dict[str, Any]:
    return {"run_id": run_id, "name": run_id, "start_time": start, "end_time": end, "core_seconds": core_seconds,
            "effective_status": status, "children": []}  # fmt: skip


def stage(start: int, end: int | None, core_ms: int, status: str = "COMPLETE", job_id: int = 0) -> dict[str, Any]:
    return {"start_time": start, "end_time": end, "core_ms": core_ms, "status": status, "job_id": job_id}


def executor(added: int, removed: int | None, number: int, name: str = "1") -> dict[str, Any]:
    return {"added_time": added, "removed_time": removed, "cores": number, "executor_id": name}


def test_cores_at_work_add_up_to_what_the_stages_used_and_allocated_ones_to_what_there_was() -> None:
    stages = [stage(11_000, 21_000, 40_000), stage(15_500, 25_500, 20_000), stage(30_000, None, 0, "RUNNING")]
    table = cores(stages, [executor(1_000, None, 8), executor(101_000, 201_000, 8)], SPAN, now=SPAN[1])
    assert len(table) == POINTS
    assert table["running"].sum() * 1_000 == 60_000
    assert (table["running"][10], table["running"][15], table["running"][24]) == (4.0, 6.0, 1.0)
    assert table["allocated"].sum() == 8 * 400 + 8 * 100
    assert (table["idle"][10], table["idle"][15], table["idle"][150]) == (4.0, 2.0, 16.0)


@pytest.mark.parametrize(
    ("properties", "most"),
    [
        ({"spark.dynamicAllocation.enabled": "true", "spark.dynamicAllocation.maxExecutors": "20"}, 160),
        ({"spark.dynamicAllocation.enabled": "true", "spark.dynamicAllocation.maxExecutors": "2147483647"}, None),
        ({"spark.executor.instances": "3", "spark.executor.cores": "4"}, 12),
        ({"spark.dynamicAllocation.maxExecutors": "20"}, None),
        ({}, None),
    ],
)
def test_the_maximum_of_cores_is_what_the_configuration_lets_it_have(
    properties: dict[str, str], most: int | None
) -> None:
    assert most_cores(properties, [executor(0, None, 2, "driver"), executor(0, None, 8)]) == most
    assert most_cores(properties, [executor(0, None, 2, "driver")]) is None  # in local mode there are no others


def test_jobs_that_a_picture_cannot_tell_apart_are_drawn_as_one() -> None:
    jobs = [job(5_000, 6_000), job(6_300, 7_000, status="FAILED"), job(9_000, 9_100), job(2_000, 8_000)]
    assert merged(jobs, SPAN) == [((2_000, 8_000), 3, 1), ((9_000, 9_100), 1, 0)]
    assert merged([job(9_000, None, status="RUNNING")], SPAN) == [((9_000, SPAN[1]), 1, 0)]


def test_each_job_is_with_its_stages_in_the_band_of_its_run_and_the_others_outside_of_all() -> None:
    jobs = [
        job(5_000, 6_000, run_id="a", job_id=1),
        job(8_000, 9_000, job_id=2),
        job(9_000, 10_000, run_id="of another application", job_id=3),
    ]
    stages = [
        stage(5_000, 5_300, 1, job_id=1),
        stage(5_900, 6_000, 1, "FAILED", job_id=1),
        stage(8_000, 9_000, 1, job_id=2),
    ]
    found = bands([run("b", 4_000, None), run("a", 3_000, 7_000)], jobs, stages, SPAN)
    assert [(band.name, band.span) for band in found] == [
        (OUTSIDE, None),
        ("a", (3_000, 7_000)),
        ("b", (4_000, SPAN[1])),
    ]
    assert [band.jobs for band in found] == [[((8_000, 10_000), 2, 0)], [((5_000, 6_000), 1, 0)], []]
    assert [band.stages for band in found] == [
        [((8_000, 9_000), 1, 0)],
        [((5_000, 5_300), 1, 0), ((5_900, 6_000), 1, 1)],
        [],
    ]


def test_a_run_that_did_not_end_well_has_a_sign_and_not_only_a_colour() -> None:
    found = bands([run("a", 3_000, 7_000), run("b", 4_000, 5_000, status="FAILED")], [], [], SPAN)
    assert [band.label for band in found] == ["a", "✕ b"]


def test_of_many_runs_those_come_first_whose_jobs_took_the_most() -> None:
    runs = [run(str(number), 1_000 * number, None, core_seconds=number % 50) for number in range(100)]
    first = bands(runs, [], [], SPAN)[:MOST_RUNS]
    assert {int(band.name) % 50 for band in first} == set(range(30, 50))
    starts = [band.span[0] for band in first if band.span]
    assert starts == sorted(starts)


def test_the_whole_is_from_the_start_to_the_end_or_to_now_and_has_all_jobs_in_it() -> None:
    row = {"start_time": 1_000, "end_time": 5_000, "status": "SUCCEEDED"}
    assert whole(row, [job(2_000, 6_000)], 9_000) == (1_000, 6_000)
    assert whole(row | {"end_time": None, "status": "RUNNING"}, [], 9_000) == (1_000, 9_000)
    assert whole(row | {"end_time": None, "status": "LOST"}, [], 9_000) == (1_000, 1_001)
    assert [each["run_id"] for each in flat([run("a", 0, 0) | {"children": [run("b", 0, 0)]}])] == ["a", "b"]
