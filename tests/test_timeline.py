"""What the picture of an application over time is drawn from."""

from typing import Any

from afterglow_monitor.charting.timeline import MOST_RUNS, OUTSIDE, POINTS, bands, cores, flat, merged, whole

SPAN = (1_000, 401_000)  # a second for each of the picture's points


def job(start: int, end: int | None, *, run_id: str | None = None, status: str = "SUCCEEDED") -> dict[str, Any]:
    return {"start_time": start, "end_time": end, "run_id": run_id, "status": status}


def run(run_id: str, start: int, end: int | None, core_seconds: float = 0.0) -> dict[str, Any]:
    return {"run_id": run_id, "name": run_id, "start_time": start, "end_time": end, "core_seconds": core_seconds,
            "effective_status": "FINISHED", "children": []}  # fmt: skip


def stage(start: int, end: int | None, core_ms: int, status: str = "COMPLETE") -> dict[str, Any]:
    return {"start_time": start, "end_time": end, "core_ms": core_ms, "status": status}


def executor(added: int, removed: int | None, number: int) -> dict[str, Any]:
    return {"added_time": added, "removed_time": removed, "cores": number}


def test_cores_at_work_add_up_to_what_the_stages_used_and_allocated_ones_to_what_there_was() -> None:
    stages = [stage(11_000, 21_000, 40_000), stage(15_500, 25_500, 20_000), stage(30_000, None, 0, "RUNNING")]
    table = cores(stages, [executor(1_000, None, 8), executor(101_000, 201_000, 8)], SPAN, now=SPAN[1])
    assert len(table) == POINTS
    assert table["busy"].sum() * 1_000 == 60_000
    assert (table["busy"][10], table["busy"][15], table["busy"][24]) == (4.0, 6.0, 1.0)
    assert table["allocated"].sum() == 8 * 400 + 8 * 100


def test_jobs_that_a_picture_cannot_tell_apart_are_drawn_as_one() -> None:
    jobs = [job(5_000, 6_000), job(6_300, 7_000, status="FAILED"), job(9_000, 9_100), job(2_000, 8_000)]
    assert merged(jobs, SPAN) == [((2_000, 8_000), 3, 1), ((9_000, 9_100), 1, 0)]
    assert merged([job(9_000, None, status="RUNNING")], SPAN) == [((9_000, SPAN[1]), 1, 0)]


def test_each_job_is_in_the_band_of_its_run_and_the_others_outside_of_all() -> None:
    jobs = [job(5_000, 6_000, run_id="a"), job(8_000, 9_000), job(9_000, 10_000, run_id="of another application")]
    found = bands([run("b", 4_000, None), run("a", 3_000, 7_000)], jobs, SPAN)
    assert [(band.name, band.span) for band in found] == [
        (OUTSIDE, None),
        ("a", (3_000, 7_000)),
        ("b", (4_000, SPAN[1])),
    ]
    assert [band.jobs for band in found] == [[((8_000, 10_000), 2, 0)], [((5_000, 6_000), 1, 0)], []]


def test_of_many_runs_those_come_first_whose_jobs_took_the_most() -> None:
    runs = [run(str(number), 1_000 * number, None, core_seconds=number % 50) for number in range(100)]
    first = bands(runs, [], SPAN)[:MOST_RUNS]
    assert {int(band.name) % 50 for band in first} == set(range(30, 50))
    starts = [band.span[0] for band in first if band.span]
    assert starts == sorted(starts)


def test_the_whole_is_from_the_start_to_the_end_or_to_now_and_has_all_jobs_in_it() -> None:
    row = {"start_time": 1_000, "end_time": 5_000, "status": "SUCCEEDED"}
    assert whole(row, [job(2_000, 6_000)], 9_000) == (1_000, 6_000)
    assert whole(row | {"end_time": None, "status": "RUNNING"}, [], 9_000) == (1_000, 9_000)
    assert whole(row | {"end_time": None, "status": "LOST"}, [], 9_000) == (1_000, 1_001)
    assert [each["run_id"] for each in flat([run("a", 0, 0) | {"children": [run("b", 0, 0)]}])] == ["a", "b"]
