"""Search: whatever is asked, in whatever order, on both databases, it finds what plain Python finds."""

import math
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from afterglow_store import Query, Store, Window, open_store
from afterglow_store.applications import refresh_counts
from afterglow_store.engine import delete_rows, insert_rows
from afterglow_store.errors import BadFilter, BadPage, TooSlow
from afterglow_store.filters import Comparison, Condition, Field, Order, parse
from afterglow_store.filters.condition import all_of, any_of
from afterglow_store.filters.fields import FIELDS
from afterglow_store.links import add_links
from afterglow_store.runs import Origin, take_in_runs
from afterglow_store.schema import application, run
from afterglow_store.search import (
    count_runs,
    facets,
    facets_of_applications,
    finding,
    ordering,
    search_applications,
    search_keyed,
    search_runs,
)
from afterglow_store.search.deadline import deadline
from afterglow_store.search.marks import as_text
from tests.support.matching import in_order, matches

START, STEP = 1_790_000_000_000, 1_000
RUNS = 250
ASKED = 150  # filters, each of both databases and both sets of plans
SEED = random.SystemRandom().randrange(10**6)

Row = dict[str, Any]

ODD_KEY = 'a key with `ticks` and "quotes"'
TEXT_KEYS = ("depth", "seed", "team", "mlflow.user", "spark.app.id", "never logged", ODD_KEY)
KEYS = ("rmse", "loss", "val.loss", "never logged")
NUMBERS = ("0.5", "1", "-2.25", "1e300", "NaN", "Infinity", "-Infinity", "0")
TEXTS = ("5", "05", "a", "A", "é", "x" * 300, "x" * 299 + "y", "50%", "a_c", "abc", "it's", "")


