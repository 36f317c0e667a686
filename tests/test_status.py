"""The true status: what a crash, a silence or an exit leaves of applications and runs, and how each is taken back."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import orjson
import pytest

from afterglow.events import RunEvent
from afterglow.spark import Application
from afterglow_monitor.collecting import journals
from afterglow_monitor.collecting.journals import Tail
from afterglow_monitor.running.worker import judge_silence
from afterglow_monitor.settings import Settings, StatusSettings
from afterglow_store import (
    Query,
    Store,
    ingest_file,
    search_applications,
    search_runs,
    search_runs_of_unknown_owner,
)
from afterglow_store.judge import judge
from afterglow_store.links import add_links
from afterglow_store.runs import refresh_sums, take_in_run
from afterglow_store.status import OWNER_UNKNOWN
from tests.support.journals import TRACKING_URI, Journal

START = 1_790_000_000_000  # by the driver's clock, which is hours off the server's
NOON = 1_790_078_400_000 - 1_790_078_400_000 % 86_400_000 + 43_200_000  # by the server's: 2026-09-22 12:00:00 UTC
GRACE = 120
RUN = "a" * 32


class Driver(Journal):
    """A driver's journal, whose lines come one at a time."""

    def beat(self) -> None:
        self._write("AfterglowHeartbeat", Timestamp=self.clock, Dropped=0)

    def exits(self, error: str | None = None) -> None:
        self._write("AfterglowDriverEnd", Timestamp=self.clock, Application=self.application,
                    Outcome="exception" if error else "clean", Error=error)  # fmt: skip

    def spark_ends(self) -> None:
        self._write("SparkListenerApplicationEnd", Timestamp=self.clock)

    def context_dies(self) -> None:
        self._write("AfterglowContextDeath", Timestamp=self.clock, Application=self.application,
                    Error="its JVM died under its Python driver")  # fmt: skip

    def resume(self, run: dict[str, Any]) -> None:
        self._run_event("AfterglowRunStart", run | {"_source": "resumed"})

    def log_to(self, run: dict[str, Any]) -> None:
        self._run_event("AfterglowRunStart", run | {"_source": "client"}, **{"Only Logged": True})

    def goes_on_alone(self) -> "Driver":
        """The hook's own journal of the same application, once the listener is gone with its JVM."""
        own = Driver(self.path.parent.with_name("own"), "local-1", name="train", start=START)
        head = {"Event": "AfterglowJournalStart", "Writer": "hook", "Application": self.application}
        own.path.write_bytes(orjson.dumps(head) + b"\n")
        return own


class Client:
    """The own journal of a Spark Connect client of `server`'s application."""

    def __init__(self, server: Journal, name: str = "session-1") -> None:
        self.path = server.path.with_name(f"{uuid5(NAMESPACE_URL, name)}.jsonl")
        self.server = server
        self._write("AfterglowJournalStart", Writer="hook", Application=server.application, **{"Connect Session": name})

    def start(self, run: str, *, at: int = 0) -> dict[str, Any]:
        details = {"run_id": run, "run_name": "of a client", "experiment_id": "1", "status": "RUNNING",
                   "start_time": START, "tags": {"spark.app.id": self.server.application["App ID"],
                                                 "spark.app.startTime": str(START)}}  # fmt: skip
        self._run("AfterglowRunStart", details, at)
        return details

    def end(self, run: dict[str, Any], *, at: int = 0, at_exit: bool = False) -> None:
        self._run("AfterglowRunEnd", run | {"status": "FINISHED"}, at, **({"At Exit": True} if at_exit else {}))

    def beat(self) -> None:
        self._write("AfterglowHeartbeat", Dropped=0)

    def exits(self, error: str | None = None) -> None:
        self._write("AfterglowDriverEnd", Outcome="exception" if error else "clean", Error=error)

    def _run(self, event: str, run: dict[str, Any], at: int, **more: Any) -> None:
        ids = {"Run ID": run["run_id"], "Tracking URI": TRACKING_URI}
        self._write(event, Run=run, Source="tag", **ids, **{"Timestamp": START + at, **more})

    def _write(self, event: str, **fields: Any) -> None:
        with self.path.open("ab") as file:
            file.write(orjson.dumps({"Event": event, "Timestamp": START, **fields}) + b"\n")


