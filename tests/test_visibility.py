"""Who sees what: no query of the store shows anybody an item that his rules hide."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from fnmatch import fnmatchcase
from typing import Any

import pytest
import sqlalchemy as sa

from afterglow_monitor import artifacts, data, export
from afterglow_monitor.access import sign_in
from afterglow_monitor.access.seeing import asking
from afterglow_monitor.settings import Settings
from afterglow_store import (
    Query,
    Store,
    Window,
    audit,
    items,
    open_store,
    search_applications,
    search_experiments,
    search_runs,
    snapshots,
    suggest,
    tracking,
    visibility,
)
from afterglow_store.diff import of_snapshots
from afterglow_store.errors import BadScope, NotFound
from afterglow_store.schema import application, experiment, link, metadata, run
from afterglow_store.search import count_runs, facets, facets_of_applications
from afterglow_store.usage import BY, usage
from afterglow_store.visibility import Grant, Scope, exactly, like
from tests.support import world
from tests.support.databases import PostgresCluster
from tests.support.journals import run_id_of

NOW = 1_795_000_000_000
PATTERNS = ("*", "churn-*", "wine*", "*-als", "recommender-als", "<img*", "nothing", "?hurn-forest", "diabetes-%")
USERS = ("ada", "grace", "lin", "mallory", "svc-*", "*", "nobody")
WORKSPACES = ("team-a", "team-*", "*")
Row = dict[str, Any]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("visibility")
    with ExitStack() as stack:
        url = f"sqlite:///{folder / 'store.db'}"
        if request.param == "postgresql":
            cluster: PostgresCluster = request.getfixturevalue("postgres_cluster")
            url = stack.enter_context(cluster.fresh_database())
        opened = stack.enter_context(closing(open_store(url)))
        world.fill(opened, folder / "journal", now=NOW)
        with opened.write() as conn:
            prepare(conn)
        yield opened


def prepare(conn: sa.Connection) -> None:
    """Workspaces, an audit entry of each run, and an application whose run has lost its link."""
    for name, workspace in (("wine%", "team-a"), ("churn-forest", "team-b")):
        which = experiment.c.name.like(name)
        conn.execute(sa.update(experiment).where(which).values(workspace=workspace))
    for run_id in conn.scalars(sa.select(run.c.run_id)).all():
        audit.record(conn, who="x", time=1, action=audit.TAG, run_id=run_id, before={}, after={})
    conn.execute(sa.delete(link).where(sa.column("run_id") == run_id_of("nightly-40")))


class Truth:
    """What a scope may see, found out in Python from all rows: the rules, said a second time."""

    def __init__(self, store: Store, rules: list[Row]) -> None:
        with store.read() as conn:
            self.runs = [dict(each) for each in conn.execute(sa.select(run)).mappings()]
            self.experiments = [dict(each) for each in conn.execute(sa.select(experiment)).mappings()]
            self.applications = [dict(each) for each in conn.execute(sa.select(application)).mappings()]
            links = conn.execute(sa.select(link)).all()
        by_key = {(each["server"], each["experiment_id"]): each for each in self.experiments}
        self.run_ids = {
            each["run_id"]
            for each in self.runs
            if any(sees(rule, by_key.get((each["server"], each["experiment_id"])), each["user_name"]) for rule in rules)
        }
        of_seen = {(each["server"], each["experiment_id"]) for each in self.runs if each["run_id"] in self.run_ids}
        self.experiment_keys = of_seen | {
            key for key, each in by_key.items() if any("users" not in rule and sees(rule, each, None) for rule in rules)
        }
        seen, linked = (
            {each.application_id for each in links if each.run_id in self.run_ids},
            {each.application_id for each in links},
        )
        self.application_ids = seen | {
            each["id"]
            for each in self.applications
            if each["id"] not in linked
            and any(
                not {"experiments", "workspaces"} & rule.keys() and sees(rule, None, each["user_name"])
                for rule in rules
            )
        }


def sees(rule: Row, of: Row | None, user: str | None) -> bool:
    def fits(patterns: list[str], value: str | None) -> bool:
        return value is not None and any(fnmatchcase(value, each.replace("[", "[[]")) for each in patterns)

    return all(
        fits(rule[kind], value)
        for kind, value in (
            ("experiments", None if of is None else of["name"]),
            ("workspaces", None if of is None else of["workspace"]),
            ("users", user),
        )
        if kind in rule
    )


def some_rules(chance: random.Random) -> list[Row]:
    kinds = (("experiments", PATTERNS), ("workspaces", WORKSPACES), ("users", USERS))
    return [
        {kind: chance.sample(those, chance.randint(1, 2)) for kind, those in kinds if chance.random() < 0.45}
        for _ in range(chance.randint(0, 3))
    ]


def scope_of(rules: list[Row]) -> Scope:
    return Scope(tuple(Grant(**{kind: tuple(map(like, those)) for kind, those in rule.items()}) for rule in rules))


def told(found: Any) -> str:
    return repr(found)


@pytest.mark.parametrize("seed", range(3))
def test_no_query_shows_what_is_hidden_and_each_shows_all_that_is_not(store: Store, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(2):
        rules = some_rules(chance)
        truth, seen = Truth(store, rules), store.seen_by(scope_of(rules))
        check_lists(seen, truth)
        check_pages(store, seen, truth, chance)
        check_texts(seen, truth)


def check_lists(seen: Store, truth: Truth) -> None:
    everything = Query(limit=10_000)
    some = "tags.search = 'v2' OR params.rank = '64' OR metrics.rmse > 0"
    for query in (everything, Query(limit=10_000, filter=some), Query(limit=10_000, order_by="metrics.rmse DESC"),
                  Query(limit=10_000, text="r")):  # fmt: skip
        with seen.read() as conn:
            found = search_runs(conn, query)
            assert {row["run_id"] for row in found.rows} <= truth.run_ids
            assert count_runs(conn, query) == found.total == len(found.rows)
    with seen.read() as conn:
        runs = search_runs(conn, everything)
        assert {row["run_id"] for row in runs.rows} == truth.run_ids
        assert {each["id"] for row in runs.rows for each in row["applications"]} <= truth.application_ids
        applications = search_applications(conn, everything)
        assert {row["id"] for row in applications.rows} == truth.application_ids
        assert applications.total == len(truth.application_ids)
        experiments = search_experiments(conn, everything)
        assert {(row["server"], row["experiment_id"]) for row in experiments.rows} == truth.experiment_keys
        assert sum(row["runs"] for row in experiments.rows) == len(truth.run_ids)
        counted = facets(conn, everything)
        assert sum(row["runs"] for row in counted["status"]) == len(truth.run_ids)
        of_applications = facets_of_applications(conn, everything)
        assert sum(row["applications"] for row in of_applications["user"]) == len(truth.application_ids)
        assert sum(row["applications"] for row in of_applications["experiment"]) == sum(
            row["experiments"] for row in applications.rows
        )
    for what, many in (("runs", truth.run_ids), ("applications", truth.application_ids)):
        assert len(list(export.rows(seen, what, Query(limit=50, count=False)))) == len(many)


def check_pages(store: Store, seen: Store, truth: Truth, chance: random.Random) -> None:
    """What is asked for by its address, and what belongs to it."""
    for row in chance.sample(truth.runs, 12):
        with seen.read() as conn:
            check_run(conn, row["run_id"], there=row["run_id"] in truth.run_ids)
    with store.read() as conn:
        every = {each["id"]: each for each in snapshots.listed(conn, snapshots.Of(), limit=10_000)}
    for each in chance.sample(sorted(every), 8):
        there = every[each]["run_id"] in truth.run_ids
        with seen.read() as conn:
            for read in (snapshots.content, snapshots.by_id, lambda conn, id_: of_snapshots(conn, id_, None)):
                assert is_there(read, conn, each) == there
    for row in truth.applications:
        with seen.read() as conn:
            check_application(conn, row["id"], truth)


def check_run(conn: sa.Connection, run_id: str, *, there: bool) -> None:
    assert is_there(items.run_by_id, conn, run_id) == there
    assert bool(items.runs_named(conn, [run_id])) == there
    assert (items.run_details(conn, run_id) is not None) == there
    if not there:
        assert items.jobs_of_run(conn, run_id) == []
        assert items.data_of_runs(conn, [run_id]) == {run_id: {"inputs": [], "outputs": []}}
        assert snapshots.snapshots_of(conn, "run", run_id) == []
        assert audit.of_run(conn, run_id, audit.TAG) == []


def check_application(conn: sa.Connection, id_: int, truth: Truth) -> None:
    there = id_ in truth.application_ids
    assert is_there(items.application_by_id, conn, id_) == there
    parts: tuple[Callable[..., list[Row]], ...] = (
        items.jobs_of, items.stages_of, items.executors_of, items.sql_executions_of, items.items_of, items.progress_of,
    )  # fmt: skip
    for read in parts:
        assert there or not read(conn, id_)
    assert {row["run_id"] for row in items.jobs_of(conn, id_)} <= truth.run_ids | {None}
    assert there or not items.spark_properties_of(conn, [id_])
    if there:
        row = items.application_by_id(conn, id_)
        of_it = search_runs(conn, Query(application_id=id_, limit=1_000))
        assert (row["runs"], row["jobs"]) == (of_it.total, len(items.jobs_of(conn, id_)))
        assert row["experiments"] == len(items.items_of(conn, id_))


def is_there(read: Callable[..., Any], conn: sa.Connection, *what: Any) -> bool:
    try:
        read(conn, *what)
    except NotFound:
        return False
    return True


def check_texts(seen: Store, truth: Truth) -> None:
    """Of everything that can be asked for at once: the ids of hidden runs are nowhere in it."""
    with seen.read() as conn:
        said = [
            *(usage(conn, by, Window()) for by in BY),
            facets(conn, Query()),
            audit.entries(conn, limit=10_000),
            snapshots.listed(conn, snapshots.Of(), limit=10_000),
            suggest.suggest(conn, search_runs(conn, Query(linked=False, limit=1_000)).rows),
            tracking.servers(conn),
            [{**row, "parent_run_id": None, "tags": None} for row in search_runs(conn, Query(limit=1_000)).rows],
        ]
        names = {row["value"] for row in facets(conn, Query())["experiment"]}
    ids = set(re.findall(r"\b[0-9a-f]{32}\b", told(said)))
    assert not ids & ({row["run_id"] for row in truth.runs} - truth.run_ids)
    seen_names = {
        each["name"] for each in truth.experiments if (each["server"], each["experiment_id"]) in truth.experiment_keys
    }
    assert names <= seen_names | {None}


def test_a_table_that_no_rule_knows_is_empty_and_each_is_thought_of(store: Store) -> None:
    hidden = {"received_journal", "journal_chunk", "bad_line", "task_sums", "retention", "forgotten", "access_token",
              "server_key", "alert", "alert_rule", "saved_view", "application_experiment"}  # fmt: skip
    assert set(visibility._RULES) | hidden == set(metadata.tables)
    with store.seen_by(visibility.NOTHING).read() as conn:
        for name, table in metadata.tables.items():
            many = conn.scalar(sa.select(sa.func.count()).select_from(table))
            assert many == 0 or name in ("tracking_server", "background_job")


def test_raw_sql_sees_no_more_and_nothing_is_written(store: Store) -> None:
    with store.seen_by(scope_of([{"experiments": ["churn-*"]}])).read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM run").scalar() == world.SEARCH_RUNS
        family = "WITH RECURSIVE n AS (SELECT 1 AS i UNION SELECT i + 1 FROM n WHERE i < 3) SELECT count(*) FROM n, run"
        assert conn.exec_driver_sql(family).scalar() == 3 * world.SEARCH_RUNS
        with pytest.raises(BadScope):
            conn.execute(sa.delete(run))


@pytest.mark.parametrize(
    "name", ["o'hara", "a%b", "a_b", "a!b", "a\\b", '"x"', "x' OR '1'='1", "*", "%(x)s", ":x", "?"]
)
def test_a_name_means_itself_whatever_is_in_it(store: Store, name: str) -> None:
    with store.write() as conn:
        conn.execute(sa.update(run).where(run.c.run_id.in_([world.PLAIN])).values(user_name=name))
    with store.seen_by(Scope((Grant(users=(exactly(name),)),))).read() as conn:
        assert [row["run_id"] for row in search_runs(conn, Query()).rows] == [world.PLAIN]


def test_without_a_scope_a_statement_is_as_it_was(store: Store) -> None:
    asked: list[str] = []
    sa.event.listen(store.engine, "before_cursor_execute", lambda *said: asked.append(said[2]))
    with store.read() as conn:
        search_runs(conn, Query())
    assert asked
    assert not any("NOT MATERIALIZED" in each for each in asked)


def test_what_one_person_has_read_is_not_kept_for_another(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "_whole_store", lambda: store)
    found = []
    for scope in (None, visibility.NOTHING, scope_of([{"experiments": ["churn-*"]}]), None):
        monkeypatch.setattr(sign_in, "scope", lambda scope=scope: scope)
        found.append(len(data.runs_named((world.PLAIN, run_id_of("search-1")))))
    assert found == [2, 0, 1, 2]


def test_a_route_sees_what_the_rules_for_its_request_give(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.model_construct(visible=("some",))
    monkeypatch.setattr(artifacts, "load_settings", lambda: settings)
    monkeypatch.setattr(artifacts, "_opened", lambda: store)
    seen = scope_of([{"experiments": ["churn-*"]}])
    with asking(seen):
        assert len(list(export.rows(artifacts.store(), "runs", Query()))) == world.SEARCH_RUNS
    assert list(export.rows(artifacts.store(), "runs", Query())) == []  # of no request
