"""What Afterglow tells of itself: probes, metrics, logs."""

import json
import logging
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from afterglow_monitor.cli import COMMANDS
from afterglow_monitor.cli.alerts import alerts
from afterglow_monitor.cli.db import db
from afterglow_monitor.clock import now_ms
from afterglow_monitor.running import logs, metrics, probes
from afterglow_monitor.running.background import Jobs
from afterglow_monitor.running.measured import PAGES, REGISTRY, REQUESTS, SECONDS, route_of
from afterglow_monitor.running.worker import schedule
from afterglow_monitor.settings import LogSettings, load_settings
from afterglow_store import Store, ingest_file, leases, open_store, tokens
from afterglow_store.engine import connect
from afterglow_store.errors import StoreUnreachable
from afterglow_store.received import Chunk, receive
from afterglow_store.report import report
from afterglow_store.schema import background_job
from tests.support.journals import Journal
from tests.support.monitor import answers, running_monitor
from tests.support.parts import ROOT
from tests.support.tracking import free_port

START = 1_790_000_000_000
NAME = "0b5e8c0e-8f5b-4f5e-9d57-3f2f3c7e1a55"


def test_is_ready_while_a_worker_beats_and_not_when_it_has_stopped(store: Store) -> None:
    assert probes.checks(lambda: store) == {
        "store": "ok", "schema": "ok", "worker": "no worker has ever said that it lives",
    }  # fmt: skip
    leases.renew(store, {"judge": leases.Note("judge")}, holder="one", host="h")
    assert set(probes.checks(lambda: store).values()) == {"ok"}
    with store.write() as conn:
        conn.execute(sa.update(background_job).values(until=background_job.c.until - 90_000))
    assert re.fullmatch(r"no worker has said for 9\d s that it lives", probes.checks(lambda: store)["worker"])


def test_is_not_ready_on_a_schema_of_another_version_or_without_a_store(store: Store) -> None:
    with store.write() as conn:
        conn.execute(sa.text("UPDATE alembic_version SET version_num = '0014'"))
    assert "the store is at 0014, this Afterglow needs" in probes.checks(lambda: store)["schema"]

    def gone() -> Store:
        raise StoreUnreachable("postgresql://me@secret-host/db does not answer")

    assert probes.checks(gone) == {"store": "it does not answer", "schema": "unknown", "worker": "unknown"}


