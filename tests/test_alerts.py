"""Alerts: what rules ask for is told once, at real webhooks and a real mail server, and nothing of the past."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import pytest
import sqlalchemy as sa

from afterglow_monitor.errors import BadSettings
from afterglow_monitor.running.alerts import Alerts
from afterglow_monitor.running.worker import schedule
from afterglow_monitor.settings import AlertRule, MlflowServer, MonitorSettings, Settings, load_settings
from afterglow_store import Store, alerts, ingest_file, leases, open_store, tracking
from afterglow_store.judge import judge
from afterglow_store.runs import refresh_sums, take_in_run
from afterglow_store.schema import alert, alert_rule
from tests.support.journals import Journal, run_id_of
from tests.support.parts import ROOT
from tests.support.places import Webhook, mail_server, webhook

NOW = 1_790_000_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
HOOK = "env:ALERT_HOOK"


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with webhook() as found:
        monkeypatch.setenv("ALERT_HOOK", found.address)
        yield found


def rule(when: str, **more: Any) -> AlertRule:
    return AlertRule.model_validate({"name": when, "when": when, "to": [HOOK], "quiet_minutes": 0, **more})


def watching(store: Store, *rules: AlertRule, home: Path = Path("/nowhere"), since: int = NOW) -> Alerts:
    """A worker that begins to watch at `since`."""
    mlflow = (MlflowServer(name="team", uri="http://h"),)
    monitor = MonitorSettings(url="https://monitor.example.com/")
    found = Alerts(store, Settings(home=home, mlflow=mlflow, monitor=monitor, alerts=rules))
    found.look_and_tell(since)
    return found


def put_run(store: Store, name: str, status: str, end: int | None, *, now: int, **more: Any) -> None:
    details = {
        "run_id": run_id_of(name), "run_name": name, "experiment_id": "1", "experiment_name": "churn", "status": status,
        "start_time": (end or now) - MINUTE, "end_time": end, "user": "ada", "lifecycle_stage": "active", "params": {},
        "metrics": {}, "tags": {}, "source_name": "x.py", "source_type": "LOCAL", "artifact_uri": "", **more,
    }  # fmt: skip
    with store.write() as conn:
        take_in_run(conn, details, server="team", tracking_uri="http://h", as_of=now)
        refresh_sums(conn, [run_id_of(name)])


def titles(hook: Webhook) -> list[str]:
    return [each["title"] for each in hook.got]


def test_a_run_that_fails_is_told_once_with_what_where_and_why(store: Store, hook: Webhook, tmp_path: Path) -> None:
    worker = watching(store, rule("run failed"))
    journal = Journal(tmp_path, "app-1", name="train", start=NOW + MINUTE)
    run = journal.run_start(run_id_of("x"), "boosting")
    journal.job(run["run_id"], error="Job aborted: no room")
    journal.run_end(run, "FAILED")
    ingest_file(store, journal.path, now=NOW + 2 * MINUTE)
    for later in range(3):
        worker.look_and_tell(NOW + (2 + later) * MINUTE)
    watching(store, rule("run failed"), since=NOW + 9 * MINUTE)  # started again
    [said] = hook.got
    assert said["title"] == "[run failed] Run failed: boosting"
    assert said["message"].splitlines() == [
        "Run failed: boosting",
        f"Experiment wine-quality, server http://127.0.0.1:5000, run {run_id_of('x')}",
        "Job aborted: no room",
        f"https://monitor.example.com/?page=run&id={run_id_of('x')}",
    ]


def test_nothing_of_the_past_is_told_at_first_start_nor_when_it_is_backfilled(store: Store, hook: Webhook) -> None:
    put_run(store, "before", "FAILED", NOW - MINUTE, now=NOW)
    worker = watching(store, rule("run failed"))
    worker.look_and_tell(NOW + 2 * DAY)
    put_run(store, "backfilled", "FAILED", NOW + DAY, now=NOW + 2 * DAY)
    worker.look_and_tell(NOW + 2 * DAY + MINUTE)
    assert hook.got == []
    put_run(store, "now", "FAILED", NOW + 2 * DAY, now=NOW + 2 * DAY)
    worker.look_and_tell(NOW + 2 * DAY + 2 * MINUTE)
    assert titles(hook) == ["[run failed] Run failed: now"]


def test_what_failed_while_no_server_was_up_is_told_once_it_is_known(store: Store, hook: Webhook) -> None:
    listening = leases.Note("received", listens=True)
    worker = watching(store, rule("run failed"))
    with store.write() as conn:
        tracking.know_server(conn, "team", "http://h", [])
        tracking.synced(conn, "team", NOW)
        tracking.note_progress(conn, "team", loaded_time=NOW)
    worker.look_and_tell(NOW + MINUTE)
    leases.renew(store, {"received": listening}, holder="one", host="h")  # two days later, and not yet at work
    worker.look_and_tell(NOW + 2 * DAY)
    put_run(store, "meanwhile", "FAILED", NOW + DAY, now=NOW + 2 * DAY)
    worker.look_and_tell(NOW + 2 * DAY + MINUTE)
    assert titles(hook) == ["[run failed] Run failed: meanwhile"]


def test_two_servers_at_once_tell_an_event_once(store: Store, hook: Webhook) -> None:
    first, second = watching(store, rule("run failed")), watching(store, rule("run failed"))
    put_run(store, "x", "FAILED", NOW + MINUTE, now=NOW + MINUTE)
    first.look(NOW + MINUTE)
    second.look(NOW + MINUTE)
    claimed = alerts.claim(store, {"run failed": 0}, now=NOW + MINUTE)
    assert alerts.claim(store, {"run failed": 0}, now=NOW + MINUTE) == []
    assert [len(each.rows) for each in claimed] == [1]


def test_who_is_killed_while_it_tells_leaves_it_to_another_after_two_minutes(store: Store, hook: Webhook) -> None:
    worker = watching(store, rule("run failed"))
    put_run(store, "x", "FAILED", NOW + MINUTE, now=NOW + MINUTE)
    worker.look(NOW + MINUTE)
    alerts.claim(store, {"run failed": 0}, now=NOW + MINUTE)
    worker.tell(NOW + 2 * MINUTE)
    assert hook.got == []
    worker.tell(NOW + 3 * MINUTE)
    worker.tell(NOW + 9 * MINUTE)
    assert titles(hook) == ["[run failed] Run failed: x"]


def test_what_a_place_does_not_take_is_tried_again_later_each_time_and_given_up(store: Store, hook: Webhook) -> None:
    worker = watching(store, rule("run failed"))
    put_run(store, "x", "FAILED", NOW + MINUTE, now=NOW + MINUTE)
    hook.answers = [500] * 3
    at = NOW + MINUTE
    pauses = []
    for _ in range(3):
        worker.look_and_tell(at)
        with store.read() as conn:
            [row] = alerts.latest(conn, limit=5)
        assert (row["state"], "500" in row["error"], "secret" in row["error"]) == ("waiting", True, False)
        pauses.append(row["next_time"] - at)
        worker.tell(row["next_time"] - 1)
        at = row["next_time"]
    assert hook.got == []
    assert pauses == [10_000, 20_000, 40_000]
    worker.tell(at)
    assert titles(hook) == ["[run failed] Run failed: x"]
    with store.write() as conn:
        conn.execute(sa.update(alert).values(state="waiting", attempts=alerts.ATTEMPTS - 1))
    hook.answers = [500]
    worker.tell(at + HOUR)
    worker.tell(at + DAY)
    with store.read() as conn:
        assert alerts.latest(conn, limit=1)[0]["state"] == "given up"
    assert len(hook.got) == 1


def test_one_place_that_does_not_answer_keeps_no_other_waiting(
    store: Store, hook: Webhook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "down").write_text("json://127.0.0.1:1/\n")
    worker = watching(store, rule("run failed", to=[f"file:{tmp_path}/down", "env:NOT_THERE", HOOK]))
    put_run(store, "x", "FAILED", NOW + MINUTE, now=NOW + MINUTE)
    worker.look_and_tell(NOW + MINUTE)
    assert titles(hook) == ["[run failed] Run failed: x"]
    with store.read() as conn:
        states = {row["target"].rpartition("/")[2]: row["state"] for row in alerts.latest(conn, limit=5)}
    assert states == {"down": "waiting", "env:NOT_THERE": "waiting", HOOK: "sent"}


def test_what_happens_in_the_quiet_period_is_one_message_at_its_end(store: Store, hook: Webhook) -> None:
    worker = watching(store, rule("run failed", quiet_minutes=10))
    for number in range(31):
        put_run(store, f"run {number}", "FAILED", NOW + MINUTE + number, now=NOW + MINUTE)
        worker.look_and_tell(NOW + MINUTE + number * 1_000)
    assert titles(hook) == ["[run failed] Run failed: run 0"]
    worker.look_and_tell(NOW + 11 * MINUTE)
    assert titles(hook)[1:] == ["[run failed] 30 events"]
    assert "Run failed: run 1\n" in hook.got[1]["message"]
    assert hook.got[1]["message"].endswith("and 10 more")


def ends(folder: Path, name: str, start: int, *, minutes: float, error: str | None = None) -> Path:
    return Journal(folder, f"app-{start}", name=name, start=start).wait(60 * minutes).end(error)


def test_applications_that_fail_are_lost_or_take_longer_are_told(store: Store, hook: Webhook, tmp_path: Path) -> None:
    worker = watching(store, rule("application failed"), rule("application lost"), rule("series anomaly"))
    for day in range(1, 7):
        ingest_file(store, ends(tmp_path, "nightly", NOW - day * DAY, minutes=5), now=NOW)
    silent = Journal(tmp_path, "app-silent", name="silent", start=NOW + MINUTE)
    for path in (
        silent.path,
        ends(tmp_path, "broken", NOW + MINUTE, minutes=1, error="ValueError: odd"),
        ends(tmp_path, "nightly", NOW + 2 * MINUTE, minutes=5),
    ):
        ingest_file(store, path, now=NOW + 9 * MINUTE)
    worker.look_and_tell(NOW + 9 * MINUTE)
    assert titles(hook) == ["[application failed] Application failed: broken"]
    ingest_file(store, ends(tmp_path, "nightly", NOW + 3 * MINUTE, minutes=25), now=NOW + 30 * MINUTE)
    with store.write() as conn:
        judge(conn, now=NOW + 30 * MINUTE, server_started=0, grace_ms=120_000)
    worker.look_and_tell(NOW + 30 * MINUTE)
    worker.look_and_tell(NOW + 31 * MINUTE)
    assert sorted(titles(hook)[1:]) == [
        "[application lost] Application lost: silent",
        "[series anomaly] Application took longer than expected: nightly",
    ]
    longer = next(each for each in hook.got if "anomaly" in each["title"])
    assert "it took 25 min 00 s, expected were up to 5 min 30 s" in longer["message"]
    assert f"?page=application&id=app-{NOW + 3 * MINUTE}&start={NOW + 3 * MINUTE}" in longer["message"]


def test_runs_that_are_orphaned_or_suspect_are_told(store: Store, hook: Webhook, tmp_path: Path) -> None:
    worker = watching(store, rule("run orphaned"), rule("run suspect"))
    for number, start in enumerate((NOW - 3 * DAY, NOW + MINUTE)):  # the first is of the past
        journal = Journal(tmp_path, f"app-{number}", name="train", start=start)
        journal.run_start(run_id_of(f"open {number}"), f"open {number}")
        ingest_file(store, journal.end("ValueError: died"), now=NOW + 2 * MINUTE)
    worker.look_and_tell(NOW + 3 * MINUTE)
    assert titles(hook) == ["[run orphaned] Run orphaned: open 1"]
    assert "its driver is gone: application app-1 is FAILED" in hook.got[0]["message"]
    journal = Journal(tmp_path, "app-2", name="train", start=NOW + 4 * MINUTE)
    run = journal.run_start(run_id_of("ended at exit"), "ended at exit")
    journal.run_end(run, at_exit=True)
    ingest_file(store, journal.end("ValueError: died"), now=NOW + 5 * MINUTE)
    worker.look_and_tell(NOW + 6 * MINUTE)
    assert titles(hook)[1:] == ["[run suspect] Run suspect: ended at exit"]


def test_a_metric_past_its_threshold_is_told_of_the_runs_that_the_filter_chooses(store: Store, hook: Webhook) -> None:
    loss = rule("metric", metric="val loss", above=0.5, filter="tags.team = 'a' OR run_name = 'odd'")
    worker = watching(store, loss)
    for name, value, team, status in (
        ("high", 0.9, "a", "RUNNING"), ("low", 0.4, "a", "FINISHED"), ("others", 0.9, "b", "FINISHED"),
        ("odd", 0.6, "b", "FINISHED"),
    ):  # fmt: skip
        end = None if status == "RUNNING" else NOW + MINUTE
        put_run(store, name, status, end, now=NOW + MINUTE, metrics={"val loss": value}, tags={"team": team})
    worker.look_and_tell(NOW + MINUTE)
    put_run(store, "high", "FINISHED", NOW + 2 * MINUTE, now=NOW + 2 * MINUTE, metrics={"val loss": 0.9})
    worker.look_and_tell(NOW + 2 * MINUTE)
    assert titles(hook) == ["[metric] 2 events"]
    assert "val loss = 0.9, above 0.5" in hook.got[0]["message"]


def test_a_tracking_server_that_does_not_answer_is_told_once_each_time(store: Store, hook: Webhook) -> None:
    worker = watching(store, rule("tracking server unreachable"))

    def synced(at: int, error: str | None) -> None:
        with store.write() as conn:
            tracking.synced(conn, "team", at, error)
        worker.look_and_tell(at)

    with store.write() as conn:
        tracking.know_server(conn, "team", "http://h", [])
    for at, error in ((0, None), (30, "down"), (90, "down"), (120, "down"), (150, None), (180, "gone"), (240, "gone")):
        synced(NOW + at * 1_000, error)
    assert titles(hook) == ["[tracking server unreachable] Tracking server does not answer: team"] * 2
    assert ["down" in each["message"] for each in hook.got] == [True, False]


def test_a_mail_has_it_as_plain_text_whatever_a_run_is_called(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = "<script>alert(1)</script>\r\nBcc: everyone@example.com"
    with mail_server() as mails:
        monkeypatch.setenv(
            "ALERT_HOOK", f"mailto://127.0.0.1:{mails.port}?from=a@example.com&to=b@example.com&format=text"
        )
        worker = watching(store, rule("run failed"))
        put_run(store, hostile, "FAILED", NOW + MINUTE, now=NOW + MINUTE)
        worker.look_and_tell(NOW + MINUTE)
        [mail] = mails.got
    assert mail["Subject"] == "[run failed] Run failed: <script>alert(1)</script> Bcc: everyone@example.com"
    assert mail["Bcc"] is None
    assert "b@example.com" in mail["To"]
    assert mail.get_content_type() == "text/plain"
    assert "Run failed: <script>alert(1)</script> Bcc: everyone@example.com" in mail.get_content()


def test_what_is_asked_of_the_store_goes_through_indexes(sqlite_url: str) -> None:
    plans: list[str] = []
    with closing(open_store(sqlite_url)) as store, store.read() as conn:

        @sa.event.listens_for(store.engine, "before_cursor_execute")
        def explain(own: sa.Connection, _: object, statement: str, values: Any, *__: object) -> None:
            raw = own.connection.dbapi_connection
            assert raw is not None
            plans.extend(row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", values))

        for status in ("FAILED", "FINISHED", "ORPHANED", "RUNNING"):
            alerts.runs(conn, "r", status, since=NOW, filter="metrics.x > 0.5", now=NOW)
        alerts.applications(conn, "r", ["FAILED"], since=NOW)
        alerts.applications(conn, "r", ["LOST"], since=NOW)
    assert [plan for plan in plans if plan.startswith("SCAN")] == []
    assert sum("ix_run_end_time" in plan for plan in plans) == 2
    assert any("ix_application_status_end_time" in plan for plan in plans)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("when = 'run failed'\nto = ['json://h/secret']", r"alerts\.0\.to: give env:NAME or file:PATH"),
        ("when = 'often'\nto = ['env:X']", r"alerts\.0\.when = 'often'"),
        ("when = 'run failed'\nto = []", r"alerts\.0\.to"),
        ("when = 'metric'\nto = ['env:X']\nmetric = 'x'", "belongs to when = 'metric'"),
        ("when = 'run failed'\nto = ['env:X']\nabove = 1", "belongs to when = 'metric'"),
        ("when = 'application lost'\nto = ['env:X']\nfilter = 'linked = true'", "application lost is of none"),
        ("when = 'run failed'\nto = ['env:X']\nfilter = 'metrics.x >> 1'", r"filter: .*\(at character"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused_and_no_address_told(tmp_path: Path, said: str, message: str) -> None:
    (tmp_path / "afterglow.toml").write_text(f"[[alerts]]\nname = 'a'\n{said}")
    with pytest.raises(BadSettings, match=message) as raised:
        load_settings({"AFTERGLOW_HOME": str(tmp_path)})
    assert "secret" not in str(raised.value)


def command(home: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "afterglow_monitor.cli", "alerts", *arguments],
        env={**os.environ, "AFTERGLOW_HOME": str(home), **environ},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_the_command_tries_whether_it_arrives_and_lists_what_was_told(tmp_path: Path, hook: Webhook) -> None:
    rules = "".join(
        f"[[alerts]]\nname='{n}'\nwhen='run failed'\nto=['env:{to}']\n"
        for n, to in (("a", "ALERT_HOOK"), ("b", "NONE"))
    )
    (tmp_path / "afterglow.toml").write_text(rules)
    done = command(tmp_path, "test", "a")
    assert (done.returncode, done.stdout) == (0, "a to env:ALERT_HOOK: sent\n")
    assert titles(hook) == ["[a] This is a test of the rule a (run failed)."]
    done = command(tmp_path, "test")
    assert (done.returncode, "there is no NONE in the environment" in done.stderr) == (1, True)
    assert "no [[alerts]] named 'c'" in command(tmp_path, "test", "c").stderr
    with closing(open_store(f"sqlite:///{tmp_path}/store.db")) as store:
        alerts.note(store, "a", ["env:X"], [alerts.Event("1", NOW, "Run failed: x\nwhere")], now=NOW)
    assert "waiting   a to env:X: Run failed: x\n" in command(tmp_path, "list").stdout


def test_the_worker_looks_for_alerts_where_there_are_rules(store_url: str, hook: Webhook, tmp_path: Path) -> None:
    (tmp_path / "afterglow.toml").write_text("[[alerts]]\nname='a'\nwhen='run failed'\nto=['env:ALERT_HOOK']")
    settings: Mapping[str, str] = {"AFTERGLOW_HOME": str(tmp_path), "AFTERGLOW_STORE_URL": store_url}
    with closing(open_store(store_url)) as store:
        assert schedule(store, load_settings(settings)).get_job("alerts") is not None
        (tmp_path / "afterglow.toml").write_text("")
        assert schedule(store, load_settings(settings)).get_job("alerts") is None
        with store.read() as conn:
            assert conn.scalar(sa.select(sa.func.count()).select_from(alert_rule)) == 0


def test_the_page_lists_each_kind_of_event() -> None:
    table = (ROOT / "docs" / "operate.md").read_text().partition("| When | Of |")[2].partition("\n\n")[0]
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == list(
        get_args(AlertRule.model_fields["when"].annotation)
    )


def test_the_shipped_file_shows_every_setting_of_a_rule() -> None:
    text = (ROOT / "conf" / "afterglow.toml").read_text().partition("# [[alerts]]")[2].partition("\n\n")[0]
    shown = tomllib.loads("\n".join(line.removeprefix("# ") for line in text.splitlines()))
    assert set(shown) == set(AlertRule.model_fields)