class Server:
    """The store's side: what it takes in, and when by its own clock, in seconds after noon."""

    def __init__(self, store: Store, *, started: int = 0) -> None:
        self.store, self.started = store, started

    def hear(self, *journals: Journal | Client, at: int) -> None:
        for journal in journals:
            ingest_file(self.store, journal.path, now=NOON + at * 1000)

    def judge(self, *, at: int) -> int:
        with self.store.write() as conn:
            started = NOON + self.started * 1000
            return judge(conn, now=NOON + at * 1000, server_started=started, grace_ms=GRACE * 1000)

    def sync(self, run: dict[str, Any], **changes: Any) -> None:
        """What MLflow says of a run, as its sync takes it in."""
        with self.store.write() as conn:
            take_in_run(conn, run | changes, server="s", tracking_uri=TRACKING_URI, as_of=START + 900_000)
            refresh_sums(conn, [run["run_id"]])

    def application(self, app_id: str = "local-1") -> dict[str, Any]:
        with self.store.read() as conn:
            return search_applications(conn, Query(app=app_id)).rows[0]

    def status(self, app_id: str = "local-1") -> tuple[str, str | None]:
        row = self.application(app_id)
        return row["status"], row["status_reason"]

    def jobs_running(self, app_id: str = "local-1") -> list[int]:
        return [job["job_id"] for job in self.application(app_id)["progress"] or []]

    def run(self, run_id: str = RUN) -> tuple[str, str | None]:
        with self.store.read() as conn:
            rows = search_runs(conn, Query()).rows
        row = next(each for each in rows if each["run_id"] == run_id)
        return row["effective_status"], row["status_reason"]


@pytest.fixture
def server(store: Store) -> Server:
    return Server(store, started=-3600)


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    return Driver(tmp_path / "journal", "local-1", name="train", start=START)


# -- applications --------------------------------------------------------------------------------------


def test_an_application_that_beats_runs(server: Server, driver: Driver) -> None:
    for at in range(0, 300, 10):
        driver.beat()
        server.hear(driver, at=at)
        assert server.judge(at=at + 9) == 0
    assert server.status() == ("RUNNING", None)


def test_two_missed_beats_warn_and_the_next_one_takes_the_warning_back(server: Server, driver: Driver) -> None:
    server.hear(driver, at=0)
    server.judge(at=20)
    assert server.status() == ("RUNNING", None)
    server.judge(at=25)
    assert server.status() == ("RUNNING", "no heartbeat for 25 s")
    server.judge(at=GRACE)
    assert server.status() == ("RUNNING", f"no heartbeat for {GRACE} s")
    driver.beat()
    server.hear(driver, at=GRACE + 1)
    assert server.status() == ("RUNNING", None)
    assert server.judge(at=GRACE + 5) == 0


def test_silence_beyond_the_grace_is_lost_and_a_late_beat_takes_it_back(server: Server, driver: Driver) -> None:
    driver.beat()
    server.hear(driver, at=7331)
    server.judge(at=7331 + GRACE + 1)
    assert server.status() == ("LOST", "last heard 2026-09-22 14:02:11 UTC, event 5")
    assert server.application()["end_time"] is None
    assert server.judge(at=7331 + 10 * GRACE) == 0
    driver.beat()
    server.hear(driver, at=7331 + 20 * GRACE)
    assert server.status() == ("RUNNING", None)
    assert server.judge(at=7331 + 20 * GRACE + 5) == 0


def test_a_lost_application_that_ends_properly_after_all_has_succeeded(server: Server, driver: Driver) -> None:
    server.hear(driver, at=0)
    server.judge(at=GRACE + 1)
    driver.wait(500)
    driver.end()
    server.hear(driver, at=500)
    assert server.status() == ("SUCCEEDED", None)
    assert server.application()["end_time"] == driver.clock


