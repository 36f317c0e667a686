"""What the pages under docs/ say, held against what is there."""

import re

import pytest

from afterglow_monitor.parts.status import APPLICATION_STATUSES
from tests.matrix.test_status_of_real_processes import WAYS
from tests.support.parts import ROOT

LINKS = (ROOT / "docs" / "links.md").read_text()
FEATURES = (ROOT / "docs" / "features.md").read_text()
STATUS = (ROOT / "docs" / "status.md").read_text()
TROUBLE = (ROOT / "docs" / "trouble.md").read_text()
NOTEBOOK = (ROOT / "docs" / "notebook.md").read_text()


@pytest.mark.parametrize(
    ("page", "at_least"),
    [(LINKS, 20), (STATUS, 10), (FEATURES, 20), (TROUBLE, 10), (NOTEBOOK, 5)],
    ids=["links", "status", "features", "trouble", "notebook"],
)
def test_each_test_that_a_page_names_is_there(page: str, at_least: int) -> None:
    named = re.findall(r"`((?:matrix/|browser/)?test_\w+\.py)::(\w+)`", page)
    assert len(named) > at_least
    for file, test in named:
        found = re.search(rf"^ *def {test}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE)
        assert found, f"{file}::{test}"


def test_each_feature_names_a_test_or_says_that_it_is_not_there_yet() -> None:
    rows = [line for line in FEATURES.splitlines() if line.startswith("|")][2:]
    assert [row for row in rows if not re.search(r"`(browser/)?test_\w+\.py(::\w+)?` \|$|not yet \| \|$", row)] == []


def test_every_feature_that_is_asked_for_has_a_row() -> None:
    rows = [line.split("|")[1] for line in FEATURES.splitlines() if line.startswith("|")][2:]
    spans = [each.strip().partition("-") for row in rows for each in row.split(",")]
    there = {number for first, _, last in spans for number in range(int(first), int(last or first) + 1)}
    assert there >= {*range(1, 39), 42, 43, *range(45, 52), 53, *range(55, 61)}


def test_every_picture_is_on_a_page() -> None:
    pages = "\n".join(page.read_text() for page in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
    shown = set(re.findall(r"\]\((?:docs/)?images/([\w-]+\.png)\)", pages))
    assert shown == {picture.name for picture in (ROOT / "docs" / "images").iterdir()}


def test_each_way_to_make_a_run_names_a_test() -> None:
    rows = [line for line in LINKS.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 20
    assert [row for row in rows if not re.search(r"\| `test_\w+\.py::\w+` \|$", row)] == []


def test_the_table_of_ways_to_end_is_what_make_matrix_tries() -> None:
    table = STATUS.partition("| Way to end |")[2].partition("\n\n")[0]
    assert table.splitlines()[2:] == [
        f"| {name} | {way.codes[0]}, {way.codes[1]} | {way.application[0]} | "
        f"{way.at_once[0] + ', then ' if way.at_once else ''}{way.run[0]} | {way.mlflow} |"
        for name, way in WAYS.items()
    ]


def test_the_statuses_of_the_page_are_those_of_monitor() -> None:
    rows = re.findall(r"^\| ([A-Z]+) \|", STATUS.partition("## Runs")[0], re.MULTILINE)
    assert rows == list(APPLICATION_STATUSES)


def test_the_properties_of_a_driver_are_those_that_the_docs_name() -> None:
    sources = [*(ROOT / "listener").rglob("*.java"), *(ROOT / "listener").rglob("*.py")]
    read = {key for file in sources for key in re.findall(r'"(spark\.afterglow(?:\.[A-Za-z]+)+)"', file.read_text())}
    pages = "\n".join(page.read_text() for page in (ROOT / "docs").rglob("*.md"))
    assert len(read) >= 9
    assert set(re.findall(r"\bspark\.afterglow(?:\.[A-Za-z]+)+", pages)) == read
