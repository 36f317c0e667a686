"""The read API: what it answers, page by page, and what it says where it cannot."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jsonschema
import pytest
import sqlalchemy as sa
from starlette.applications import Starlette

from afterglow_monitor.rest import serving
from afterglow_monitor.rest.document import document
from afterglow_monitor.rest.elsewhere import ELSEWHERE
from afterglow_monitor.rest.operations import OPERATIONS
from afterglow_monitor.rest.paging import token_of
from afterglow_store import Store, ingest_file, open_store
from afterglow_store.schema import application
from afterglow_store.search import deadline
from tests.support import world
from tests.support.api import Served, fields_that_differ
from tests.support.asgi import Answer, Asgi
from tests.support.journals import Journal
from tests.support.parts import ROOT

HOSTILE = quote(world.HOSTILE)


class Api:
    def __init__(self, store: Store, **elsewhere: str) -> None:
        self.store = store
        self._asgi = Asgi(Starlette(routes=[*serving.routes(lambda: store), *serving.no_other_routes()]), **elsewhere)

    def ask(self, path: str, method: str = "GET", headers: dict[str, str] | None = None, **asked: Any) -> Answer:
        query = f"?{urlencode(asked, doseq=True)}" if asked else ""
        raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        return self._asgi.ask(method, f"/api/v1{path}{query}", headers=raw)

    def get(self, path: str, **asked: Any) -> Any:
        answer = self.ask(path, **asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wrong(self, path: str, **asked: Any) -> tuple[int, str, str]:
        answer = self.ask(path, **asked)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        said = answer.json()
        return answer.status_code, said["error_code"], said["message"]

    def pages(self, path: str, name: str, **asked: Any) -> Iterator[list[dict[str, Any]]]:
        token = ""
        while token is not None:
            body = self.get(path, **asked, **({"page_token": token} if token else {}))
            yield body[name]
            token = body["next_page_token"]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is answered is asked here, not how soon: machines that run tests do other things as well."""
    monkeypatch.setattr(deadline, "SECONDS", 60.0)


@pytest.fixture(scope="module", params=["filled_sqlite", "filled_postgres"], ids=["sqlite", "postgresql"])
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    with closing(open_store(request.getfixturevalue(request.param))) as store:
        yield Api(store)


def paths_of(api: Api) -> dict[str, str]:
    """An address of each route that has something to say."""
    snapshot = str(api.get("/snapshots", max_results=1)["snapshots"][0]["id"])
    known = {
        "{app_id}": world.LIVE_APP, "{experiment_id}": "3", "{run_id}": world.CV_PARENT, "{snapshot_id}": snapshot,
    }  # fmt: skip
    found = {}
    for operation in OPERATIONS:
        path = operation.path
        for name, value in known.items():
            path = path.replace(name, value)
        found[operation.path] = path
    return found


def test_each_answer_has_the_fields_that_its_schema_says_and_no_others(api: Api) -> None:
    described = document()
    paths = paths_of(api)
    for operation in OPERATIONS:
        body = api.get(paths[operation.path])
        schema = {"$ref": f"#/components/schemas/{operation.answer}", "components": described["components"]}
        jsonschema.validate(body, schema)
        assert fields_that_differ({"$ref": f"/{operation.answer}"}, body) == [], operation.path
        assert any(body.values()) or operation.name == "diff_snapshots", operation.path


def test_an_application_leads_to_its_runs_jobs_stages_queries_and_executors(api: Api) -> None:
    path = f"/applications/{world.LIVE_APP}"
    found = api.get(path)
    assert (found["name"], found["user"], found["status"]) == ("recommender-nightly", "ada", "RUNNING")
    assert {row["name"] for row in api.get(f"{path}/items")["runs"]} == {"als-rank-64"}
    jobs = api.get(f"{path}/jobs")["jobs"]
    assert [(row["job_id"], row["status"], row["run_name"]) for row in jobs] == [
        (1, "RUNNING", "als-rank-64"), (0, "SUCCEEDED", "als-rank-64"),
    ]  # fmt: skip
    assert [row["job_id"] for row in api.get(f"{path}/jobs", status="running")["jobs"]] == [1]
    assert api.get(f"{path}/stages")["stages"][0]["stage_id"] >= 3
    assert len(api.get(f"{path}/executors")["executors"]) == 4  # the driver is one
    assert api.get(f"{path}/sql")["sql_executions"][0]["plan"]
    [run] = api.get("/runs", app=world.LIVE_APP)["runs"]
    assert api.get(f"/runs/{run['run_id']}/jobs")["jobs"] == jobs