def test_a_server_that_was_down_for_ten_minutes_gives_up_nobody(store: Store, driver: Driver) -> None:
    run = driver.run_start(RUN, "first")
    Server(store).hear(driver, at=0)
    again = Server(store, started=600)
    assert again.judge(at=601) == again.judge(at=620) == 0
    again.judge(at=630)
    assert again.status() == ("RUNNING", "no heartbeat for 30 s")
    assert again.run(run["run_id"]) == ("RUNNING", None)
    again.judge(at=600 + GRACE + 1)
    assert again.status() == ("LOST", "last heard 2026-09-22 12:00:00 UTC, event 5")


def test_what_was_lost_stays_lost_when_the_server_starts_again(store: Store, driver: Driver) -> None:
    server = Server(store)
    server.hear(driver, at=0)
    server.judge(at=GRACE + 1)
    again = Server(store, started=GRACE + 10)
    assert again.judge(at=GRACE + 11) == 0
    assert again.status()[0] == "LOST"


def test_a_driver_that_died_of_an_exception_has_failed_whether_or_not_spark_said_its_end(
    server: Server, driver: Driver
) -> None:
    driver.wait(30)
    driver.exits("ValueError: no")
    server.hear(driver, at=30)
    assert server.status() == ("FAILED", "ValueError: no")
    assert server.application()["end_time"] == driver.clock
    assert server.judge(at=30 + GRACE) == 0
    driver.wait(2)
    driver.spark_ends()
    server.hear(driver, at=32)
    assert server.status() == ("FAILED", "ValueError: no")
    assert server.application()["end_time"] == driver.clock


def test_a_driver_that_was_done_before_its_jvm_was_killed_has_succeeded_after_two_missed_beats(
    server: Server, driver: Driver
) -> None:
    driver.wait(30)
    driver.exits()
    server.hear(driver, at=30)
    server.judge(at=50)
    assert server.status() == ("RUNNING", None)
    server.judge(at=51)
    assert server.status() == ("SUCCEEDED", None)
    assert server.application()["end_time"] == driver.clock
    assert server.judge(at=1000) == 0
    driver.beat()
    server.hear(driver, at=1001)
    assert server.status() == ("RUNNING", None)
    assert server.application()["end_time"] is None


def test_an_application_without_the_hook_has_ended_and_nobody_says_how(server: Server, driver: Driver) -> None:
    driver.wait(30)
    driver.spark_ends()
    server.hear(driver, at=30)
    assert server.judge(at=1000) == 0
    status, reason = server.status()
    assert (status, reason and reason.partition(",")[0]) == ("ENDED", "It is over")
    assert server.application()["end_time"] == driver.clock


def as_event_log(journal: Journal) -> None:
    """The same lines, as Spark itself writes them: nothing says that they are a journal."""
    lines = journal.path.read_text().splitlines(keepends=True)
    journal.path.write_text("".join(line for line in lines if '"Afterglow' not in line))


def test_an_event_log_is_too_silent_after_a_day(server: Server, driver: Driver) -> None:
    as_event_log(driver)
    server.hear(driver, at=0)
    assert server.judge(at=80_000) == 0
    assert server.status() == ("RUNNING", "it sends no heartbeats: its end may go unnoticed")
    assert server.judge(at=100_000) == 1
    assert server.status() == ("LOST", "its event log just stops: it tells no end, and has not grown for long")
    driver.spark_ends()
    server.hear(driver, at=100_001)
    assert server.judge(at=200_000) == 0
    assert (server.status()[0], server.application()["gone"]) == ("ENDED", True)  # nothing more to wait for


def test_the_event_log_of_a_lost_application_is_no_sign_of_life_but_its_end_is_one(
    server: Server, driver: Driver, tmp_path: Path
) -> None:
    server.hear(driver, at=0)
    server.judge(at=GRACE + 1)
    log = Driver(tmp_path / "log", "local-1", name="train", start=START)
    as_event_log(log)
    server.hear(log, at=GRACE + 2)
    assert server.status()[0] == "LOST"
    log.wait(60)
    log.spark_ends()
    server.hear(log, at=GRACE + 3)
    assert server.status()[0] == "ENDED"
    assert server.application()["end_time"] == log.clock


def test_a_connect_client_is_no_sign_of_life_of_its_application(server: Server, driver: Driver) -> None:
    client = Client(driver)
    client.start(RUN)
    server.hear(driver, client, at=0)
    client.beat()
    server.hear(client, at=GRACE)
    server.judge(at=GRACE + 1)
    assert server.status()[0] == "LOST"
    assert server.run() == ("RUNNING", None)


