"""Cost: what was used by the values of a tag, at the prices of a table, and what lay idle."""

from pathlib import Path

import pytest

from afterglow_store import Store, Window, ingest_file
from afterglow_store.cost import TAG, Price, cost, idle, tag_keys
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