def test_a_run_tells_its_relatives_and_each_of_its_snapshots_what_it_was(api: Api) -> None:
    run = api.get(f"/runs/{world.CV_PARENT}")
    assert len(run["child_run_ids"]) == 6
    assert run["metrics"]["train.loss"] == "NaN"
    kept = api.get("/snapshots", run_id=world.CV_PARENT)["snapshots"]
    assert [row["run_id"] for row in kept] == [world.CV_PARENT] * len(kept)
    first = api.get(f"/snapshots/{kept[-1]['id']}")
    assert first["content"]["params"]["numFolds"] == "3"
    other = api.get("/snapshots", run_id=world.PLAIN)["snapshots"][0]["id"]
    changed = api.get(f"/snapshots/{kept[-1]['id']}/diff", after=other)["changes"]
    assert {"kind": "param", "name": "numFolds", "change": "removed", "before": "3", "after": None} in changed
    assert api.get(f"/snapshots/{kept[0]['id']}/diff")["changes"] == []


LISTS = [
    ("/runs", "runs", "run_id", {}),
    ("/runs", "runs", "run_id", {"order_by": "metrics.auc DESC", "filter": "experiment.name = 'churn-forest'"}),
    ("/runs", "runs", "run_id", {"order_by": "user, run_name DESC"}),
    ("/runs", "runs", "run_id", {"order_by": "duration"}),
    ("/applications", "applications", "app_id", {}),
    ("/applications", "applications", "app_id", {"order_by": "end_time, name DESC"}),
    ("/applications", "applications", "app_id", {"order_by": "idle_share DESC"}),
    ("/applications", "applications", "app_id", {"order_by": "core_seconds, user"}),
    ("/experiments", "experiments", "experiment_id", {}),
    ("/experiments", "experiments", "experiment_id", {"order_by": "tags.team DESC, runs, core_seconds"}),
    ("/experiments", "experiments", "experiment_id", {"order_by": "last_update_time DESC"}),
    (f"/applications/{world.SEARCH_APP}/jobs", "jobs", "job_id", {}),
    (f"/applications/{world.CV_APP}/stages", "stages", "stage_id", {}),
    (f"/applications/{world.SEARCH_APP}/executors", "executors", "executor_id", {}),
    (f"/applications/{world.CV_APP}/sql", "sql_executions", "sql_execution_id", {}),
    ("/snapshots", "snapshots", "id", {}),
]