def test_what_an_applications_journals_lost_adds_up_and_only_the_listener_tells_how_far_its_jobs_are(
    server: Server, driver: Driver
) -> None:
    driver.progress([1, 1, 2, 5, 16], dropped=500, bus_dropped=7)
    own, client = driver.goes_on_alone(), Client(driver)
    own.beat()
    client.beat()
    server.hear(driver, own, client, at=0)
    assert (server.application()["lost_events"], server.jobs_running()) == (507, [1])
    own._write("AfterglowHeartbeat", Timestamp=START, Dropped=3)
    client._write("AfterglowHeartbeat", Dropped=2)
    server.hear(own, client, at=10)
    assert (server.application()["lost_events"], server.jobs_running()) == (512, [1])
    driver._write("AfterglowHeartbeat", Timestamp=START, **{"Hook Dropped": 4})
    server.hear(driver, at=20)
    assert (server.application()["lost_events"], server.jobs_running()) == (516, [1])
    driver.progress(dropped=501, bus_dropped=7)
    own.beat()  # a count that goes back is none to believe
    server.hear(own, driver, at=30)
    assert (server.application()["lost_events"], server.jobs_running()) == (517, [])


def test_an_application_whose_jvm_died_under_its_driver_has_failed_whatever_the_driver_made_of_it(
    server: Server, driver: Driver
) -> None:
    own = driver.goes_on_alone()
    server.hear(driver, at=0)
    own.wait(5)
    own.context_dies()
    died = own.clock
    server.hear(own, at=1)
    assert server.status() == ("FAILED", "its JVM died under its Python driver")
    own.wait(5)
    own.exits()
    server.hear(own, at=2)
    assert server.status() == ("FAILED", "its JVM died under its Python driver")
    assert server.application()["end_time"] == died


def test_a_context_that_was_stopped_from_elsewhere_ended_when_spark_says(server: Server, driver: Driver) -> None:
    driver.wait(5)
    driver.spark_ends()
    ended = driver.clock
    driver.wait(5)
    driver.context_dies()
    server.hear(driver, at=0)
    assert (server.status()[0], server.application()["end_time"]) == ("FAILED", ended)


def beats_every(journal: Journal, interval_ms: int) -> None:
    text = journal.path.read_text()
    journal.path.write_text(text.replace('"Host":', f'"Heartbeat Interval": {interval_ms}, "Host":', 1))


def test_who_beats_rarely_is_given_time_for_three_beats(server: Server, driver: Driver) -> None:
    beats_every(driver, 60_000)
    server.hear(driver, at=0)
    assert server.judge(at=GRACE) == 0
    server.judge(at=GRACE + 1)
    assert server.status() == ("RUNNING", "no heartbeat for 121 s")
    server.judge(at=180)
    assert server.status()[0] == "RUNNING"
    server.judge(at=181)
    assert server.status()[0] == "LOST"


def test_who_beats_rarely_once_its_journal_is_full_is_given_time_from_then_on(server: Server, driver: Driver) -> None:
    server.hear(driver, at=0)
    driver._write("AfterglowHeartbeat", Timestamp=driver.clock, Dropped=3, **{"Heartbeat Interval": 600_000})
    server.hear(driver, at=10)
    server.judge(at=1_200)
    assert server.status() == ("RUNNING", None)
    driver._write("AfterglowHeartbeat", Timestamp=driver.clock, Dropped=3, **{"Heartbeat Interval": 10_000})
    server.hear(driver, at=1_201)
    server.judge(at=1_201 + GRACE + 1)
    assert server.status()[0] == "LOST"


def test_who_beats_often_is_warned_of_after_two_of_its_own_beats(server: Server, driver: Driver) -> None:
    beats_every(driver, 1_000)
    server.hear(driver, at=0)
    server.judge(at=3)
    assert server.status() == ("RUNNING", "no heartbeat for 3 s")
    server.judge(at=GRACE)
    assert server.status()[0] == "RUNNING"


# -- runs and their owners -----------------------------------------------------------------------------


