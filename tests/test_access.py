"""Who is let in: by where a request comes from and what it shows, whatever route it asks for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from afterglow_monitor.access import links
from afterglow_monitor.access.gate import Gate, access_of
from afterglow_monitor.access.people import Person, person_of
from afterglow_monitor.access.rules import Rules
from afterglow_monitor.access.seeing import of_request, scope_of
from afterglow_monitor.cli import cli
from afterglow_monitor.clock import now_ms
from afterglow_monitor.collecting import collector
from afterglow_monitor.errors import CannotWrite
from afterglow_monitor.settings import Settings, SignInSettings
from afterglow_monitor.writing import Writer
from afterglow_monitor.writing.linking import Linker
from afterglow_monitor.writing.models import Registrar
from afterglow_monitor.writing.settle import Settler
from afterglow_monitor.writing.tags import Tagger
from afterglow_store import Store, audit, open_store, tokens
from afterglow_store.errors import BadScope, NotFound
from afterglow_store.schema import access_token, received_journal
from afterglow_store.visibility import Grant, Scope
from tests.support.asgi import Answer, Asgi
from tests.support.monitor import running_monitor, streamlit_run, uvicorn
from tests.support.tracking import free_port

NOW = 1_795_000_000_000
DAY = 86_400_000
NAME = "0b5e8c0e-8f5b-4f5e-9d57-3f2f3c7e1a55"
PATHS = ("/", "/static/js/index.js", "/_stcore/health", "/_stcore/upload_file/a/b", "/media/a.png",
         "/api/v1/runs/export", "/api/v1/runs/a/files/b", "/api/v1/not-there-yet", "/metrics")  # fmt: skip
ELSEWHERE: list[tuple[str, str, dict[str, str]]] = [
    ("192.0.2.7", "127.0.0.1", {}),
    ("127.0.0.1", "evil.example", {}),  # a name of a foreign page that leads here
    ("127.0.0.1", "localhost.evil.example", {}),
    ("127.0.0.1", "127.0.0.1.nip.io", {}),
    ("127.0.0.1", "evil.example:8501", {}),
    ("127.0.0.1", "127.0.0.1@evil.example", {}),
    ("127.0.0.1", "", {}),
    ("127.0.0.1", "127.0.0.1", {"Forwarded": "for=192.0.2.7"}),
    ("127.0.0.1", "127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}),
    ("127.0.0.1", "127.0.0.1", {"X-Forwarded-Host": "localhost"}),
    ("127.0.0.1", "127.0.0.1", {"X-Forwarded-Proto": "https"}),
    ("127.0.0.1", "127.0.0.1", {"Via": "1.1 proxy"}),
    ("127.0.0.1", "127.0.0.1", {"Host": "evil.example"}),  # a second one
    ("127.0.0.1", "127.0.0.1", {"Origin": "http://localhost:9999"}),
    ("127.0.0.1", "127.0.0.1", {"Origin": "null"}),
]


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with closing(open_store(store_url)) as opened:
        yield opened


def guarded(store: Store | None = None, **said: Any) -> Starlette:
    """An application with one route that answers anything, and the collector, behind the gate."""

    async def answer(request: Request) -> JSONResponse:
        access = access_of(request)
        assert access is not None
        answer = JSONResponse({"who": access.who})
        answer.set_cookie("a", "b", httponly=True)
        return answer

    settings = Settings.model_validate({"home": "/nowhere", **said})
    sent = [] if store is None else collector.routes(lambda: collector.Collector(store, settings.collector))
    routes = [*sent, Route("/{path:path}", answer, methods=["GET", "POST"])]
    return Starlette(routes=routes, middleware=[Middleware(Gate, rules=Rules(settings, lambda: store))])  # type: ignore[arg-type,return-value]


def ask(
    app: Starlette, path: str, peer: str = "127.0.0.1", host: str = "127.0.0.1", method: str = "GET", **headers: str
) -> Answer:
    raw = [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()]
    return Asgi(app, peer, host).ask(method, path, headers=raw)


def token(store: Store, *scopes: str, now: int | None = None, **said: Any) -> str:
    return tokens.create(store, "a name", scopes, who="ada", now=NOW if now is None else now, **said)[1]


# From where ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "localhost:8501", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:8501"])
def test_this_very_machine_is_let_in(host: str) -> None:
    app = guarded()
    peer = "::1" if host.startswith("[") else "127.0.0.1"
    for path in PATHS:
        assert ask(app, path, peer, host).json() == {"who": "this machine"}
    assert ask(app, "/", peer, host, Origin=f"http://{host}").status_code == 200


@pytest.mark.parametrize(("peer", "host", "headers"), ELSEWHERE)
def test_nobody_else_is_let_in_and_is_told_what_to_do(peer: str, host: str, headers: dict[str, str]) -> None:
    app = guarded()
    for path in (*PATHS, f"/api/v1/journals/{NAME}"):
        refused = ask(app, path, peer, host, **headers)
        assert refused.status_code == 403
        assert "[sign_in]" in refused.text
        assert "afterglow tokens create" in refused.text


@pytest.mark.parametrize(("peer", "host", "headers"), ELSEWHERE)
def test_a_websocket_from_elsewhere_is_closed_before_it_opens(peer: str, host: str, headers: dict[str, str]) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    assert Asgi(guarded(), peer, host).connect("/_stcore/stream", raw)[0]["type"] == "websocket.close"


@pytest.mark.parametrize("start", [uvicorn, streamlit_run])
def test_however_it_is_started_each_path_is_behind_the_gate(
    sqlite_url: str, tmp_path: Path, start: Callable[[int], list[str]]
) -> None:
    paths = ["/", "/index.html", "/_stcore/health", "/_stcore/host-config", "/_stcore/upload_file/a/b", "/media/a.png",
             "/static/js/x.js", "/auth/login", "/api/v1/runs/export?format=json"]  # fmt: skip
    port = free_port()
    with running_monitor(sqlite_url, tmp_path, command=start(port), port=port) as address:
        assert status(address, "/_stcore/stream", **UPGRADE) == 101
        assert status(address, "/_stcore/stream", **UPGRADE, Origin="http://localhost:9999") == 403
        assert status(address, "/api/v1/runs/export?format=json") == 200
        for headers in ({"Host": "evil.example"}, {"X-Forwarded-For": "192.0.2.7"}):
            assert [status(address, path, **headers) for path in paths] == [403] * len(paths)
            assert status(address, "/_stcore/stream", **UPGRADE, **headers) == 403


UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
           "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip


def status(address: str, path: str, **headers: str) -> int:
    with closing(HTTPConnection(urlsplit(address).netloc, timeout=30)) as connection:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status


def test_every_answer_says_what_a_browser_may_not_do() -> None:
    for answer in (ask(guarded(), "/"), ask(guarded(), "/", host="evil.example")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        policy = answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'self'" in policy
        assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]


# Tokens -------------------------------------------------------------------------------------------------------


def test_a_token_that_may_read_opens_what_programs_read_and_no_more(store: Store) -> None:
    app, shown = guarded(store), f"Bearer {token(store, 'read')}"
    for path in ("/api/v1/runs/export", "/api/v1/runs/a/files/b", "/api/v1/not-there-yet", "/metrics"):
        assert ask(app, path, "192.0.2.7", "afterglow.example", Authorization=shown).json() == {"who": "token a name"}
    for path in ("/", "/_stcore/health", "/media/a.png", f"/api/v1/journals/{NAME}"):
        assert ask(app, path, "192.0.2.7", "afterglow.example", Authorization=shown).status_code == 403
    assert ask(app, "/api/v1/runs", "192.0.2.7", method="POST", Authorization=shown).status_code == 403


def test_what_is_no_good_token_opens_nothing_wherever_it_comes_from(store: Store) -> None:
    app, good = guarded(store), token(store, "read")
    expired = token(store, "read", expires=NOW + 1)
    id_, revoked = tokens.create(store, "b", ["read"], who="ada", now=NOW)
    tokens.revoke(store, id_, who="ada", now=NOW)
    changed = good[:-1] + ("A" if good[-1] != "A" else "B")
    for shown in (
        expired,
        revoked,
        changed,
        good[:-1],
        good + "A",
        "afterglow_",
        "afterglow_000000000000_" + good[-43:],
    ):
        refused = ask(app, "/api/v1/runs/export", Authorization=f"Bearer {shown}")
        assert (refused.status_code, refused.headers["Www-Authenticate"]) == (401, "Bearer")
    with store.read() as conn:
        assert tokens.verified(conn, expired, now=NOW) is not None
        assert tokens.verified(conn, expired, now=NOW + 1) is None


def test_a_token_is_kept_as_a_hash_and_its_life_is_in_the_audit(store: Store) -> None:
    id_, shown = tokens.create(store, "nightly", ["read", "ingest:prod"], who="ada", now=NOW, expires=NOW + DAY)
    tokens.revoke(store, id_, who="grace", now=NOW + 5)
    tokens.revoke(store, id_, who="alan", now=NOW + 9)  # it is revoked already
    with store.read() as conn:
        whole = [str(value) for row in conn.execute(sa.select(access_token)) for value in row]
        [row] = tokens.listed(conn)
        done = [(each["action"], each["who"]) for each in audit.entries(conn)]
    assert not any(shown.split("_", 2)[2] in value for value in whole)
    assert (row["revoked_time"], row["revoked_by"], row["scopes"]) == (NOW + 5, "grace", ["read", "ingest:prod"])
    assert "token_hash" not in row
    assert done == [(audit.REVOKE_TOKEN, "grace"), (audit.CREATE_TOKEN, "ada")]
    with pytest.raises(NotFound, match="no token nix"):
        tokens.revoke(store, "nix", who="ada", now=NOW)


def test_when_a_token_was_last_used_is_known_to_the_minute(store: Store) -> None:
    shown = token(store, "read")
    used = []
    for now in (NOW, NOW + 59_000, NOW + 61_000):
        with store.read() as conn:
            found = tokens.verified(conn, shown, now=now)
        assert found is not None
        tokens.note_use(store, found, now=now)
        with store.read() as conn:
            used.append(tokens.listed(conn)[0]["used_time"])
    assert used == [NOW, NOW, NOW + 61_000]


@pytest.mark.parametrize(
    "scopes", [[], ["write"], ["ingest:"], ["ingest:a b"], ["ingest:../x"], ["ingest:a", "ingest:b"]]
)
def test_what_no_token_may_be_for_is_refused(store: Store, scopes: list[str]) -> None:
    with pytest.raises(BadScope):
        tokens.create(store, "x", scopes, who="ada", now=NOW)


def test_a_token_of_one_cluster_sends_no_journal_of_another(store: Store) -> None:
    app = guarded(store)
    prod, test, every = (f"Bearer {token(store, scope)}" for scope in ("ingest:prod", "ingest:test", "ingest:*"))
    asked = f"/api/v1/journals/{NAME}?offset="

    def put(offset: int, shown: str, body: bytes = b"{}\n") -> Answer:
        return Asgi(app, "192.0.2.7", "afterglow.example").ask("PUT", f"{asked}{offset}", [body], [
            (b"authorization", shown.encode())])  # fmt: skip

    assert put(0, prod).json() == {"offset": 3}
    assert put(3, test).status_code == 403
    assert ask(app, f"/api/v1/journals/{NAME}", "192.0.2.7", Authorization=test).status_code == 403
    assert put(3, every).json() == {"offset": 6}
    assert put(6, prod).json() == {"offset": 9}
    assert put(9, f"Bearer {token(store, 'read')}").status_code == 403
    with store.read() as conn:
        assert conn.scalar(sa.select(received_journal.c.cluster)) == "prod"


def test_the_shared_secret_of_the_collector_still_opens_it_and_nothing_else(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFTERGLOW_TEST_SECRET", "a-secret-that-is-long-enough")
    app = guarded(store, collector={"secrets": ["env:AFTERGLOW_TEST_SECRET"]})
    for shown, status in (("Bearer a-secret-that-is-long-enough", 200), ("Bearer wrong", 401), ("", 401)):
        got = ask(app, f"/api/v1/journals/{NAME}", "192.0.2.7", "afterglow.example", Authorization=shown)
        assert got.status_code == status
        refused = ask(app, "/api/v1/runs/export", "192.0.2.7", "afterglow.example", Authorization=shown)
        assert refused.status_code == 403
    assert ask(app, f"/api/v1/journals/{NAME}").status_code == 401  # from here too, since there is one


# People -------------------------------------------------------------------------------------------------------

SIGN_IN = {
    "provider": "https://login.example/x", "client_id": "a", "client_secret": "env:A_SECRET",
    "url": "https://m.example", "cookie_secret": "env:COOKIE_SECRET",
    "admins": ["Ops"], "editors": ["ml", "ada@example.com"], "viewers": ["guests"],
}  # fmt: skip
ADA = {"email": "Ada@Example.com", "iat": NOW / 1000, "preferred_username": "ada", "groups": ["guests"]}


def person(settings: dict[str, Any] | None = None, **claims: Any) -> Person | None:
    said = {name: value for name, value in {**ADA, **claims}.items() if value is not None}
    return person_of(said, SignInSettings.model_validate({**SIGN_IN, **(settings or {})}), now=NOW)


@pytest.mark.parametrize(
    ("claims", "settings", "role"),
    [
        ({}, {}, "editor"),  # by his name, whatever its case; the highest counts
        ({"groups": ["OPS", "guests"]}, {}, "admin"),
        ({"groups": "ops"}, {}, "admin"),  # some providers tell one group as a text
        ({"email": "x@y.z"}, {}, "viewer"),
        ({"email": "x@y.z", "groups": None}, {}, "viewer"),
        ({"email": "x@y.z", "groups": None}, {"default_role": "none"}, None),
        ({"email": "x@y.z", "groups": [{"admin": 1}, 7, None]}, {"default_role": "none"}, None),
        ({"email": None}, {}, None),
        ({"email": ["ada@example.com"]}, {}, None),
        ({"email_verified": False}, {}, None),
        ({"iat": None}, {}, None),
        ({"iat": NOW / 1000 - 12 * 3600}, {}, None),
        ({"iat": NOW / 1000 - 12 * 3600 + 1}, {}, "editor"),
        ({"iat": NOW / 1000 + 3600}, {}, None),
    ],
)
def test_a_role_comes_from_what_the_provider_says(
    claims: dict[str, Any], settings: dict[str, Any], role: str | None
) -> None:
    found = person(settings, **claims)
    assert (found and found.role) == role


def test_a_browser_is_let_in_by_the_cookie_of_its_sign_in_and_by_no_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COOKIE_SECRET", "the-key-of-the-server-0123456789")
    app, path = guarded(store, sign_in=SIGN_IN), "/api/v1/runs"
    claims = {**ADA, "iat": now_ms() / 1000, "origin": "https://m.example", "is_logged_in": True}
    good = cookie(claims)
    assert ask(app, path, Cookie=good).json() == {"who": "Ada@Example.com"}
    assert ask(app, "/media/x", "192.0.2.7", "m.example", Cookie=good, X_Forwarded_For="1.2.3.4").status_code == 200
    for bad in (
        "",
        good[:-2] + ("aa" if good[-2:] != "aa" else "bb"),
        cookie(claims, key="another-key-of-the-server-987654"),
        cookie({**claims, "origin": "https://other.example"}),
        cookie({**claims, "is_logged_in": False}),
        cookie({**claims, "iat": now_ms() / 1000 - 13 * 3600}),
        cookie(["no", "claims"]),
        f"{USER_COOKIE_NAME}=chunks-3",
    ):
        for closed in (path, "/media/x", "/_stcore/upload_file/a", "/_stcore/agent/openapi.json", "/metrics"):
            assert ask(app, closed, Cookie=bad).status_code == 401
        for frame in ("/", "/static/js/x.js", "/_stcore/health", "/auth/login", "/oauth2callback"):
            assert ask(app, frame, Cookie=bad).json() == {"who": "nobody"}
    assert ask(app, path, Authorization=f"Bearer {token(store, 'read')}").json() == {"who": "token a name"}


@pytest.mark.parametrize(("url", "secure"), [("https://m.example", True), ("http://localhost:8501", False)])
def test_a_cookie_of_a_server_that_is_reached_by_https_is_shown_to_nobody_without_it(url: str, secure: bool) -> None:
    app = guarded(sign_in={**SIGN_IN, "url": url})
    said = ask(app, "/healthz").headers["Set-Cookie"].split("; ")
    assert (said[0], "HttpOnly" in said, "Secure" in said) == ("a=b", True, secure)


def cookie(claims: Any, *, key: str = "the-key-of-the-server-0123456789") -> str:
    return f"{USER_COOKIE_NAME}={create_signed_value(key, USER_COOKIE_NAME, json.dumps(claims)).decode()}"


def test_with_a_sign_in_a_websocket_opens_for_a_page_of_monitor_alone() -> None:
    app = guarded(sign_in={**SIGN_IN, "cookie_secret": "file:/dev/zero/none"})
    for origin in ("https://evil.example", "null", "http://m.example"):
        opened = Asgi(app).connect("/_stcore/stream", [(b"origin", origin.encode())])
        assert opened[0]["type"] == "websocket.close"


def test_a_link_opens_what_it_was_signed_for_to_whom_and_for_minutes() -> None:
    ada, grace = person(), person(email="grace@example.com")
    assert ada is not None
    assert grace is not None
    address = "/api/v1/runs/a/files/b%20c.html?download=1"
    path, _, query = links.signed(address, ada, "key", now=NOW).partition("?")

    def opens(query: str = query, path: str = path, who: Person = ada, key: str = "key", now: int = NOW) -> bool:
        return links.is_good({"path": unquote(path), "query_string": query.encode()}, who, key, now=now)

    assert opens()
    assert opens(now=NOW + links.STEP_MS - 1)
    assert not opens(now=NOW + 2 * links.STEP_MS)
    assert not opens(who=grace)
    assert not opens(key="another")
    assert not opens(path="/api/v1/runs/a/files/d")
    assert not opens(query=query.replace("download=1", "download=2"))
    assert not opens(query=f"{query}&download=2")
    assert not opens(query=query.replace("link_until=1", "link_until=2"))
    assert not opens(query="")


def test_a_writer_is_not_made_for_who_may_only_see(store: Store) -> None:
    for kind in (Writer, Tagger, Linker, Settler, Registrar):
        with pytest.raises(CannotWrite, match="you may see here, but not write"):
            kind(store, "grace", lambda row: None, allowed=False)


def test_each_sees_what_the_rules_for_him_give() -> None:
    rules = [{"who": ["ML"], "experiments": ["churn-*"]}, {"who": ["*"], "own": True}, {"who": ["x"], "users": ["*"]}]
    settings = Settings.model_validate({"home": "/nowhere", "sign_in": SIGN_IN, "visible": rules})
    ada, ops = person(groups=["ml"]), person(groups=["ops"])
    own = Grant(users=("Ada@Example.com", "ada"))
    assert scope_of(ada, settings) == Scope((Grant(experiments=("churn-%",)), own))
    assert scope_of(person(), settings) == Scope((own,))
    assert scope_of(None, settings) == Scope()
    assert scope_of(ops, settings) is None
    assert scope_of(None, Settings(home=Path("/nowhere"))) is None
    assert of_request(settings) == Scope()  # where no gate has said what


# By command ---------------------------------------------------------------------------------------------------


def test_tokens_are_made_listed_and_revoked_by_command(afterglow_home: Path) -> None:
    def say(*words: str) -> str:
        done = CliRunner().invoke(cli, ["tokens", *words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    assert say("list") == "No token.\n"
    made = say("create", "nightly", "--scope", "read", "--days", "1").strip()
    assert tokens.looks_like_one(made)
    [row] = json.loads(say("list", "--json"))
    assert (row["name"], row["state"], row["scopes"], row["used_time"]) == ("nightly", "good", ["read"], None)
    assert made.split("_", 2)[2] not in say("list")
    say("revoke", row["id"])
    assert "revoked" in say("list")
    wrong = CliRunner().invoke(cli, ["tokens", "create", "x", "--scope", "admin"])
    assert (wrong.exit_code, "no scope" in wrong.output) == (1, True)


def test_up_on_an_address_of_others_starts_only_if_somebody_can_show_who_he_is(afterglow_home: Path) -> None:
    command = [sys.executable, "-m", "afterglow_monitor.cli", "up", "--address", "0.0.0.0", "--port", "1"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1
    assert "[sign_in]" in refused.stderr
    assert "afterglow tokens create" in refused.stderr
    assert "Traceback" not in refused.stderr
