"""Values as people read them."""

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from afterglow_monitor import format as fmt

NOW = 1_795_442_400_000  # 2026-11-23 14:00 UTC
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("millis", "text"),
    [
        (None, "–"), (-5, "0 s"), (0, "0 ms"), (871, "871 ms"), (9_040, "9.0 s"), (59_999, "59 s"),
        (67_000, "1 min 07 s"), (3_600_000, "1 h 00 min"), (90_061_000, "1 d 01 h"),
    ],
)  # fmt: skip
def test_a_duration_has_two_units_at_most(millis: int | None, text: str) -> None:
    assert fmt.duration(millis) == text


@pytest.mark.parametrize(
    ("before", "text"),
    [(-MINUTE, "in the future"), (0, "just now"), (30_000, "< 1 min ago"), (HOUR, "1 h ago"), (40 * DAY, "40 d ago")],
)
def test_how_long_ago_is_its_largest_unit(before: int, text: str) -> None:
    assert fmt.ago(NOW - before, now=NOW) == text


def test_a_moment_is_in_the_viewers_zone_and_names_the_year_where_it_is_another() -> None:
    assert fmt.moment(NOW, UTC, now=NOW) == "23 Nov 14:00:00"
    assert fmt.moment(NOW, ZoneInfo("Asia/Kolkata"), now=NOW) == "23 Nov 19:30:00"
    assert fmt.moment(NOW - 400 * DAY, UTC, now=NOW) == "19 Oct 2025 14:00"


@pytest.mark.parametrize("name", [None, "", "Not/AZone", "../../etc/passwd"])
def test_a_zone_that_nobody_knows_is_utc(name: str | None) -> None:
    assert fmt.zone(name) is UTC


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.71, "0.71"), (0.123456789, "0.12346"), (3, "3"), (1_234_567.0, "1,234,567"), (8.123e21, "8.123e+21"),
        (1.2e-17, "1.2e-17"), ("NaN", "NaN"), ("Infinity", "∞"), ("-Infinity", "-∞"), (float("nan"), "NaN"),
        (float("-inf"), "-∞"),
    ],
)  # fmt: skip
def test_a_metric_is_short_whatever_its_size(value: object, text: str) -> None:
    assert fmt.metric(value) == text


@pytest.mark.parametrize(
    ("path", "count", "text"),
    [
        ("/home/ada/train.ipynb", "7", "cell 7 of train.ipynb"), (None, "7", "cell 7 of fit.py"),
        ("C:\\work\\train.ipynb", None, "train.ipynb"), (None, None, "fit.py"), (None, "<b>7</b>", "fit.py"),
        (None, "9" * 300, "fit.py"),
    ],
)  # fmt: skip
def test_a_run_of_a_notebook_says_which_cell_made_it(path: str | None, count: str | None, text: str) -> None:
    tags = {"jupyter.notebook.path": path, "jupyter.cell.execution_count": count}
    row = {"source_name": "/jobs/fit.py", "tags": {key: value for key, value in tags.items() if value}}
    assert fmt.run_source(row) == text


@pytest.mark.parametrize(
    ("number", "text"), [(None, "–"), (0, "–"), (999, "999 B"), (1_536, "1.5 KiB"), (3 * 1024**4, "3.0 TiB")]
)
def test_a_size_is_in_binary_units(number: int | None, text: str) -> None:
    assert fmt.size(number) == text


@pytest.mark.parametrize("value", [0.5, 17.0, 1e300, float("inf"), float("nan"), 0.12345])
def test_a_metric_that_is_shown_as_it_is_needs_no_more(value: float) -> None:
    assert not fmt.is_rounded(value)


@pytest.mark.parametrize("value", [1 / 3, 123456.5, -0.123456])
def test_a_metric_of_more_digits_than_are_shown_is_rounded(value: float) -> None:
    assert fmt.is_rounded(value)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "–"), (0.0004, "1 ms"), (15.84, "15.8 s"), (600, "10.0 min"), (122_700, "34.1 h")]
)
def test_core_time_is_in_the_unit_that_fits(seconds: float, text: str) -> None:
    assert fmt.core_time(seconds) == text


def test_a_name_is_one_line_of_a_length_without_tricks() -> None:
    assert fmt.named("  a\nb\u202ec\x00 ") == "a b c"
    assert fmt.named("") == "(no name)"
    assert len(fmt.named("x" * 300)) == 120


@pytest.mark.parametrize("text", ["https://x.org", ":smile:", ":material/check:", "www.x.org", "a@x.org"])
def test_what_markdown_makes_something_of_is_broken_up(text: str) -> None:
    shown = fmt.verbatim(text)
    assert "\u2060" in shown
    assert shown.replace("\u2060", "").replace("\\", "") == text


def test_a_time_of_day_is_left_as_it_is() -> None:
    assert "\u2060" not in fmt.verbatim("23 Nov 13:40:18")


def test_a_source_is_a_file_without_its_folders() -> None:
    assert [fmt.source(name) for name in ("/a/b/train.py", "C:\\jobs\\train.py", "notebook", None, "/a/b/")] == [
        "train.py", "train.py", "notebook", "", "b",
    ]  # fmt: skip