def test_a_run_whose_driver_fell_silent_is_orphaned_and_a_late_beat_takes_it_back(
    server: Server, driver: Driver
) -> None:
    driver.run_start(RUN, "first")
    server.hear(driver, at=0)
    server.judge(at=30)
    assert server.run() == ("RUNNING", None)
    assert server.judge(at=GRACE + 1) == 2
    assert server.run() == ("ORPHANED", "its driver is gone: application local-1 is LOST")
    driver.beat()
    server.hear(driver, at=GRACE + 30)
    assert server.run() == ("RUNNING", None)


def test_a_run_that_its_driver_left_open_is_orphaned_at_the_drivers_exit(server: Server, driver: Driver) -> None:
    driver.run_start(RUN, "first")
    driver.end()
    server.hear(driver, at=0)
    assert server.run() == ("ORPHANED", "its driver is gone: application local-1 is SUCCEEDED")


def test_a_driver_that_stops_spark_and_works_on_keeps_its_run_until_it_is_silent(
    server: Server, driver: Driver
) -> None:
    run = driver.run_start(RUN, "first")
    driver.spark_ends()
    server.hear(driver, at=0)
    assert server.judge(at=GRACE) == 0
    assert server.run() == ("RUNNING", None)
    assert server.judge(at=GRACE + 1) == 1
    assert server.run() == ("ORPHANED", "its driver is gone: application local-1 is ENDED")
    assert server.judge(at=10 * GRACE) == 0
    driver.wait(5).run_end(run)
    server.hear(driver, at=10 * GRACE)
    assert server.run() == ("FINISHED", None)


def test_a_run_that_somebody_ended_after_all_is_what_mlflow_says(server: Server, driver: Driver) -> None:
    run = driver.run_start(RUN, "first")
    server.hear(driver, at=0)
    server.judge(at=GRACE + 1)
    server.sync(run, status="KILLED")
    assert server.run() == ("KILLED", None)
    assert server.judge(at=10 * GRACE) == 0


def test_mlflow_saying_again_that_an_orphan_runs_does_not_make_it_run(server: Server, driver: Driver) -> None:
    run = driver.run_start(RUN, "first")
    server.hear(driver, at=0)
    server.judge(at=GRACE + 1)
    server.sync(run, metrics={"rmse": 1.0})
    assert server.run()[0] == "ORPHANED"


def test_a_run_that_another_application_has_resumed_runs_until_that_one_is_gone_too(
    server: Server, driver: Driver, tmp_path: Path
) -> None:
    run = driver.run_start(RUN, "first")
    server.hear(driver, at=0)
    server.judge(at=GRACE + 1)
    assert server.run()[0] == "ORPHANED"
    second = Driver(tmp_path / "journal", "local-2", name="again", start=START + 600_000)
    second.resume(run)
    server.hear(second, at=600)
    assert server.run() == ("RUNNING", None)
    assert server.status() == ("LOST", "last heard 2026-09-22 12:00:00 UTC, event 5")
    server.judge(at=600 + GRACE + 1)
    assert server.run() == ("ORPHANED", "its driver is gone: application local-2 is LOST")


def test_a_run_that_a_living_application_is_linked_to_otherwise_is_no_orphan(
    server: Server, driver: Driver, tmp_path: Path
) -> None:
    driver.run_start(RUN, "first")
    other = Driver(tmp_path / "journal", "local-2", name="other", start=START).job(RUN)
    assert isinstance(other, Driver)
    server.hear(driver, other, at=0)
    other.beat()
    server.hear(other, at=GRACE)
    server.judge(at=GRACE + 1)
    assert (server.status()[0], server.run()) == ("LOST", ("RUNNING", None))
    other.end()
    server.hear(other, at=GRACE + 10)
    assert server.run()[0] == "ORPHANED"


def test_a_link_that_is_only_inferred_keeps_no_run_alive(server: Server, driver: Driver, tmp_path: Path) -> None:
    driver.run_start(RUN, "first")
    other = Driver(tmp_path / "journal", "local-2", name="other", start=START)
    server.hear(driver, at=0)
    server.hear(other, at=GRACE)
    with server.store.write() as conn:
        add_links(conn, server.application("local-2")["id"], {RUN: ("inferred", START)})
    server.judge(at=GRACE + 1)
    assert (server.status("local-2")[0], server.run()[0]) == ("RUNNING", "ORPHANED")


