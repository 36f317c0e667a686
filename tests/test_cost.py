"""Cost: what was used by the values of a tag, at the prices of a table, and what lay idle."""

from pathlib import Path

import pytest

from afterglow_monitor.address import View
from afterglow_monitor.pages.cost import labels, place
from afterglow_store import Store, Window, ingest_file
from afterglow_store.cost import TAG, Price, cost, idle, prices_of_runs, tag_keys
from afterglow_store.usage import usage
from afterglow_store.windows import ALL
from tests.support.journals import Journal, run_id_of

START = 1_790_000_000_000
A, B = run_id_of("a"), run_id_of("b")
CORES = 4  # that a job of the journal uses


@pytest.fixture
def used(store: Store, tmp_path: Path) -> Store:
    """Two applications: of ada's, one run of team a and 5 s for none; of a service's, one run without a team."""
    one = Journal(tmp_path, "app-1", name="train", start=START, user="ada", master="yarn").executors(1)
    one.job(seconds=5)
    one.run_start(A, "a", tags={"team": "a"})
    ingest_file(store, one.job(A, seconds=10).end(), now=START)
    two = Journal(tmp_path, "app-2", name="nightly", start=START, user="svc-etl", master="local[4]")
    two.run_start(B, "b")
    ingest_file(store, two.job(B, seconds=20).end(), now=START)
    return store


def prices_by(store: Store, by: str, *prices: Price, tag: str = "", other: float = 0.0) -> dict[str, float]:
    with store.read() as conn:
        rows = cost(conn, by, ALL, tag=tag, prices=prices, other=other)
    return {row[by]: row["price"] * 3_600 for row in rows}


def test_by_a_tag_each_job_counts_for_the_value_that_its_run_has_and_all_of_them_together(used: Store) -> None:
    with used.read() as conn:
        rows = cost(conn, TAG, ALL, tag="team")
        all_of_it = sum(row["core_ms"] for row in usage(conn, "user", ALL))
        assert "team" in tag_keys(conn, ALL)
        assert tag_keys(conn, Window(START + 10**9)) == []
    assert {row["tag"]: row["core_seconds"] for row in rows} == {"a": 10 * CORES, None: (5 + 20) * CORES}
    assert sum(row["core_ms"] for row in rows) == all_of_it


def test_the_first_price_that_fits_an_application_is_its_and_others_have_the_other(used: Store) -> None:
    assert prices_by(used, "user", other=2.0) == {"ada": 15 * CORES * 2, "svc-etl": 20 * CORES * 2}
    table = (
        Price(5.0, users=("svc-?tl", "nobody")),
        Price(9.0, masters=("local*",)),
        Price(3.0, applications=("tr*",)),
    )
    assert prices_by(used, "user", *table) == {"ada": 15 * CORES * 3, "svc-etl": 20 * CORES * 5}
    both = Price(7.0, users=("ada",), masters=("local*",))
    assert prices_by(used, "user", both, other=1.0) == {"ada": 15 * CORES, "svc-etl": 20 * CORES}


def test_what_was_allocated_and_lay_idle_adds_up_by_user_day_and_name(used: Store) -> None:
    with used.read() as conn:
        whole, by_user, by_day = (idle(conn, ALL, by) for by in (None, "user", "day"))
        assert idle(conn, Window(START + 10**9)) == {}
    allocated = 15 * (4 + 8) + 20 * 4  # a driver counts its 4 cores, as in local mode
    assert whole[None] == {"allocated_core_seconds": allocated, "idle_core_seconds": allocated - 35 * CORES}
    assert by_user["ada"]["idle_core_seconds"] == 15 * 8
    assert by_user["svc-etl"]["idle_core_seconds"] == 0
    assert list(by_day) == ["2026-09-21"]


def test_a_run_costs_what_it_used_together_with_the_runs_below_it(used: Store, tmp_path: Path) -> None:
    parent, child = run_id_of("parent"), run_id_of("child")
    three = Journal(tmp_path, "app-3", name="search", start=START, user="ada", master="yarn")
    three.run_start(parent, "search")
    three.run_start(child, "trial", parent=parent)
    ingest_file(used, three.job(child, seconds=30).job(parent, seconds=5).end(), now=START)
    with used.read() as conn:
        found = prices_of_runs(conn, [parent, child, B, "0" * 32], prices=[Price(3.0, users=("ada",))], other=2.0)
    hours = {parent: 35 * 3, child: 30 * 3, B: 20 * 2, "0" * 32: 0}
    assert {run_id: price * 3_600 for run_id, price in found.items()} == {
        run_id: pytest.approx(CORES * price) for run_id, price in hours.items()
    }


def test_no_two_lines_of_the_page_have_one_name(used: Store, tmp_path: Path) -> None:
    again = Journal(tmp_path, "app-4", name="train", start=START, user="ada")
    again.run_start(run_id_of("again"), "a")
    ingest_file(used, again.job(run_id_of("again")).job().end(), now=START)
    with used.read() as conn:
        by_run, by_user = cost(conn, "run", ALL), cost(conn, "user", ALL)
    names = labels("run", by_run)
    assert len(set(names)) == len(names) == 4
    assert {f"a ({A[:6]})", f"a ({run_id_of('again')[:6]})", "b", "outside of runs"} == {*names}
    assert sorted(labels("user", by_user)) == ["ada", "svc-etl"]
    experiments = [{"experiment": "wine", "experiment_id": "1", "server": server} for server in ("a", "b")]
    assert labels("experiment", experiments) == ["wine (1 at a)", "wine (1 at b)"]


def test_a_line_of_the_page_leads_to_its_runs() -> None:
    def query(by: str, window: str = "30d", **row: str | None) -> dict[str, str | list[str]] | None:
        found = place(by, "the team", row, View(window=window))
        return None if found is None else found.query

    assert query("user", user="ada") == {"tab": "runs", "user": "ada"}
    assert query("experiment", "7d", experiment="wine") == {"tab": "runs", "window": "7d", "of": "wine"}
    assert query(TAG, tag="it's") == {"tab": "runs", "filter": """tags.`the team` = "it's\""""}
    assert query("day", day="2026-11-30") == {
        "tab": "runs", "window": "custom", "from": "2026-11-30T00:00Z", "to": "2026-12-01T00:00Z"
    }  # fmt: skip
    assert query("run", run_id=A) == {"page": "run", "id": A}
    assert [query(TAG, tag=None), query("run", run_id=None), query("experiment", experiment=None)] == [None] * 3
