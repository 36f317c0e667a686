"""What the pages under docs/ say, held against what is there."""

import re

from tests.support.parts import ROOT

LINKS = (ROOT / "docs" / "links.md").read_text()


def test_each_test_that_the_table_of_links_names_is_there() -> None:
    named = re.findall(r"`(test_\w+\.py)::(\w+)`", LINKS)
    assert len(named) > 20
    for file, test in named:
        assert f"\ndef {test}(" in (ROOT / "tests" / file).read_text(), f"{file}::{test}"


def test_each_way_to_make_a_run_names_a_test() -> None:
    rows = [line for line in LINKS.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 20
    assert [row for row in rows if not re.search(r"\| `test_\w+\.py::\w+` \|$", row)] == []