def test_a_run_that_nobody_is_known_to_own_runs_and_says_so(server: Server, driver: Driver) -> None:
    plain = {"run_id": RUN, "experiment_id": "1", "status": "RUNNING", "start_time": START, "tags": {}}
    tagged = plain | {"run_id": "b" * 32, "tags": {"spark.app.id": "local-1", "spark.app.startTime": str(START)}}
    server.hear(driver, at=0)
    server.sync(plain)
    server.sync(tagged)
    server.judge(at=GRACE + 1)
    assert server.status()[0] == "LOST"
    assert server.run() == server.run("b" * 32) == ("RUNNING", OWNER_UNKNOWN)
    server.sync(plain, status="FINISHED")
    assert server.run() == ("FINISHED", None)


def test_a_process_that_only_logs_to_a_run_does_not_own_it(server: Server, driver: Driver, tmp_path: Path) -> None:
    run = driver.run_start(RUN, "first")
    other = Driver(tmp_path / "journal", "local-2", name="other", start=START)
    other.log_to(run)
    other.log_to(run | {"run_id": "b" * 32})
    other.end()
    server.hear(driver, other, at=0)
    assert server.run() == ("RUNNING", None)
    assert server.run("b" * 32) == ("RUNNING", OWNER_UNKNOWN)
    with server.store.read() as conn:
        unknown = search_runs_of_unknown_owner(conn, Query())
    assert ([row["run_id"] for row in unknown.rows], unknown.total) == (["b" * 32], 1)


def test_a_run_of_a_driver_that_outlives_its_jvm_runs_until_the_driver_is_silent(
    server: Server, driver: Driver
) -> None:
    run = driver.run_start(RUN, "first")
    own = driver.goes_on_alone()
    own.context_dies()
    server.hear(driver, own, at=0)
    own.beat()
    server.hear(own, at=GRACE)
    server.judge(at=GRACE + 1)
    assert server.run() == ("RUNNING", None)
    server.judge(at=2 * GRACE + 1)
    assert server.run() == ("ORPHANED", "its driver is gone: application local-1 is FAILED")
    at_exit(own, run)
    own.exits("ValueError: no JVM")
    server.hear(own, at=3 * GRACE)
    assert server.run() == ("SUSPECT", "open until its driver died of ValueError: no JVM")


def test_a_run_that_was_made_in_an_executor_is_owned_by_its_application(server: Server, driver: Driver) -> None:
    tags = {"spark.app.id": "local-1", "spark.app.startTime": str(START), "spark.task.attempt.id": "7"}
    run = {"run_id": RUN, "experiment_id": "1", "status": "RUNNING", "start_time": START, "tags": tags}
    server.sync(run)
    assert server.run() == ("RUNNING", OWNER_UNKNOWN)
    server.hear(driver, at=0)
    assert server.run() == ("RUNNING", None)
    server.judge(at=GRACE + 1)
    assert server.run() == ("ORPHANED", "its driver is gone: application local-1 is LOST")
    driver.beat()
    server.hear(driver, at=GRACE + 2)
    assert server.run() == ("RUNNING", None)
    driver.spark_ends()
    server.hear(driver, at=GRACE + 3)
    assert server.run() == ("ORPHANED", "its driver is gone: application local-1 is ENDED")


def test_the_run_of_a_connect_client_goes_with_its_client_and_not_with_its_application(
    server: Server, driver: Driver
) -> None:
    client = Client(driver)
    client.start(RUN)
    server.hear(driver, client, at=0)
    driver.beat()
    server.hear(driver, at=GRACE)
    server.judge(at=GRACE)
    assert server.run() == ("RUNNING", None)
    assert server.judge(at=GRACE + 1) == 1
    assert server.status() == ("RUNNING", None)
    assert server.run() == ("ORPHANED", "its Spark Connect client of application local-1 is gone")
    client.beat()
    server.hear(client, at=GRACE + 5)
    assert server.run() == ("RUNNING", None)