def asked(address: str, path: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(address + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read().decode()


def test_a_server_tells_how_it_is_on_the_port_of_its_pages(
    sqlite_url: str, tmp_path: Path, afterglow_home: Path
) -> None:
    with closing(open_store(sqlite_url)) as store, running_monitor(sqlite_url, tmp_path) as address:
        assert asked(address, "/healthz") == (200, '{"process":"ok"}')
        status, said = asked(address, "/readyz")
        assert (status, json.loads(said)["worker"]) == (503, "no worker has ever said that it lives")
        leases.renew(store, {"judge": leases.Note("judge")}, holder="one", host="h")
        assert asked(address, "/readyz")[0] == 200
        status, text = asked(address, "/metrics")
        assert status == 200
        assert asked(address, "/metrics", **{"X-Forwarded-For": "10.1.1.1"})[0] == 403
    found = {sample.name: sample for family in text_string_to_metric_families(text) for sample in family.samples}
    assert found["afterglow_store_up"].value == 1
    assert found["afterglow_store_bytes"].value > 100_000
    assert found["afterglow_job_held"].labels == {"job": "judge"}
    assert 'afterglow_requests_total{method="GET",route="probes",status="503"} 1.0' in text


def test_metrics_say_so_when_the_store_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> Store:
        raise StoreUnreachable("away")

    monkeypatch.setattr(probes, "store", gone)
    assert "afterglow_store_up 0.0" in metrics._exposed().decode()


def test_metrics_are_told_elsewhere_to_who_shows_a_token_and_probes_to_anyone(sqlite_url: str, tmp_path: Path) -> None:
    with closing(open_store(sqlite_url)) as store:
        _, token = tokens.create(store, "prometheus", ["read"], who="me", now=now_ms())
    elsewhere = {"X-Forwarded-For": "10.1.1.1"}
    with running_monitor(sqlite_url, tmp_path) as address:
        assert asked(address, "/metrics", **elsewhere)[0] == 403
        assert asked(address, "/metrics", Authorization=f"Bearer {token}", **elsewhere)[0] == 200
        assert asked(address, "/healthz", **elsewhere)[0] == 200


def test_the_report_tells_what_waits_what_was_lost_and_how_far_behind_it_is(store: Store, tmp_path: Path) -> None:
    now = now_ms()
    journal = Journal(tmp_path, "app-1", name="train", start=now - 60_000).progress(dropped=3)
    with journal.path.open("a") as file:
        file.write("no json\n")
    ingest_file(store, journal.path, now=now)
    receive(store, NAME, Chunk(0, 5, "identity", b"12345"), now=now)
    receive(store, NAME, Chunk(5, 2, "identity", b"67"), now=now)
    listening = leases.Note("received", listens=True)
    leases.renew(store, {"received": listening}, holder="one", host="h")
    looked = leases.Note("received", listens=True, looked=now - 4_000, first_looked=now - 9_000)
    leases.renew(store, {"received": looked}, holder="one", host="h")
    with store.read() as conn:
        found = report(conn, now=now)
    assert (found["chunks"], found["chunk_bytes"], found["lost_events"], found["bad_lines"]) == (2, 7, 3, 1)
    assert [each["lag_ms"] for each in found["jobs"]] == [4_000]
    values = metrics.measured(found)
    assert set(values) == set(metrics.FROM_STORE)
    assert values["afterglow_ingest_lag_seconds"] == [(("received",), 4.0)]


def test_a_worker_does_its_jobs_and_says_so(store_url: str, tmp_path: Path) -> None:
    settings = load_settings({"AFTERGLOW_HOME": str(tmp_path), "AFTERGLOW_STORE_URL": store_url})
    store = open_store(store_url)
    jobs = Jobs(store)
    scheduler = schedule(store, settings, jobs)
    jobs.renew()
    for name in (f"journals {tmp_path}/journal", "received", "judge"):
        scheduler.get_job(name).func()
    jobs.renew()
    with store.read() as conn:
        found = {row["title"]: row for row in leases.jobs(conn)}
    store.close()
    assert {name for name, row in found.items() if row["times"] == 1} == {
        f"journals {tmp_path}/journal", "journals received", "judge",
    }  # fmt: skip
    received = found["journals received"]
    assert received["looked"] == received["first_looked"] == received["began_time"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_line_of_the_log_has_no_secret(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "afterglow.toml").write_text(
        f"[log]\nformat = '{form}'\n[[mlflow]]\nname='a'\nuri='http://h'\ncredentials='env:TEAM'"
    )
    monkeypatch.setenv("TEAM", "me:very-secret")
    settings = load_settings({"AFTERGLOW_HOME": str(tmp_path)})
    formatter = logs.formatter(settings.log, "worker", logs.secrets_of(settings))
    failure = ValueError("401 for http://you:pass@h/x with me:very-secret")
    trace = (ValueError, failure, None)
    line = formatter.format(logging.LogRecord("afterglow", logging.ERROR, "", 1, "at %s", ("ftp://u:pw@h",), trace))
    assert "ftp://***@h" in line
    assert not re.search("pass@|very-secret|u:pw", line)
    if form == "json":
        said = json.loads(line)
        assert (said["level"], said["process"], said["logger"]) == ("error", "worker", "afterglow")
        assert "ValueError: 401 for http://***@h/x with ***" in said["exception"]


def test_each_line_of_a_server_in_json_is_an_object(afterglow_home: Path) -> None:
    afterglow_home.mkdir()
    (afterglow_home / "afterglow.toml").write_text("[log]\nformat = 'json'\nlevel = 'debug'")
    port = free_port()
    command = [sys.executable, "-m", "afterglow_monitor.cli", "up", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as server:
        try:
            deadline = time.monotonic() + 120
            while not answers(f"http://127.0.0.1:{port}"):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            asked(f"http://127.0.0.1:{port}", "/api/v1/runs/export?format=json")  # Streamlit warns of that
        finally:
            server.terminate()
            _, errors = server.communicate(timeout=60)
    said = [json.loads(line) for line in errors.splitlines()]
    assert any(each["message"].startswith("worker") for each in said)
    assert {each["process"] for each in said} == {"web", "worker"}
    assert [each for each in said if "No runtime found" in each["message"]] == []  # Streamlit's, thirty of them


def test_requests_are_counted_by_what_they_are_for_and_by_nothing_that_a_stranger_can_make_up() -> None:
    assert [route_of(path) for path in ("/", "/api/v1/journals/x", "/api/v1/runs/export", "/readyz", "/x/" * 9)] == [
        "pages", "collector", "api", "probes", "pages",
    ]  # fmt: skip
    assert {family.name for family in REGISTRY.collect()} == {
        "afterglow_requests", "afterglow_request_seconds", "afterglow_open_pages",
    }  # fmt: skip


def test_an_unknown_format_of_the_log_is_refused() -> None:
    with pytest.raises(ValueError, match="'text' or 'json'"):
        LogSettings.model_validate({"format": "xml"})


def test_a_schema_that_is_not_there_is_not_made_by_asking(sqlite_url: str) -> None:
    with closing(connect(sqlite_url)) as empty:
        assert "the store is at none" in probes.checks(lambda: empty)["schema"]


def test_the_table_of_metrics_is_what_is_told() -> None:
    table = (ROOT / "docs" / "operate.md").read_text().partition("| Metric |")[2].partition("\n\n")[0]
    told = [
        f"| {name}{'_total' * (name in metrics.COUNTERS)} | {', '.join(labels)} | {help_} |"
        for name, (help_, labels) in metrics.FROM_STORE.items()
    ]
    for family in (REQUESTS, SECONDS, PAGES):
        [said] = family.describe()
        name, of = said.name + "_total" * (said.type == "counter"), ", ".join(family._labelnames)
        told.append(f"| {name} | {of} | {said.documentation} |")
    assert table.splitlines()[2:] == told


def test_each_command_that_the_page_names_is_there() -> None:
    page = (ROOT / "docs" / "operate.md").read_text()
    named = set(re.findall(r"afterglow (db|alerts) ([a-z]+)", page))
    assert len(named) == 6
    assert {(group, name) for group, name in named if name not in {"db": db, "alerts": alerts}[group].commands} == set()
    assert set(re.findall(r"`afterglow ([a-z-]+)", page)) <= set(COMMANDS)