@pytest.mark.parametrize(("path", "name", "key", "asked"), LISTS, ids=str)
def test_all_pages_together_are_the_list(api: Api, path: str, name: str, key: str, asked: dict[str, str]) -> None:
    asked = asked | ({"since": "all"} if path in ("/runs", "/applications", "/experiments") else {})
    whole = [row[key] for row in api.get(path, **asked, max_results=1_000)[name]]
    size = max(1, len(whole) // 3)
    pages = list(api.pages(path, name, **asked, max_results=size))
    assert [row[key] for page in pages for row in page] == whole
    assert len(whole) == len(set(whole)) > 0
    assert [len(page) for page in pages[:-1]] == [size] * (len(pages) - 1)


def test_what_comes_between_two_pages_moves_none_of_the_rows_that_follow(sqlite_url: str, tmp_path: Path) -> None:
    start = 1_790_000_000_000
    with closing(open_store(sqlite_url)) as store:
        for number in range(6):
            ingest_file(
                store, Journal(tmp_path / "j", f"app-{number}", name="x", start=start + number).end(), now=start
            )
        api = Api(store)
        pages = api.pages("/applications", "applications", since="all", max_results=2)
        seen = [row["app_id"] for row in next(pages)]
        ingest_file(store, Journal(tmp_path / "j", "app-new", name="x", start=start + 9).end(), now=start)
        with store.write() as conn:
            conn.execute(sa.delete(application).where(application.c.app_id == "app-5"))
        assert seen + [row["app_id"] for page in pages for row in page] == [f"app-{n}" for n in (5, 4, 3, 2, 1, 0)]


def test_of_two_applications_with_one_id_the_start_says_which(sqlite_url: str, tmp_path: Path) -> None:
    start = 1_790_000_000_000
    with closing(open_store(sqlite_url)) as store:
        for number, name in enumerate(("first", "second")):
            ingest_file(store, Journal(tmp_path / "j", "local-1", name=name, start=start + number * 1_000).end(), now=0)
        api = Api(store)
        assert api.get("/applications/local-1")["name"] == "second"
        assert api.get("/applications/local-1", start_time="2026-09-21T14:13:20.000Z")["name"] == "first"
        status, code, message = api.wrong("/applications/local-1", start_time="2026-09-21T14:13:25Z")
    assert (status, code, "local-1" in message) == (404, "RESOURCE_DOES_NOT_EXIST", True)


WRONG = [
    ("/runs", {"filter": "metrics.auc << 1"}, "<< is no comparator"),
    ("/runs", {"order_by": "nonsense"}, "'nonsense' is no field of runs"),
    ("/runs", {"fliter": "x"}, "there is no parameter 'fliter': this route has since, until,"),
    ("/runs", {"max_results": "1001"}, "max_results='1001' is not a whole number from 1 to 1000"),
    ("/runs", {"max_results": "-1"}, "is not a whole number"),
    ("/runs", {"max_results": "٣"}, "is not a whole number"),
    ("/runs", {"active": "maybe"}, "active='maybe' is not true or false"),
    ("/runs", {"since": "yesterday"}, "'yesterday' is no time: use a span such as 30d"),
    ("/runs", {"since": "2026-11-02", "until": "2026-11-01"}, "ends (2026-11-01) before it begins"),
    ("/runs", {"since": ["7d", "30d"]}, "since may be there once only"),
    ("/runs", {"text": "a\0b"}, "without NUL"),
    ("/runs", {"page_token": "garbage"}, "leave it out for the first page"),
    ("/facets", {"facet": "colour"}, "facet='colour' is not one of status, user"),
    ("/usage", {"by": "week"}, "by='week' is not one of run, experiment"),
    ("/snapshots/x", {}, "snapshot_id='x' is not a whole number"),
    ("/snapshots/1/diff", {"after": "later"}, "after='later' is not what it may be"),
    ("/runs/x%00y", {}, "without NUL"),
]


@pytest.mark.parametrize(("path", "asked", "message"), WRONG, ids=str)
def test_what_cannot_be_read_is_named_with_what_to_do(api: Api, path: str, asked: dict[str, Any], message: str) -> None:
    status, code, said = api.wrong(path, **asked)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert message in said


def test_a_bad_filter_says_where(api: Api) -> None:
    said = api.ask("/runs", filter="status = 'FAILED' AND metrics.auc << 1").json()
    assert said["text"][said["start"] : said["end"]] == "<<"
    assert "^^" in said["message"]


def test_a_page_token_is_of_its_own_list_only(api: Api) -> None:
    token = api.get("/runs", max_results=1)["next_page_token"]
    assert api.get("/runs", max_results=2, page_token=token)["runs"]
    for path, asked in (("/runs", {"order_by": "run_name"}), ("/runs", {"since": "7d"}), ("/applications", {})):
        assert api.wrong(path, page_token=token, **asked)[:2] == (400, "INVALID_PARAMETER_VALUE")


FORGED = [
    "[1e400]", '["at"]', '["at","x",{}]', "[9999999999999999999,1]", '["at",true,"\\u0000"]', '{"a":1}', "[1.5,2]",
    '[0,"nan",1,1]', '["at","x","y"]', "[-1]", "[3,null,1,1]", "[2147483647]", "[9223372036854775807,1]",
]  # fmt: skip


@pytest.mark.parametrize("mark", FORGED)
@pytest.mark.parametrize("path", ["/runs", "/applications", "/experiments", "/snapshots"])
def test_a_forged_page_token_is_no_error_of_the_server(api: Api, path: str, mark: str) -> None:
    [operation] = [each for each in OPERATIONS if each.path == path]
    inner = base64.urlsafe_b64encode(mark.encode()).decode()
    token = token_of(path, operation.asked({}, []), 1, inner)
    assert api.ask(path, page_token=token).status_code in (200, 400)


@pytest.mark.parametrize("path", ["/runs/none", "/runs/none/jobs", "/applications/none", "/applications/none/jobs",
                                  "/experiments/none", "/snapshots/999999", "/snapshots/999999/diff"])  # fmt: skip
def test_what_is_not_there_is_said_to_be_missing(api: Api, path: str) -> None:
    status, code, message = api.wrong(path)
    assert (status, code) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert "is not in the store" in message


def test_no_other_address_answers_with_a_page(api: Api) -> None:
    assert api.wrong("/run")[:2] == (404, "ENDPOINT_NOT_FOUND")
    assert api.wrong("/runs/")[:2] == (404, "ENDPOINT_NOT_FOUND")
    assert api.wrong("/a%0Ab/c")[:2] == (404, "ENDPOINT_NOT_FOUND")


def test_who_has_the_answer_already_is_told_so(api: Api) -> None:
    for path in ("/runs?max_results=3", "/usage", "/openapi.json"):
        first = api.ask(path)
        tag = first.headers["Etag"]
        again = api.ask(path, headers={"If-None-Match": f'"other", {tag}'})
        assert (again.status_code, again.text, again.headers["Etag"]) == (304, "", tag)
        assert api.ask(path, headers={"If-None-Match": '"other"'}).status_code == 200
        assert "no-cache" in first.headers["Cache-Control"]
    assert api.ask("/runs?max_results=2").headers["Etag"] != api.ask("/runs?max_results=3").headers["Etag"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "NONSENSE"])
