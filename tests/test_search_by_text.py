"""A text in names and ids: whichever way it is looked for, on both databases, it finds what plain Python finds."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from afterglow_store import Query, Store, Window, open_store
from afterglow_store.runs import Origin, take_in_runs
from afterglow_store.schema import NAMES, metadata
from afterglow_store.search import count_runs, facets, finding, search_runs, texts
from afterglow_store.visibility import Grant, Scope

START = 1_790_000_000_000
WAYS = ("names", "too many names", "many runs", "no index yet", "through a scope", "small plans")
RUN_NAMES = ("train", "Train 2", "bold-fish-12", "50%", "a_c", "a/c", "back\\slash", "it's", "fe", "née", "", None)
OTHER_IDS = ("ABCDEF" + "0" * 26, "local run 7", "fe12", "0" * 33, "z" * 32)
IDS = [uuid5(NAMESPACE_URL, str(number)).hex for number in range(60)] + list(OTHER_IDS)
TEXTS = (
    "train", "TRAIN", "fish-1", "%", "_", "/", "\\", "'", "50%", "a_c", "née", "no such name", "wine", "QUALITY", "run",
    "fe", "0", "abc", "ABCDEF", IDS[3], IDS[3].upper(), IDS[3][4:15], IDS[3][:31] + "!", "0" * 33, "z" * 32, "f" * 32,
)  # fmt: skip

Row = dict[str, Any]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    if request.param == "sqlite":
        with closing(open_store(f"sqlite:///{tmp_path_factory.mktemp('texts') / 'store.db'}")) as store:
            fill(store)
            yield store
        return
    with request.getfixturevalue("postgres_cluster").fresh_database() as url, closing(open_store(url)) as store:
        fill(store)
        yield store


def fill(store: Store) -> None:
    with store.write() as conn:
        take_in_runs(conn, [details(number, run_id) for number, run_id in enumerate(IDS)], Origin("team", "", START))


def details(number: int, run_id: str) -> Row:
    experiment = ("Wine quality", "churn")[number % 7 == 0]
    return {
        "run_id": run_id, "run_name": RUN_NAMES[number % len(RUN_NAMES)], "experiment_id": experiment[:1],
        "experiment_name": experiment, "status": "FINISHED", "start_time": START + number // 2, "user": "ada",
    }  # fmt: skip


@pytest.fixture(params=WAYS)
def store(request: pytest.FixtureRequest, filled: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    if request.param == "too many names":
        monkeypatch.setattr(texts, "MOST", 4)
    if request.param == "many runs":
        monkeypatch.setattr(texts, "LARGE", 4)
    if request.param == "small plans":
        for figure in ("FEW", "NEWEST", "MANY"):
            monkeypatch.setattr(finding, figure, 5)
    if request.param == "through a scope":
        filled = filled.seen_by(Scope((Grant(users=("ada",)),)))
    if request.param == "no index yet":  # as in the first load
        index = next(each for each in metadata.tables["run"].indexes if each.name == NAMES)
        with filled.write() as conn:
            index.drop(conn)
    yield filled
    if request.param == "no index yet":
        with filled.write() as conn:
            index.create(conn)


def named(row: Row, text: str) -> bool:
    return any(text.lower() in (each or "").lower() for each in (row["name"], row["run_id"], row["experiment"]))


def test_a_text_finds_the_runs_that_have_it_in_a_name_or_an_id(store: Store) -> None:
    with store.read() as conn:
        rows = search_runs(conn, Query(limit=1_000)).rows
        assert len(rows) == len(IDS)
        for text in TEXTS:
            expected = [row["run_id"] for row in rows if named(row, text)]
            assert pages(conn, Query(text=text, limit=20)) == expected, text
            assert count_runs(conn, Query(text=text)) == len(expected), text
        for text in ("train", "fe"):
            late = [row["run_id"] for row in rows if named(row, text) and row["start_time"] >= START + 20]
            assert pages(conn, Query(Window(START + 20), text=text, limit=7)) == late, text
            counts = facets(conn, Query(Window(START + 20), text=text), ["experiment"])["experiment"]
            assert sum(each["runs"] for each in counts) == len(late), text
            by_duration = search_runs(conn, Query(Window(START + 20), text=text, order_by="duration")).rows
            assert {row["run_id"] for row in by_duration} == set(late), text
        assert [text for text in TEXTS if not any(named(row, text) for row in rows)] == [
            "no such name", IDS[3][:31] + "!", "f" * 32,
        ]  # fmt: skip


def pages(conn: Any, query: Query) -> list[str]:
    found, after = [], None
    while True:
        page = search_runs(conn, Query(**{**vars(query), "after": after}))
        found += [row["run_id"] for row in page.rows]
        if (after := page.next) is None:
            return found
