"""Small parts that pages are made of."""

from datetime import timedelta, timezone
from typing import Any

import pytest

from afterglow_monitor import format as fmt
from afterglow_monitor.charting.experiment_trend import success
from afterglow_monitor.parts.output_files import tree
from afterglow_monitor.parts.spark_ui import address

YARN = "spark.org.apache.hadoop.yarn.server.webproxy.amfilter.AmIpFilter.param.PROXY_URI_BASES"
HISTORY = "http://history.example.com:18080/"


def app(status: str, attempt: str = "") -> dict[str, Any]:
    return {"app_id": "app-1/x", "status": status, "attempt": attempt}


@pytest.mark.parametrize(
    ("row", "properties", "history", "expected"),
    [
        (app("ENDED"), {}, HISTORY, "http://history.example.com:18080/history/app-1%2Fx/jobs/"),
        (app("FAILED", "2"), {YARN: "http://rm:8088/proxy/a"}, HISTORY, f"{HISTORY}history/app-1%2Fx/2/jobs/"),
        (app("RUNNING"), {YARN: "http://rm:8088/proxy/a,http://rm2"}, HISTORY, "http://rm:8088/proxy/a"),
        (app("RUNNING"), {"spark.ui.reverseProxyUrl": "https://m/"}, "", "https://m/proxy/app-1%2Fx/"),
        (app("RUNNING"), {YARN: "javascript:alert(1)"}, "", None),
        (app("ENDED"), {YARN: "http://rm:8088/proxy/a"}, "", None),
    ],
)
def test_sparks_own_ui_is_where_the_configuration_or_the_settings_say(
    row: dict[str, Any], properties: dict[str, str], history: str, expected: str | None
) -> None:
    assert address(row, properties, history) == expected


def test_files_are_a_tree_in_which_a_folder_adds_up_what_is_in_it() -> None:
    files = [{"path": path, "size": 10} for path in ("b/x/2", "b/x/1", "a.txt", "b/c")]
    lines = [(each.depth, each.name, each.bytes, each.path) for each in tree(files)]
    assert lines == [
        (0, "a.txt", 10, "a.txt"), (0, "▾ b/", 30, None), (1, "c", 10, "b/c"), (1, "▾ x/", 20, None),
        (2, "1", 10, "b/x/1"), (2, "2", 10, "b/x/2"),
    ]  # fmt: skip


def test_success_is_what_finished_well_of_all_that_has_ended() -> None:
    statuses = ("FINISHED", "SUSPECT", "ORPHANED", "RUNNING", "FINISHED", "FAILED")
    assert success([{"effective_status": each} for each in statuses]) == pytest.approx(2 / 5)
    assert success([{"effective_status": "RUNNING"}]) is None


def test_a_moment_is_told_exactly_with_its_zone() -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    assert fmt.exact_moment(1_790_000_000_123, zone) == "2026-09-21 19:43:20.123 +05:30"