def test_a_connect_client_that_exits_orphans_what_it_left_open_at_once(server: Server, driver: Driver) -> None:
    client, other = Client(driver), Client(driver, "session-2")
    client.start(RUN)
    other.start("b" * 32)
    client.exits()
    server.hear(driver, client, other, at=0)
    assert server.run()[0] == "ORPHANED"
    assert server.run("b" * 32) == ("RUNNING", None)
    assert server.status() == ("RUNNING", None)


def test_a_server_that_was_down_gives_up_no_connect_client(store: Store, driver: Driver) -> None:
    client = Client(driver)
    client.start(RUN)
    Server(store).hear(driver, client, at=0)
    again = Server(store, started=600)
    again.judge(at=601)
    assert again.run() == ("RUNNING", None)


# -- runs that MLflow says are over --------------------------------------------------------------------


def at_exit(driver: Driver, run: dict[str, Any]) -> None:
    driver._run_event("AfterglowRunEnd", run | {"status": "FINISHED"}, Status="FINISHED", **{"At Exit": True})


def test_a_run_that_was_open_when_its_driver_died_is_suspect(server: Server, driver: Driver) -> None:
    run = driver.run_start(RUN, "first")
    at_exit(driver, run)
    server.hear(driver, at=0)
    assert server.run() == ("FINISHED", None)
    driver.end("ValueError: no more\nof this")
    server.hear(driver, at=1)
    assert server.run() == ("SUSPECT", "open until its driver died of ValueError: no more")
    assert server.application()["failed_runs"] == 0


def test_a_suspect_run_that_is_resumed_and_ended_properly_is_finished(
    server: Server, driver: Driver, tmp_path: Path
) -> None:
    run = driver.run_start(RUN, "first")
    at_exit(driver, run)
    driver.end("ValueError")
    second = Driver(tmp_path / "journal", "local-2", name="again", start=START + 600_000)
    second.resume(run)
    server.hear(driver, second, at=0)
    assert server.run() == ("RUNNING", None)
    second.wait(5).run_end(run)
    server.hear(second, at=1)
    assert server.run() == ("FINISHED", None)


def test_a_run_that_was_open_at_a_clean_exit_or_ended_before_an_exception_is_finished(
    server: Server, driver: Driver, tmp_path: Path
) -> None:
    at_exit(driver, driver.run_start(RUN, "first"))
    driver.end()
    second = Driver(tmp_path / "journal", "local-2", name="other", start=START)
    second.run_end(second.run_start("b" * 32, "second"))
    second.end("ValueError")
    server.hear(driver, second, at=0)
    assert server.run() == server.run("b" * 32) == ("FINISHED", None)


def test_a_run_that_was_open_when_its_connect_client_died_is_suspect(server: Server, driver: Driver) -> None:
    client = Client(driver)
    client.end(client.start(RUN), at=5, at_exit=True)
    client.exits("ValueError: of the client")
    server.hear(driver, client, at=0)
    assert server.run() == ("SUSPECT", "open until its driver died of ValueError: of the client")
    assert server.status() == ("RUNNING", None)


def test_an_end_at_exit_that_had_no_time_to_read_mlflow_counts_once_sync_has_the_run(
    server: Server, driver: Driver
) -> None:
    run = driver.run_start(RUN, "first")
    driver._write("AfterglowRunEnd", Timestamp=driver.clock, Application=driver.application, Source="tag",
                  Status="FINISHED", **{"Run ID": RUN, "Tracking URI": TRACKING_URI, "At Exit": True})  # fmt: skip
    driver.end("ValueError")
    server.hear(driver, at=0)
    assert server.run()[0] == "ORPHANED"  # as far as is known, it still runs
    server.sync(run, status="FINISHED")
    assert server.run() == ("SUSPECT", "open until its driver died of ValueError")


def test_a_failed_run_says_what_its_last_failed_spark_job_died_of(server: Server, driver: Driver) -> None:
    run = driver.run_start(RUN, "first")
    driver.job(RUN, error="the first").job(RUN, error="Job aborted: no more room\n\tat Executor.run(…)").job(RUN)
    driver.run_end(run, status="FAILED")
    without = driver.run_start("b" * 32, "second")
    driver.run_end(without, status="FAILED")
    killed = driver.run_start("c" * 32, "third")
    driver.job("c" * 32, error="cancelled").run_end(killed, status="KILLED")
    driver.end()
    server.hear(driver, at=0)
    assert server.run() == ("FAILED", "Job aborted: no more room")
    assert server.run("b" * 32) == ("FAILED", None)
    assert server.run("c" * 32) == ("KILLED", None)
    assert server.application()["failed_runs"] == 2


