"""What the rules hide is on no page and in no answer of a server, byte for byte, whatever address is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from afterglow_monitor.clock import now_ms
from afterglow_monitor.rest.operations import OPERATIONS
from afterglow_store import Store, alerts, audit, ingest_file, open_store
from afterglow_store.runs import take_in_run
from afterglow_store.schema import run, snapshot
from tests.support.journals import Journal, run_id_of
from tests.support.looking import Address, Looker
from tests.support.monitor import running_monitor
from tests.support.tracking import free_port

KEY = "the-key-of-the-server-0123456789"
HIDDEN = b"SECRET"  # in everything that is not for her
OPEN_ID, LOST_ID, HIDDEN_ID = run_id_of("open-run"), run_id_of("open-lost"), run_id_of("SECRET-run")
MIXED, OTHERS = "app-mixed", "app-of-others"
PAGES: list[Address] = [
    *({"tab": tab, "window": "all"} for tab in ("applications", "experiments", "runs", "health", "cost", "server")),
    {"tab": "runs", "unlinked": "yes"},
    {"tab": "runs", "q": "run"},
    {"tab": "runs", "sort": "-metrics.loss", "filter": "metrics.loss > 0"},
    {"page": "application", "id": MIXED, "tab": "jobs"},
    {"page": "application", "id": OTHERS},
    {"page": "experiment", "server": "http://127.0.0.1:5000", "id": "2"},
    {"page": "run", "id": HIDDEN_ID},
    {"page": "compare", "run": [OPEN_ID, LOST_ID, HIDDEN_ID]},
]
MORE_PAGES: list[Address] = [
    *(
        {"page": "application", "id": app, "tab": tab}
        for app, tab in product(
            (MIXED, OTHERS),
            ("items", "timeline", "stages", "sql", "data", "executors", "conf", "errors", "history"),
        )
    ),
    {"page": "experiment", "server": "http://127.0.0.1:5000", "id": "1"},
    *(
        {"page": "run", "id": run_id, "tab": tab}
        for run_id, tab in product(
            (OPEN_ID, HIDDEN_ID), ("overview", "outputs", "tags", "children", "jobs", "snapshots")
        )
    ),
]


class Office(NamedTuple):
    """A server, and two who look at it: `she` sees experiments of which the name begins with open-, `he` everything."""

    she: Looker
    he: Looker
    snapshots: dict[str, int]


@pytest.fixture(
    scope="module",
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.matrix)],
    ids=["sqlite", "postgresql"],
)
def office(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    home, port = tmp_path_factory.mktemp("hidden"), free_port()
    if request.param == "sqlite":
        yield from _office(f"sqlite:///{home / 'store.db'}", home, port)
        return
    with request.getfixturevalue("postgres_cluster").fresh_database() as url:
        yield from _office(url, home, port)


def _office(url: str, home: Path, port: int) -> Iterator[Office]:
    with closing(open_store(url)) as store:
        fill(store, home / "journal", now=now_ms())
        with store.read() as conn:
            found = conn.execute(sa.select(snapshot.c.item_id, snapshot.c.id)).all()
    (home / "afterglow.toml").write_text(settings(port))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFTERGLOW_HOME", str(home))
        patch.setenv("OFFICE_SECRET", KEY)
        with running_monitor(url, home, port=port) as address:
            she, he = (Looker(address, KEY, {"email": f"{name}@example.com"}) for name in ("ada", "ops"))
            yield Office(she, he, dict(map(tuple, found)))


def settings(port: int) -> str:
    return f"""