def details(chance: random.Random, number: int) -> Row:
    def some(values: tuple[str, ...], keys: tuple[str, ...]) -> dict[str, str]:
        return {key: chance.choice(values) for key in keys if chance.random() < 0.7}

    start = START + STEP * chance.randrange(RUNS // 2)  # many start at the same moment
    return {
        "run_id": f"{chance.getrandbits(128):032x}",
        "run_name": chance.choice(("train", "Train", f"run {number}", None)),
        "experiment_id": str(chance.randrange(3)),
        "experiment_name": f"experiment {chance.randrange(3)}",
        "status": chance.choice(("FINISHED", "FAILED", "RUNNING", "KILLED")),
        "start_time": start,
        "end_time": chance.choice((None, start + STEP * chance.randrange(90))),
        "user": chance.choice(("ada", "Ada", "lin", None)),
        "lifecycle_stage": chance.choice(("active", "deleted")),
        "source_name": chance.choice(("train.py", "a_c", None)),
        "source_type": "LOCAL",
        "artifact_uri": f"mlflow-artifacts:/{number}",
        "params": some(TEXTS, ("depth", "seed", ODD_KEY)),
        "metrics": {key: float(value) if value[-1].isdigit() and chance.random() < 0.5 else value
                    for key, value in some(NUMBERS, KEYS[:3]).items()},
        "tags": some(TEXTS, ("team", "mlflow.user", "stage")) | {"spark.app.id": f"app-{chance.randrange(9)}"},
        **({"outputs": [], "outputs_complete": True,
            "registered_versions": [{"name": chance.choice(("wine", "Wine")), "version": str(chance.randrange(3))}]}
           if chance.random() < 0.3 else {}),
    }  # fmt: skip


def fill(store: Store, chance: random.Random) -> None:
    made = [details(chance, number) for number in range(RUNS)]
    with store.write() as conn:
        for number in range(6):
            conn.execute(sa.insert(application).values(
                id=number + 1, app_id=f"app-{number}", attempt="", start_time=START, driver_host="h",
                name=f"job {number % 2}", user_name=chance.choice(("ada", None)), master="yarn", status="ENDED",
            ))  # fmt: skip
        for server in ("a", "b"):  # in two goes, of different servers
            take_in_runs(conn, made[server == "b" :: 2], Origin(server, f"http://{server}", START))
        for row in made[::5]:
            add_links(conn, chance.randrange(6) + 1, {row["run_id"]: (chance.choice(("client", "resumed")), START)})
        sums = {name: sa.literal(None) for name in ("core_ms",)}
        conn.execute(sa.update(run).values(effective_status=run.c.status, **sums))
        for row in made[::3]:
            values = {
                "core_ms": chance.randrange(9_000),
                "jobs": chance.randrange(4),
                "input_bytes": chance.randrange(99),
            }
            conn.execute(sa.update(run).where(run.c.run_id == row["run_id"]).values(**values))


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found is asked here, not how soon: machines that run tests do other things as well."""
    monkeypatch.setattr("afterglow_store.search.deadline.SECONDS", 60.0)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    print(f"seed {SEED}")
    if request.param == "sqlite":
        opened = open_store(f"sqlite:///{tmp_path_factory.mktemp('search') / 'store.db'}")
        fill(opened, random.Random(SEED))
        yield opened
        opened.close()
        return
    with request.getfixturevalue("postgres_cluster").fresh_database() as url:
        opened = open_store(url)
        fill(opened, random.Random(SEED))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def rows(store: Store) -> list[Row]:
    """All runs, newest first."""
    return found(store)


def found(store: Store, **asked: Any) -> list[Row]:
    with store.read() as conn:
        return search_runs(conn, Query(**{"limit": RUNS + 1, **asked})).rows


def ids(rows: list[Row]) -> list[str]:
    return [row["run_id"] for row in rows]


@pytest.fixture(params=["as it is", "small"])
def plans(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """`small`: the figures by which a plan is chosen are so small that each plan comes up on little data."""
    if request.param == "small":
        monkeypatch.setattr(finding, "FEW", 12)
        monkeypatch.setattr(finding, "NEWEST", 20)
        monkeypatch.setattr(finding, "MANY", 60)
        monkeypatch.setattr(ordering, "MANY", 60)
        monkeypatch.setattr(ordering, "SORTED", 12)
        monkeypatch.setattr(ordering, "BEST", 20)


def comparison(chance: random.Random, rows: list[Row]) -> Comparison:
    field = chance.choice(FIELDS["runs"][:3] * 6 + FIELDS["runs"])
    key = chance.choice(KEYS if field.name == "metrics" else TEXT_KEYS) if field.keyed else None
    operator = chance.choice(field.comparators)
    if operator in ("IS NULL", "IS NOT NULL"):
        return Comparison(field, operator, None, key)
    value = some_value(chance, field, rows)
    if operator in ("IN", "NOT IN"):
        value = (str(value), str(some_value(chance, field, rows)))
    if value != value and operator not in ("=", "!="):  # noqa: PLR0124 - NaN
        value = 0.5
    if "LIKE" in operator:
        value = chance.choice(("%a%", "a_c", "TRAIN%", "%é%", "x%y", "", "%"))
    return Comparison(field, operator, value, key)


def some_value(chance: random.Random, field: Field, rows: list[Row]) -> Any:
    row, kind, choices = chance.choice(rows), field.kind, field.choices
    if kind == "number":
        return (
            chance.choice([float(value) for value in NUMBERS]) if field.decimal else chance.choice((0, 1, 2, 0.5, 40))
        )
    if kind == "time":
        return row["start_time"]
    if kind == "duration":
        return STEP * chance.randrange(90)
    if kind == "boolean":
        return chance.random() < 0.5
    if kind == "choice":
        return chance.choice(choices)
    return chance.choice(
        (*TEXTS, "train", "ada", row["run_id"], row["experiment"], "app-1", "job 1", "wine", "a", "yarn")
    )


def condition(chance: random.Random, rows: list[Row], depth: int = 0) -> Condition:
    roll = chance.random()
    if depth == 3 or roll < 0.35:
        return comparison(chance, rows)
    parts = [condition(chance, rows, depth + 1) for _ in range(chance.choice((2, 2, 3)))]
    return all_of(parts) if roll < 0.75 else any_of(parts)


@pytest.mark.usefixtures("plans")
def test_any_filter_finds_what_plain_python_finds_page_by_page(store: Store, rows: list[Row]) -> None:
    chance = random.Random(SEED + 1)
    hits = 0
    for _ in range(ASKED):
        asked = condition(chance, rows)
        window = chance.choice((Window(), Window(START + 20 * STEP, START + 90 * STEP)))
        inside = [row for row in rows if (window.since or 0) <= row["start_time"] < (window.until or math.inf)]
        expected = [row["run_id"] for row in inside if matches(asked, row)]
        assert pages(store, filter=str(asked), window=window) == expected, f"seed {SEED}: {asked}"
        hits += bool(expected)
    assert hits > ASKED / 4, "most filters should find something, or they prove little"


@pytest.mark.usefixtures("plans")
def test_any_order_is_that_of_plain_python_page_by_page(store: Store, rows: list[Row]) -> None:
    chance = random.Random(SEED + 2)
    fields = [field for field in FIELDS["runs"] if not field.many]
    for _ in range(ASKED // 2):
        orders = [
            Order(field, chance.random() < 0.5, chance.choice(KEYS if field.name == "metrics" else ("depth", "team")))
            if field.keyed else Order(field, chance.random() < 0.5)
            for field in chance.sample(fields[:1] * 9 + fields, chance.choice((1, 1, 2)))
        ]  # fmt: skip
        if len({(each.field, each.key) for each in orders}) < len(orders) or any(
            e.field.kind == "text" for e in orders
        ):
            continue  # databases sort text by their own alphabets
        text = ", ".join(map(str, orders))
        narrow = comparison(chance, rows) if chance.random() < 0.5 else None
        expected = in_order([row for row in rows if narrow is None or matches(narrow, row)], orders)
        asked = {"filter": str(narrow) if narrow else "", "order_by": text}
        assert pages(store, **asked) == ids(expected), f"seed {SEED}: {asked}"  # type: ignore[arg-type]


def test_a_second_order_decides_between_runs_that_began_at_once(store: Store, rows: list[Row]) -> None:
    start, linked = (next(each for each in FIELDS["runs"] if each.name == name) for name in ("start_time", "linked"))
    by_both = [row["run_id"] for row in in_order(rows, [Order(start, True), Order(linked, True)])]
    assert by_both != [row["run_id"] for row in in_order(rows, [Order(start, True)])]
    assert pages(store, order_by="start_time DESC, linked DESC") == by_both


@pytest.mark.usefixtures("plans")
@pytest.mark.parametrize("narrow", ["", "user = 'ada'", "spark.jobs >= 1 AND tags.team IS NOT NULL"])
def test_an_order_that_has_an_index_is_that_of_plain_python_page_by_page(
    store: Store, rows: list[Row], narrow: str
) -> None:
    filter_ = parse(narrow, "runs", now=START)
    wanted = [row for row in rows if filter_ is None or matches(filter_, row)]
    assert wanted
    for name in ("duration", "spark.input_bytes", "spark.core_seconds", "spark.output_bytes"):
        for descending in (True, False):
            order = Order(next(each for each in FIELDS["runs"] if each.name == name), descending)
            assert pages(store, filter=narrow, order_by=str(order)) == ids(in_order(wanted, [order])), order  # type: ignore[arg-type]


def pages(store: Store, **asked: Any) -> list[str]:
    """All that is found, some at a time; the totals agree."""
    got: list[str] = []
    after, limit = None, random.choice((7, 60))
    with store.read() as conn:
        while True:
            page = search_runs(conn, Query(**asked, limit=limit, after=after))
            got += ids(page.rows)
            after = page.next
            if after is None:
                break
            assert len(page.rows) == limit
        assert page.total == len(got)
        assert count_runs(conn, Query(**asked)) == len(got)
    assert len(set(got)) == len(got), "a run is on two pages"
    return got


def test_pages_by_number_are_those_by_mark(store: Store, rows: list[Row]) -> None:
    for order in ("", "metrics.rmse DESC", "duration"):
        by_number = [
            run_id for at in range(0, RUNS, 40) for run_id in ids(found(store, order_by=order, limit=40, offset=at))
        ]
        assert by_number == ids(found(store, order_by=order))
        assert sorted(by_number) == sorted(ids(rows))


def test_totals_stop_at_ten_thousand(store_url: str) -> None:
    columns = ("id", "run_id", "server", "experiment_id", "as_of")
    with closing(open_store(store_url)) as large, large.write() as conn:
        insert_rows(conn, run, [(id_, f"run {id_}", "team", "1", 1) for id_ in range(1, 10_003)], columns)
        assert search_runs(conn, Query(limit=1)).total_text == "10,000+"
        delete_rows(conn, run, [(1,), (2,)])
        assert search_runs(conn, Query(limit=1)).total_text == "10,000"


@pytest.mark.parametrize("offset", [0, 40, RUNS - 5, RUNS, RUNS + 10])
def test_a_page_tells_how_many_there_are_in_all_wherever_it_begins(store: Store, offset: int) -> None:
    with store.read() as conn:
        for limit in (5, RUNS, RUNS + 1):
            assert search_runs(conn, Query(limit=limit, offset=offset)).total == RUNS
        assert search_runs(conn, Query(text="no such name", offset=offset)).total == 0
        assert search_runs(conn, Query(limit=1, offset=offset, count=False)).total == 0


def test_a_mark_of_another_order_or_of_nobody_is_refused(store: Store) -> None:
    with store.read() as conn:
        newest = search_runs(conn, Query(limit=5)).next
        for after, order in (
            (newest, "metrics.rmse"),
            (newest, "duration"),
            (newest, "end_time"),
            ("rubbish!", ""),
            ("W10", ""),
            ("", ""),
        ):
            with pytest.raises(BadPage):
                search_runs(conn, Query(after=after, order_by=order))


def test_a_bad_filter_says_where_it_is_wrong(store: Store) -> None:
    with store.read() as conn, pytest.raises(BadFilter, match="at character 14"):
        search_runs(conn, Query(filter="status = 'a' AN x"))


def test_a_search_that_takes_too_long_is_stopped_and_the_connection_still_works(store: Store) -> None:
    endless = sa.text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
    with store.read() as conn:
        with pytest.raises(TooSlow, match=r"stopped after 0\.2 s: choose a shorter time"), deadline(conn, 0.2):
            conn.execute(endless)
        conn.rollback()
        assert search_runs(conn, Query(limit=1)).rows


def test_a_changed_run_is_found_by_what_it_has_now_and_no_longer_by_what_it_had(store: Store, rows: list[Row]) -> None:
    row = next(each for each in rows if each["params"].get("depth") == "5")
    of_it = f"run_id = '{row['run_id']}' AND "
    changed = {name: row[name] for name in ("run_id", "experiment_id", "status", "end_time", "lifecycle_stage")}
    changed |= {"params": {"depth": "6", "new": "1"}, "metrics": {"rmse": 77.0}, "tags": {}, "start_time": START - STEP}
    with store.write() as conn:
        take_in_runs(conn, [changed], Origin(row["server"], "", START + 1))
        for text, there in (
            ("params.depth = '5'", False), ("params.depth = '6'", True), ("params.new = '1'", True),
            ("metrics.rmse = 77", True), ("metrics.rmse IS NULL", False), ("tags.team IS NOT NULL", False),
            ("metrics.loss IS NULL AND params.seed IS NULL", True),
        ):  # fmt: skip
            assert bool(search_runs(conn, Query(filter=of_it + text)).rows) is there, text
        conn.rollback()


def test_applications_are_filtered_and_ordered_by_their_fields(store: Store) -> None:
    with store.read() as conn:
        named = search_applications(
            conn, Query(filter="name = 'job 1' AND master ILIKE 'YARN'", order_by="app_id DESC")
        )
        assert [row["app_id"] for row in named.rows] == ["app-5", "app-3", "app-1"]
        assert search_applications(conn, Query(filter="core_seconds > 1 OR status = 'FAILED'")).rows == []


def test_every_field_that_a_filter_may_name_is_known_to_the_search(store: Store) -> None:
    with store.read() as conn:
        for field in FIELDS["applications"]:
            search_applications(conn, Query(filter=f"{field.name} IS NULL", order_by=field.name))


@pytest.mark.usefixtures("plans")
def test_active_in_a_window_is_what_ran_in_it_for_a_while(store: Store, rows: list[Row]) -> None:
    since, until = START + 60 * STEP, START + 70 * STEP
    for text in ("", "params.depth = '5'"):
        expected = [
            row["run_id"] for row in rows
            if row["start_time"] < until and (row["start_time"] >= since or (row["end_time"] or 0) >= since
                                              or row["effective_status"] == "RUNNING")
            and (not text or row["params"].get("depth") == "5")
        ]  # fmt: skip
        assert pages(store, filter=text, window=Window(since, until), active=True) == expected
        if not text:  # enough of them that some began before
            assert len(expected) > len(found(store, window=Window(since, until)))
    with store.read() as conn:
        later = Window(START + STEP)
        assert search_applications(conn, Query(later)).rows == []
        conn.execute(sa.update(application).where(application.c.id == 2).values(end_time=START + 9 * STEP))
        assert [row["id"] for row in search_applications(conn, Query(later, active=True)).rows] == [2]
        # Of what is lost nobody knows the end: it was there as long as it was heard.
        lost = {"status": "LOST", "end_time": None, "last_event_time": START + 9 * STEP}
        conn.execute(sa.update(application).where(application.c.id == 3).values(lost))
        assert [row["id"] for row in search_applications(conn, Query(later, active=True)).rows] == [3, 2]
        much_later = Query(Window(START + 10 * STEP), active=True)
        assert search_applications(conn, much_later).rows == []
        # … and so of a run that its driver left behind.
        orphan = next(row for row in rows if row["applications"] and row["start_time"] < since)
        lost = {"end_time": None, "effective_status": "ORPHANED"}
        conn.execute(sa.update(run).where(run.c.run_id == orphan["run_id"]).values(lost))
        for heard, found_ in ((since - 1, False), (since, True)):
            conn.execute(sa.update(application).values(last_event_time=heard))
            active = search_runs(conn, Query(Window(since, until), active=True, limit=RUNS + 1)).rows
            assert (orphan["run_id"] in ids(active)) is found_
        conn.rollback()


def test_facets_count_what_the_filter_finds(store: Store, rows: list[Row]) -> None:
    for text in ("", "params.depth = '5'", "metrics.rmse > 0 OR user = 'ada'"):
        asked = parse(text, "runs", now=0)
        hits = [row for row in rows if asked is None or matches(asked, row)]
        with store.read() as conn:
            found = facets(conn, Query(filter=text))
        assert counted(found["status"]) == Counter(row["effective_status"] for row in hits)
        assert counted(found["user"]) == Counter(row["user_name"] for row in hits)
        assert counted(found["experiment"]) == Counter(row["experiment"] for row in hits)
        names = (app["name"] for row in hits for app in row["applications"] or [{"name": None}])
        assert counted(found["application"]) == Counter(names)
        assert all(each == sorted(each, key=lambda row: -row["runs"]) for each in found.values())


@pytest.mark.parametrize(
    "asked",
    [Query(), Query(filter="master = 'yarn'"), Query(statuses=("FAILED",)), Query(text="APP-1"),
     Query(experiment="experiment 1"), Query(masters=("k8s",), users=("zoe",)), Query(text="no such name")],
    ids=["all", "filter", "status", "text", "experiment", "master", "none"],
)  # fmt: skip
def test_facets_of_applications_count_what_their_list_has(store: Store, rows: list[Row], asked: Query) -> None:
    with store.read() as conn:
        refresh_counts(conn, range(1, 7))
        other = {"master": "k8s", "status": "FAILED", "user_name": "zoe"}
        conn.execute(sa.update(application).where(application.c.id <= 2).values(other))
        conn.execute(sa.update(application).where(application.c.id == 2).values(user_name=None))
        listed = search_applications(conn, asked).rows
        found = facets_of_applications(conn, asked)
        conn.rollback()
    for facet, column in (("status", "status"), ("user", "user_name"), ("master", "master")):
        values = {row["value"]: row["applications"] for row in found[facet]}
        assert values == Counter(row[column] for row in listed), facet
    ids = {row["id"] for row in listed}
    wrote = {
        (each["id"], row["server"], row["experiment_id"], row["experiment"])
        for row in rows for each in row["applications"] if each["id"] in ids
    }  # fmt: skip
    of_experiments = {
        (row["server"], row["experiment_id"], row["value"]): row["applications"] for row in found["experiment"]
    }
    assert of_experiments == Counter(each[1:] for each in wrote)
    assert all(each == sorted(each, key=lambda row: -row["applications"]) for each in found.values())


def test_applications_and_runs_are_those_of_the_masters_asked_for(store: Store, rows: list[Row]) -> None:
    with store.read() as conn:
        conn.execute(sa.update(application).where(application.c.id <= 2).values(master="k8s"))
        assert {row["id"] for row in search_applications(conn, Query(masters=("k8s", "mesos"))).rows} == {1, 2}
        found = search_runs(conn, Query(masters=("k8s", "mesos"), limit=RUNS + 1)).rows
        conn.rollback()
    assert found
    assert ids(found) == [row["run_id"] for row in rows if {1, 2} & {each["id"] for each in row["applications"]}]


def counted(values: list[Row]) -> Counter[str | None]:
    counts: Counter[str | None] = Counter()
    for each in values:
        counts[each["value"]] += each["runs"]
    return counts


def test_params_metrics_and_tags_alone_are_those_of_the_runs_that_are_found(store: Store) -> None:
    query = Query(filter="params.depth != 'nothing'", order_by="duration DESC", limit=40)
    read: list[Row] = []
    asked: Query | None = query
    while asked is not None:
        with store.read() as conn:
            page = search_keyed(conn, asked)
        read += page.rows
        asked = None if page.next is None else replace(asked, after=page.next)
    whole = found(store, filter=query.filter)
    assert 40 < len(whole) < RUNS
    assert sorted(map(repr, read)) == sorted(repr({name: row[name] for name in read[0]}) for row in whole)
    assert [*read[0]] == ["params", "metrics", "tags"]
    with store.read() as conn, pytest.raises(BadPage):
        search_keyed(conn, replace(query, after=as_text(7)))