def test_a_long_error_is_cut(server: Server, driver: Driver) -> None:
    run = driver.run_start(RUN, "first")
    driver.job(RUN, error="x" * 1000).run_end(run, status="FAILED")
    server.hear(driver, at=0)
    reason = server.run()[1]
    assert reason is not None
    assert (len(reason), reason[-1]) == (300, "…")


def test_of_the_error_of_a_python_worker_the_end_of_its_traceback_is_shown(server: Server, driver: Driver) -> None:
    run = driver.run_start(RUN, "first")
    where = '  File "job.py", line 3, in too_much\n    bytearray(1 << 40)\n'
    driver.job(RUN, error=f"From the Python worker: Traceback (most recent call last):\n{where}MemoryError\n\tat x(Y)")
    driver.run_end(run, status="FAILED")
    cut = driver.run_start("b" * 32, "second")
    driver.job("b" * 32, error=f"From the Python worker: Traceback (most recent call last):\n{where}")
    driver.run_end(cut, status="FAILED")
    server.hear(driver, at=0)
    assert server.run() == ("FAILED", "From the Python worker: MemoryError")
    assert server.run("b" * 32) == ("FAILED", "From the Python worker:")


def test_lists_find_orphans_by_their_status(server: Server, driver: Driver) -> None:
    driver.run_start(RUN, "first")
    driver.end()
    server.hear(driver, at=0)
    with server.store.read() as conn:
        assert search_runs(conn, Query(statuses=["ORPHANED"])).total == 1
        assert search_runs(conn, Query(statuses=["RUNNING"])).total == 0


# -- the worker, and the hook --------------------------------------------------------------------------


def test_the_worker_judges_by_its_last_complete_look_at_the_journals(
    store: Store, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "SHARE", 1.0)  # each look is a complete one
    tail = Tail(store, [driver.path.parent])
    settings = Settings(home=driver.path.parent, status=StatusSettings(grace_seconds=30))
    server = Server(store)
    judge_silence(store, settings, tail)  # it has not looked yet
    for at in (0, 30):
        tail.poll(NOON + at * 1000)
        judge_silence(store, settings, tail)
    assert server.status() == ("RUNNING", "no heartbeat for 30 s")
    tail.poll(NOON + 31_000)
    judge_silence(store, settings, tail)
    assert server.status()[0] == "LOST"


OPEN_AT_EXIT = """
import mlflow
from afterglow.hook import driver, install

install()
driver.run_terminated = lambda run_id, uri, status, **more: print(names[run_id], status, more["at_exit"])
names = {}
for name in ("ended", "open"):
    run = mlflow.start_run(run_name=name)
    names[run.info.run_id] = name
    if name == "ended":
        mlflow.end_run()
raise ValueError("nobody catches this")
"""


@pytest.mark.parametrize("first", ["import mlflow", "from afterglow.hook import install; install()"])
def test_the_hook_tells_a_run_that_mlflows_exit_handler_ended_from_one_that_the_program_did(
    tmp_path: Path, first: str
) -> None:
    environ = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}",
        "GIT_PYTHON_REFRESH": "quiet",
    }
    done = subprocess.run(
        [sys.executable, "-c", first + OPEN_AT_EXIT], cwd=tmp_path, env=environ, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert "ValueError: nobody catches this" in done.stderr
    assert done.stdout.splitlines() == ["ended FINISHED False", "open FINISHED True"]


def test_at_exit_is_told_only_where_it_is_true() -> None:
    application = Application("local-1", "", "x", START, "ada", "local", "host", "4.2.0")
    event = RunEvent("AfterglowRunEnd", RUN, TRACKING_URI, "tag", "FINISHED")
    assert "At Exit" not in event.to_json(application, None)
    late = RunEvent("AfterglowRunEnd", RUN, TRACKING_URI, "tag", "FINISHED", at_exit=True)
    assert late.to_json(application, None)["At Exit"] is True