[sign_in]
provider = "http://127.0.0.1:1/.well-known/openid-configuration"
client_id = "afterglow"
client_secret = "env:OFFICE_SECRET"
cookie_secret = "env:OFFICE_SECRET"
url = "http://127.0.0.1:{port}"
admins = ["ops@example.com"]
default_role = "editor"
[[visible]]
who = ["*"]
experiments = ["open-*"]
[[alerts]]
name = "failures"
when = "run failed"
to = ["env:OFFICE_SECRET"]
"""


def fill(store: Store, folder: Path, *, now: int) -> None:
    """An application with a run of each kind, one with hidden runs alone, one without any run of somebody else, and a
    visible run without a link, which may be of an application that is hidden."""
    start = now - 600_000
    mixed = Journal(folder, MIXED, name="nightly", start=start)
    others = Journal(folder, OTHERS, name="SECRET-app", start=start + 1)
    for journal, name in ((mixed, "open"), (mixed, "SECRET"), (others, "SECRET-other")):
        with_run(journal, name)
    lonely = Journal(folder, "SECRET-lonely", name="SECRET-lonely", start=start + 2, user="SECRET-user").job()
    running = Journal(folder, "app-now", name="SECRET-now", start=start + 3).job(description="SECRET", unfinished=True)
    running.progress([0, 0, 2, 1, 16], dropped=2)
    for path in (mixed.end(), others.end("ValueError: SECRET"), lonely.end(), running.path):
        ingest_file(store, path, now=now)
    with store.write() as conn:
        take_in_run(conn, unlinked(start + 2_000), server="http://127.0.0.1:5000", tracking_uri="", as_of=now)
        for row in conn.execute(sa.select(run.c.run_id, run.c.name)).all():
            tags = {"tags": {"note": row.name}}
            audit.record(conn, who=f"{row.name}-person", time=now, action=audit.TAG, run_id=row.run_id,
                         before=tags, after=tags)  # fmt: skip
    alerts.note(store, "failures", ["env:OFFICE_SECRET"], [alerts.Event("1", now, "Run failed: SECRET-run")], now=now)


def with_run(journal: Journal, name: str) -> None:
    id_ = "1" if name.startswith("open") else "2"
    where = {"experiment_id": id_, "experiment_name": f"{name}-experiment" if id_ == "2" else "open-experiment"}
    started = journal.run_start(
        run_id_of(f"{name}-run"), f"{name}-run", params={f"{name}-param": "1"}, tags={f"{name}-tag": name},
        source_name=f"{name}.py", **where,
    )  # fmt: skip
    journal.job(started["run_id"], description=f"{name} job", error=f"{name} trouble" if id_ == "2" else None)
    journal.run_end(
        started, "FAILED" if id_ == "2" else "FINISHED", metrics={f"{name}-metric": 0.5, "loss": 0.1},
        outputs=[{"path": f"{name}.txt", "size": 3}], registered_versions=[{"name": f"{name}-model", "version": "1"}],
    )  # fmt: skip


def unlinked(start: int) -> dict[str, Any]:
    return {
        "run_id": LOST_ID, "run_name": "open-lost", "experiment_id": "1", "status": "FINISHED",
        "experiment_name": "open-experiment", "start_time": start, "end_time": start + 1_000, "user": "ada",
        "lifecycle_stage": "active", "params": {}, "metrics": {"loss": 0.3}, "tags": {}, "source_name": "x.py",
        "source_type": "LOCAL", "artifact_uri": "",
    }  # fmt: skip


def hidden_in(said: bytes, *asked: object) -> list[bytes]:
    """Of what is hidden, what is in there but for what the question said itself."""
    words = [HIDDEN, HIDDEN_ID.encode(), OTHERS.encode(), b"app-now", run_id_of("SECRET-other-run").encode()]
    return [word for word in words if word in said and word.decode() not in repr(asked)]


@pytest.mark.parametrize("pages", [PAGES, pytest.param(MORE_PAGES, marks=pytest.mark.matrix)], ids=["some", "more"])
def test_no_page_has_it_whatever_its_address(office: Office, pages: list[Address]) -> None:
    for asked in pages:
        said = office.she.page(asked)
        assert hidden_in(said, asked) == [], asked
        assert b"Traceback" not in said, asked


def test_the_pages_have_what_is_not_hidden_and_all_of_it_for_an_admin(office: Office) -> None:
    for asked, visible in (
        ({"tab": "runs"}, b"open-run"), ({"page": "run", "id": OPEN_ID}, b"open-param"),
        ({"page": "application", "id": MIXED, "tab": "jobs"}, b"open job"), ({"tab": "health"}, b"open-run"),
        ({"page": "compare", "run": [OPEN_ID, LOST_ID, HIDDEN_ID]}, b"open-lost"),
        ({"tab": "server"}, b"Unreadable lines"),
    ):  # fmt: skip
        assert visible in office.she.page(asked), asked
    for asked in ({"tab": "runs"}, {"page": "run", "id": HIDDEN_ID}, {"tab": "health"}, {"tab": "server"},
                  {"page": "application", "id": OTHERS}):  # fmt: skip
        assert HIDDEN in office.he.page(asked), asked


def test_no_answer_of_the_api_has_it_and_what_is_hidden_is_as_what_is_not_there(office: Office) -> None:
    asked = 0
    for operation in OPERATIONS:
        for run_id, app, experiment, kept in (
            (OPEN_ID, MIXED, "1", office.snapshots[OPEN_ID]), (HIDDEN_ID, OTHERS, "2", office.snapshots[HIDDEN_ID]),
            ("f" * 32, "app-nowhere", "77", 10**6),
        ):  # fmt: skip
            words = {"run_id": run_id, "app_id": app, "experiment_id": experiment, "snapshot_id": str(kept)}
            path = "/api/v1" + operation.path.format(**words)
            status, said = office.she.get(path)
            assert hidden_in(said, path) == [], path
            assert status == (404 if "{" in operation.path and run_id != OPEN_ID else 200), (path, said)
            assert office.he.get(path)[0] == (404 if "{" in operation.path and run_id == "f" * 32 else 200), path
            asked += 1
    assert asked > 40


def test_no_download_has_it(office: Office) -> None:
    for what, kind in product(("applications", "experiments", "runs"), ("csv", "json")):
        path = f"/api/v1/{what}/export?window=all&format={kind}"
        status, said = office.she.get(path, link=True)
        assert (status, hidden_in(said)) == (200, []), path
        assert b"open" in said or MIXED.encode() in said
        assert HIDDEN in office.he.get(path, link=True)[1]
    for name in ("SECRET.txt", "open.txt"):
        status, said = office.she.get(f"/api/v1/runs/{HIDDEN_ID}/files/{name}", link=True)
        problem = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"run {HIDDEN_ID} is not in the store"}
        assert (status, json.loads(said)) == (404, problem)


def test_totals_count_what_is_there_to_see(office: Office) -> None:
    def counted(who: Looker) -> int:
        facets = json.loads(who.get("/api/v1/facets?since=all")[1])["facets"]
        return sum(each["runs"] for each in facets["status"])

    assert (counted(office.she), counted(office.he)) == (2, 4)
    [app] = json.loads(office.she.get("/api/v1/applications?since=all")[1])["applications"]
    assert (app["app_id"], app["runs"], app["jobs"], app["failed_jobs"]) == (MIXED, 1, 1, 0)


def test_no_other_address_has_it(office: Office) -> None:
    for path in ("/metrics", "/healthz", "/readyz", "/api/v1/openapi.json", "/api/v1/nothing", "/nothing", "/media/x"):
        assert hidden_in(office.she.get(path)[1]) == [], path


def test_who_has_not_signed_in_is_sent_nothing_of_any_run(office: Office) -> None:
    stranger = Looker(office.she.address, "a-key-that-somebody-made-up-98765", {"email": "ops@example.com"})
    for asked in ({"tab": "runs"}, {"page": "run", "id": OPEN_ID}, {"tab": "server"}):
        said = stranger.page(asked)
        assert b"Sign in" in said
        assert [word for word in (HIDDEN, b"open-run", b"Unreadable lines") if word in said] == []
    assert stranger.get("/api/v1/runs")[0] == 401