def test_it_is_only_read(api: Api, method: str) -> None:
    for path in ("/runs", f"/runs/{world.PLAIN}", "/openapi.json"):
        answer = api.ask(path, method)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
        assert answer.json()["error_code"] == "METHOD_NOT_ALLOWED"


def test_head_is_get_without_the_body(served: Served) -> None:
    host = served.address.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=60)
    connection.request("HEAD", "/api/v1/experiments")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    assert int(answer.headers["content-length"]) > 100
    connection.close()


def test_a_search_that_takes_too_long_is_stopped_and_said_to_be(
    filled_sqlite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "SECONDS", 0.0)
    monkeypatch.setattr(deadline, "_STEPS", 1)
    with closing(open_store(filled_sqlite)) as store:
        slow = Api(store).ask("/runs")
    assert (slow.status_code, slow.json()["error_code"]) == (503, "DEADLINE_EXCEEDED")
    assert "Retry-After" not in slow.headers  # the same again takes as long
    assert "choose a shorter time" in slow.json()["message"]


def test_a_store_that_is_away_is_said_to_be(caplog: pytest.LogCaptureFixture) -> None:
    url = "postgresql+psycopg://x:hunter2@127.0.0.1:1/none"

    def away() -> Store:
        return open_store(url)

    answer = Asgi(Starlette(routes=[*serving.routes(away)])).ask("GET", "/api/v1/runs")
    assert (answer.status_code, answer.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert answer.headers["Retry-After"] == "5"
    assert "hunter2" not in answer.text + caplog.text
    assert "the API cannot answer" in caplog.text


def test_who_is_elsewhere_gets_nothing(api: Api) -> None:
    for elsewhere in ({"peer": "192.0.2.7"}, {"host": "evil.example.com"}):
        assert Api(api.store, **elsewhere).wrong("/runs")[:2] == (403, "PERMISSION_DENIED")


def test_the_page_about_it_has_all_routes_and_their_parameters() -> None:
    """Of each route its line, in this order."""
    page = (ROOT / "docs" / "rest.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("| `/")]
    assert lines == [
        f"| `{each.path}` | {each.summary} | {', '.join(f'`{p.name}`' for p in each.params if p.where == 'query')} |"
        for each in OPERATIONS
    ]
    assert [each for each in ELSEWHERE if f"`{each.method.upper()} {each.path}`" not in page] == []
