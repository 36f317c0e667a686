"""Ingest: exactly once, whatever happens in the middle of it, and whatever the file looks like."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from functools import partialmethod
from pathlib import Path
from uuid import uuid4

import orjson
import pytest
import sqlalchemy as sa

from afterglow_monitor.clock import now_ms
from afterglow_monitor.collecting import journals
from afterglow_monitor.collecting.journals import Tail
from afterglow_store import Query, Store, ingest_file, lines, open_store, search_applications, search_runs, snapshots
from afterglow_store.errors import SourceRefused
from afterglow_store.runs import take_in_run
from afterglow_store.schema import bad_line, job, source
from afterglow_store.sources import FileSource
from tests.support.demo import Demo
from tests.support.ingesting import contents, copies
from tests.support.journals import Journal

KILLS = 10
START = 1_790_000_000_000


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """An application with a run of two jobs, one of which failed."""
    made = Journal(tmp_path / "journal", "local-1", name="train", start=START)
    run = made.run_start("a" * 32, "first")
    made.job("a" * 32).job("a" * 32, error="no more room")
    made.run_end(run, status="FAILED")
    return made.end()


def applications(store: Store) -> list[dict[str, object]]:
    with store.read() as conn:
        return search_applications(conn, Query()).rows


def positions(store: Store) -> int:
    with store.read() as conn:
        return int(conn.scalar(sa.select(sa.func.coalesce(sa.func.sum(source.c.position), 0))) or 0)


@pytest.mark.matrix  # it takes long
@pytest.mark.timeout(600)
def test_a_worker_that_is_killed_ten_times_leaves_what_one_clean_ingest_does(
    store: Store, store_url: str, demo: Demo, tmp_path: Path
) -> None:
    files = copies(max(demo.journals, key=lambda path: path.stat().st_size), tmp_path / "journals", 3 * KILLS)
    seed = random.randrange(1_000_000)
    print("seed", seed)
    chance = random.Random(seed)
    for _ in range(KILLS):
        with worker(store_url, tmp_path / "journals") as process:
            try:
                wait_for_progress(store, positions(store))
                time.sleep(chance.uniform(0, 0.1))
            finally:
                process.send_signal(signal.SIGKILL)
    assert positions(store) < sum(file.stat().st_size for file in files), "it was done before the last kill"
    for file in files:
        ingest_file(store, file, now=now_ms())
    clean = open_store(f"sqlite:///{tmp_path / 'clean.db'}")
    for file in files:
        ingest_file(clean, file, now=now_ms())
    killed, once = contents(store), contents(clean)
    clean.close()
    for table, rows in once.items():
        assert killed[table] == rows, table
    assert len(once["application"]) == len(files)


def worker(store_url: str, folder: Path) -> "subprocess.Popen[bytes]":
    home = folder.parent / "worker"
    home.mkdir(exist_ok=True)
    (home / "afterglow.toml").write_text(f'[journal]\nfolders = ["{folder}"]\npoll_seconds = 0.01\n')
    return subprocess.Popen(
        [sys.executable, "-m", "afterglow_monitor.running.worker"],
        env={**os.environ, "AFTERGLOW_HOME": str(home), "AFTERGLOW_STORE_URL": store_url},
        stderr=subprocess.DEVNULL,
    )


def wait_for_progress(store: Store, before: int) -> None:
    deadline = time.monotonic() + 30
    while positions(store) == before:
        assert time.monotonic() < deadline, "the worker takes nothing in"
        time.sleep(0.005)


def test_reading_a_journal_again_changes_nothing(store: Store, journal: Path) -> None:
    first = ingest_file(store, journal, now=0)
    before = contents(store)
    assert first.lines > 10
    assert ingest_file(store, journal, now=0).lines == 0
    assert contents(store) == before


def test_a_journal_that_grows_byte_by_byte_ends_as_one_that_was_whole(
    store: Store, journal: Path, tmp_path: Path
) -> None:
    whole = open_store(f"sqlite:///{tmp_path / 'whole.db'}")
    ingest_file(whole, journal, now=0)
    data, growing = journal.read_bytes(), tmp_path / "growing" / journal.name
    growing.parent.mkdir()
    chance = random.Random(7)
    at = 0
    while at < len(data):
        at += chance.randrange(1, 400)
        growing.write_bytes(data[:at])
        ingest_file(store, growing, now=0)
    assert contents(store) == contents(whole)
    whole.close()


def test_four_threads_on_one_journal_take_it_in_once(store: Store, journal: Path, tmp_path: Path) -> None:
    alone = open_store(f"sqlite:///{tmp_path / 'alone.db'}")
    ingest_file(alone, journal, now=0)
    taken: list[int] = []
    threads = [
        threading.Thread(target=lambda: taken.append(ingest_file(store, journal, now=0).lines)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(taken)[:3] == [0, 0, 0]
    assert contents(store) == contents(alone)
    alone.close()


def test_chunks_do_not_show_in_the_result(
    store: Store, journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = open_store(f"sqlite:///{tmp_path / 'whole.db'}")
    ingest_file(whole, journal, now=0)
    monkeypatch.setattr(lines, "CHUNK_BYTES", 700)
    ingest_file(store, journal, now=0)
    assert contents(store) == contents(whole)
    whole.close()


def test_a_torn_last_line_waits_for_its_rest(store: Store, journal: Path) -> None:
    data = journal.read_bytes()
    journal.write_bytes(data[:-20])
    ingest_file(store, journal, now=0)
    assert applications(store)[0]["status"] == "RUNNING"  # the application's end is the torn line
    journal.write_bytes(data)
    assert ingest_file(store, journal, now=0).lines == 1
    assert applications(store)[0]["status"] == "SUCCEEDED"


def test_lines_that_are_no_events_are_counted_and_cost_nothing_else(store: Store, journal: Path) -> None:
    good = ingest_file(store, journal, now=0)
    with journal.open("ab") as file:
        file.write(b'garbage\n{"Event":\n[1,2]\n{"Event":7}\n\xff\xfe\n{"Event":"SparkListenerFromTheFuture","x":1}\n')
        file.write(b'{"Event":"SparkListenerJobStart"}\n{"Event":"SparkListenerStageCompleted","Stage Info":null}\n')
    after = ingest_file(store, journal, now=0)
    assert (after.bad_lines, after.lines) == (7, 1)
    with store.read() as conn:
        assert conn.execute(sa.select(source.c.lines, source.c.bad_lines)).one() == (good.lines + 1, 7)
    assert applications(store)[0]["jobs"] == 2


def test_a_journal_that_has_not_told_its_application_yet_is_left_until_it_has(store: Store, journal: Path) -> None:
    data = journal.read_bytes()
    named = data.index(b'"SparkListenerApplicationStart"')
    journal.write_bytes(data[: data.rindex(b"\n", 0, named) + 1])
    assert ingest_file(store, journal, now=0).lines == 0
    assert applications(store) == []
    journal.write_bytes(data)
    assert ingest_file(store, journal, now=0).lines > 10
    assert applications(store)[0]["master"] == "local[4]"


def test_a_file_that_never_names_an_application_is_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MAX_HEAD_BYTES", 2_000)
    monkeypatch.setattr(lines, "CHUNK_BYTES", 500)
    (tmp_path / "notes.jsonl").write_text('{"Event":"Other"}\n' * 500)
    with pytest.raises(SourceRefused, match="no SparkListenerApplicationStart"):
        ingest_file(store, tmp_path / "notes.jsonl", now=0)


def test_a_line_that_is_too_long_is_left_out_and_counted_and_costs_nothing_else(
    store: Store, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest_file(store, journal, now=0)
    monkeypatch.setattr(FileSource, "__init__", partialmethod(FileSource.__init__, max_line_bytes=5_000))
    monkeypatch.setattr(lines, "CHUNK_BYTES", 1_000)
    with journal.open("ab") as file:
        file.write(b"x" * 20_000)
    assert ingest_file(store, journal, now=0).bad_lines == 1
    with journal.open("ab") as file:
        file.write(b"x\n" + orjson.dumps({"Event": "SparkListenerJobStart", "Job ID": 7, "Stage IDs": []}) + b"\n")
    assert ingest_file(store, journal, now=0).lines == 1
    assert applications(store)[0]["jobs"] == 3
    with store.read() as conn:
        assert conn.execute(sa.select(source.c.bad_lines, source.c.in_long_line)).one() == (1, None)
        [kept] = conn.execute(sa.select(bad_line))
    assert (len(kept.text), kept.length) == (1_000, 6_000)


def test_what_a_bad_line_looked_like_is_kept_without_its_secrets(store: Store, journal: Path) -> None:
    with journal.open("ab") as file:
        file.write(b'{"Event": token=hunter2\n' * 3 + b"x\n" * 200)
    ingest_file(store, journal, now=0)
    with store.read() as conn:
        kept = conn.execute(sa.select(bad_line).order_by(bad_line.c.position)).all()
        assert conn.scalar(sa.select(source.c.bad_lines)) == 203
    assert len(kept) == 100
    assert kept[0].text == '{"Event": token=*********(redacted)'


def test_a_journal_that_has_shrunk_is_refused_and_what_it_said_stays(store: Store, journal: Path) -> None:
    ingest_file(store, journal, now=0)
    journal.write_bytes(journal.read_bytes()[:100])
    with pytest.raises(SourceRefused, match="has shrunk to 100 bytes"):
        ingest_file(store, journal, now=0)
    assert applications(store)[0]["jobs"] == 2


def test_one_refused_journal_does_not_hold_up_the_others(store: Store, journal: Path) -> None:
    ingest_file(store, journal, now=0)
    journal.write_bytes(b"")
    Journal(journal.parent, "local-2", name="other", start=START).end()
    tail = Tail(store, [journal.parent])
    assert tail.poll(now=0).lines > 0
    assert {row["app_id"] for row in applications(store)} == {"local-1", "local-2"}
    assert tail.poll(now=0).lines == 0


def test_a_journal_that_cannot_be_read_holds_up_no_other_and_is_tried_again(
    store: Store, journal: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unreadable = journal.with_name(f"{uuid4()}.jsonl")
    unreadable.mkdir()  # nobody can read it, not even who may read the files of others
    Journal(journal.parent, "local-2", name="other", start=START).end()
    tail = Tail(store, [journal.parent])
    assert tail.poll(now=1).lines > 0
    assert tail.looked == 1  # so the worker judges who is silent
    assert {row["app_id"] for row in applications(store)} == {"local-1", "local-2"}
    tail.poll(now=2)
    assert [each.getMessage() for each in caplog.records] == [f"{unreadable} cannot be read: Is a directory"]
    unreadable.rmdir()
    unreadable.write_bytes(
        Journal(journal.parent.parent / "hers", "local-3", name="third", start=START).end().read_bytes()
    )
    assert tail.poll(now=3).lines > 0


def test_an_event_with_a_value_of_the_wrong_kind_costs_no_other_one(store: Store, journal: Path) -> None:
    good = {"Event": "SparkListenerJobStart", "Submission Time": START, "Stage IDs": []}
    wrong: list[dict[str, object]] = [
        {"Job ID": "x" * 40}, {"Job ID": 1 << 80}, {"Job ID": [1]}, {"Submission Time": "soon"}, {"Job ID": True},
        {"Properties": {"spark.jobGroup.id": {"a": 1}}},
    ]  # fmt: skip
    events = [good | {"Job ID": 10 + number} for number in range(40)]
    for number, values in enumerate(wrong):
        events.insert(7 * number, good | {"Job ID": 60 + number} | values)
    events.append({"Event": "AfterglowRunStart", "Run ID": "b" * 32, "Timestamp": START, "Run": {"params": 7}})
    with journal.open("ab") as file:
        file.writelines(json.dumps(event).encode() + b"\n" for event in events)
    ingest_file(store, journal, now=0)
    with store.read() as conn:
        ids = set(conn.scalars(sa.select(job.c.job_id)))
        bad = conn.scalar(sa.select(source.c.bad_lines))
        kept = conn.scalar(sa.select(sa.func.count()).select_from(bad_line))
    assert ids >= {0, 1, *range(10, 50)}
    assert bad == kept
    assert kept == 7
    assert ingest_file(store, journal, now=0).bytes == 0


def test_a_nul_in_a_text_is_stored_without_it_on_every_database(store: Store, journal: Path) -> None:
    with journal.open("ab") as file:
        event = {"Event": "SparkListenerJobStart", "Job ID": 9, "Submission Time": START, "Stage IDs": []}
        file.write(orjson.dumps(event | {"Properties": {"spark.job.description": "a\x00b"}}) + b"\n")
    ingest_file(store, journal, now=0)
    assert applications(store)[0]["jobs"] == 3


def test_a_job_end_that_comes_after_the_applications_end_still_counts(store: Store, tmp_path: Path) -> None:
    late = Journal(tmp_path, "local-3", name="late", start=START).job(unfinished=True)
    late.end()
    failed = {"Result": "JobFailed", "Exception": {"Message": "gone"}}
    end = {"Event": "SparkListenerJobEnd", "Job ID": 0, "Completion Time": late.clock + 50, "Job Result": failed}
    with late.path.open("ab") as file:
        file.write(orjson.dumps(end) + b"\n")
    ingest_file(store, late.path, now=0)
    assert applications(store)[0]["failed_jobs"] == 1


def test_the_same_local_id_on_two_machines_is_two_applications(store: Store, tmp_path: Path) -> None:
    for number, start in enumerate((START, START + 5)):
        made = Journal(tmp_path / str(number), "local-1", name=f"app {number}", start=start)
        ingest_file(store, made.end(), now=0)
    assert len(applications(store)) == 2


def test_each_attempt_of_an_application_has_its_own_row(store: Store, tmp_path: Path) -> None:
    for attempt in ("1", "2"):
        made = Journal(tmp_path / attempt, "application_1_0001", name="train", start=START, attempt=attempt)
        ingest_file(store, made.job().end(), now=0)
    assert sorted((row["attempt"], row["jobs"]) for row in applications(store)) == [("1", 1), ("2", 1)]


def test_a_run_that_was_read_from_mlflow_first_is_linked_when_its_application_comes(
    store: Store, tmp_path: Path
) -> None:
    run = {"run_id": "b" * 32, "experiment_id": "1", "status": "FINISHED", "start_time": START + 10,
           "tags": {"spark.app.id": "local-9", "spark.app.startTime": str(START)}}  # fmt: skip
    with store.write() as conn:
        take_in_run(conn, run, server="s", tracking_uri="u", as_of=START)
    ingest_file(store, Journal(tmp_path, "local-9", name="x", start=START).end(), now=0)
    with store.read() as conn:
        row = search_runs(conn, Query()).rows[0]
    assert [each["app_id"] for each in row["applications"]] == ["local-9"]
    assert applications(store)[0]["runs"] == 1


def test_a_runs_end_that_is_told_after_the_applications_end_is_in_the_snapshot_of_that_end(
    store: Store, tmp_path: Path
) -> None:
    made = Journal(tmp_path, "local-5", name="late", start=START)
    run = made.run_start("c" * 32, "late")
    made.end()
    ingest_file(store, made.path, now=0)
    made.run_end(run, metrics={"loss": 1})
    ingest_file(store, made.path, now=0)
    with store.read() as conn:
        taken = {each["cause"]: each["id"] for each in snapshots.snapshots_of(conn, "run", "c" * 32)}
        at_the_end = snapshots.content(conn, taken["application end"])
    assert (at_the_end["status"], at_the_end["metrics"]) == ("FINISHED", {"loss": 1})


def test_journals_that_grow_and_new_ones_are_met_at_each_poll_and_long_silent_ones_with_all(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "SHARE", 1e-9)  # as if it took long to look at all of them
    monkeypatch.setattr(journals, "ACTIVE_SECONDS", -60.0)
    folder = tmp_path / "many"
    silent = Journal(folder, "local-1", name="silent", start=START)
    tail = Tail(store, [folder])
    tail.poll(START)
    silent.end()
    assert tail.poll(START + 1).lines == 0
    assert tail.looked == START
    monkeypatch.setattr(journals, "ACTIVE_SECONDS", 60.0)
    active = Journal(folder, "local-2", name="active", start=START)
    assert tail.poll(START + 2).lines > 0
    assert tail.looked == START + 2
    assert {row["app_id"]: row["status"] for row in applications(store)} == {
        "local-1": "SUCCEEDED",
        "local-2": "RUNNING",
    }
    active.end()
    assert tail.poll(START + 3).lines > 0
    assert tail.looked == START + 2
