"""Applications of one name over time: what is expected of them, and why one may have taken longer."""

from typing import Any

from afterglow_monitor.charting.expectations import expectation, unusual
from afterglow_monitor.parts.submit_line import line


def app(number: int, seconds: float, **other: Any) -> dict[str, Any]:
    return {"id": number, "start_time": number, "duration_ms": seconds * 1000, "input_bytes": 1_000, "failed_tasks": 0,
            "allocated_core_seconds": seconds * 8} | other  # fmt: skip


USUAL = [app(number, 60 + number % 3) for number in range(9, 0, -1)]  # newest first, as lists are


def causes(odd: dict[str, Any], conf: dict[int, dict[str, str]] | None = None) -> list[str]:
    rows = [odd, *USUAL]
    return unusual(odd, rows, expectation([each["duration_ms"] for each in rows if each["duration_ms"]]), conf or {})


def test_an_expectation_is_about_the_median_and_not_moved_by_one_that_took_for_ever() -> None:
    usual = expectation([60_000, 61_000, 62_000, 60_500, 61_500, 9_000_000])
    assert usual is not None
    assert usual.median == 61_250
    assert 0.9 * 61_250 >= usual.low > 50_000
    assert usual.high < 75_000
    assert expectation([1.0, 2.0, 3.0, 4.0]) is None


def test_one_as_long_as_the_others_has_nothing_unusual() -> None:
    assert causes(app(10, 63)) == []
    assert causes(app(10, 63) | {"duration_ms": None}) == []


def test_one_that_took_longer_says_what_else_was_unusual() -> None:
    assert causes(app(10, 200)) == ["nothing else unusual is known of it"]
    assert causes(app(10, 200, input_bytes=4_000)) == ["4.0 × the usual input"]
    assert causes(app(10, 200, allocated_core_seconds=400)) == ["2.0 cores on average instead of 8.0"]
    assert causes(app(10, 200, failed_tasks=12)) == ["12 failed tasks"]


def test_a_changed_configuration_is_named_and_what_each_start_changes_is_not() -> None:
    before = {"spark.executor.memory": "4g", "spark.app.id": "a", "spark.driver.port": "1"}
    after = {"spark.executor.memory": "1g", "spark.app.id": "b", "spark.driver.port": "2", "spark.speculation": "true"}
    said = causes(app(10, 200), {9: before, 10: after})
    assert said == ["changed since the one before: spark.executor.memory, spark.speculation"]


def test_the_line_that_repeats_an_application_is_ready_for_a_shell_and_has_no_secrets() -> None:
    conf = {
        "spark.app.id": "local-1",
        "spark.driver.port": "4",
        "spark.executor.memory": "4g",
        "spark.sql.a b": "it's $HOME",
        "spark.my.password": "*********(redacted)",
        "spark.submit.deployMode": "client",
    }
    assert line(conf, master="yarn", name="my job", script="train.py").split(" \\\n  ") == [
        "spark-submit",
        "--master yarn",
        "--deploy-mode client",
        "--name 'my job'",
        "--conf spark.executor.memory=4g",
        "--conf 'spark.sql.a b=it'\"'\"'s $HOME'",
        "train.py\n# left out, as their values were not kept: spark.my.password",
    ]
    assert line({}, master=None, name=None, script=None) == "spark-submit \\\n  YOUR_JOB.py"
