"""Rows of a detail table in the order of the address: by what they are, never by the text that is shown."""

from typing import Any

import pytest

from afterglow_monitor.address import View, view_from
from afterglow_monitor.listing.grid import Column
from afterglow_monitor.listing.ordered import by, ordered
from afterglow_monitor.parts import details, spark_jobs, sql_queries


def rows(*durations: int | None) -> list[dict[str, Any]]:
    return [{"start_time": 1_000, "end_time": None if each is None else 1_000 + each, "status": "SUCCEEDED",
             "duration": each} for each in durations]  # fmt: skip


def order(sort: str, found: list[dict[str, Any]]) -> list[int | None]:
    keys = details.work_keys(now=5_000)
    return [each["duration"] for each in ordered(found, view_from({"sort": [sort]}), keys)]


def test_durations_are_sorted_as_times_and_not_as_texts() -> None:
    found = rows(10_000, 900, 65_000, 2_100)
    assert order("-duration", found) == [65_000, 10_000, 2_100, 900]
    assert order("duration", found) == [900, 2_100, 10_000, 65_000]


def test_rows_that_have_nothing_there_come_last_either_way() -> None:
    found = rows(None, 900, None, 2_100)
    assert order("-duration", found) == [2_100, 900, None, None]
    assert order("duration", found) == [900, 2_100, None, None]
    sizes: list[dict[str, Any]] = [{"size": 3}, {"size": 0}, {"size": None}, {"size": 5}]
    upwards = ordered(sizes, View(order_by="size", descending=False), by("size"))
    assert [each["size"] for each in upwards] == [3, 5, 0, None]


def test_an_order_that_the_table_does_not_know_leaves_the_rows_as_they_came() -> None:
    assert order("-of another list", rows(3, 1, 2)) == [3, 1, 2]


@pytest.mark.parametrize(
    ("columns", "keys"),
    [(spark_jobs.COLUMNS, spark_jobs._keys(0)), (sql_queries.COLUMNS, sql_queries._keys(0))],
    ids=["jobs", "queries"],
)
def test_each_header_that_is_clicked_on_has_a_key(columns: tuple[Column, ...], keys: Any) -> None:
    assert {column.sort for column in columns if column.sort} == set(keys)
