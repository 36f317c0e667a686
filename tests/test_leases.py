"""Background jobs: each is one process's at a time, and another's soon after that one is gone."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from afterglow_monitor.running import process_id
from afterglow_monitor.running.background import Job, Jobs
from afterglow_store import Store, leases, tracking
from afterglow_store.engine import connect
from afterglow_store.report import behind
from afterglow_store.schema import background_job


def counting(store: Store, holder: str, **options: int) -> tuple[Jobs, Job[list[int]], list[list[int]]]:
    """The jobs of a process, one job of it, and all that was ever made for it."""
    made: list[list[int]] = []

    def make() -> list[int]:
        made.append([])
        return made[-1]

    jobs = Jobs(store, holder=holder, **options)
    return jobs, jobs.add("count", Job("count", make)), made


def test_a_job_is_the_firsts_until_it_gives_it_back(store: Store) -> None:
    first, its, _ = counting(store, "one")
    second, others, _ = counting(store, "two")
    assert first.renew() == {"count"}
    assert second.renew() == set()
    assert (its.held, others.held) == (True, False)
    first.release()
    assert (its.held, second.renew(), first.renew()) == (False, {"count"}, set())


def test_a_job_is_anothers_once_its_lease_has_run_out(store: Store) -> None:
    first, its, made = counting(store, "one", lease_ms=300)
    second, others, _ = counting(store, "two", lease_ms=300)
    first.renew()
    its.part(lambda mine, now: mine.append(now))()
    deadline = time.monotonic() + 30
    while not second.renew():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not its.held
    assert others.held
    its.part(lambda mine, now: mine.append(now))()
    assert [len(each) for each in made] == [1]  # who has lost it does it no more


def test_what_remembers_how_far_it_is_is_made_anew_after_another_did_it(store: Store) -> None:
    first, its, made = counting(store, "one")
    second, _, _ = counting(store, "two")
    part = its.part(lambda mine, now: mine.append(now))
    first.renew()
    part()
    part()
    first.release()
    second.renew()
    first.renew()
    second.release()
    first.renew()
    part()
    assert [len(each) for each in made] == [2, 1]


def test_of_many_at_once_each_job_is_one_s(store_url: str, store: Store) -> None:
    names = [f"job {number}" for number in range(8)]
    taken: list[set[str]] = []
    start = threading.Barrier(4)

    def take(holder: str) -> None:
        mine = connect(store_url)
        start.wait(30)
        taken.append(leases.renew(mine, {name: leases.Note(name) for name in names}, holder=holder, host="h"))
        mine.close()

    threads = [threading.Thread(target=take, args=(f"process {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(name for each in taken for name in each) == names


def test_a_job_says_how_it_goes_whoever_does_it(store: Store) -> None:
    def fails(_: object, __: int) -> None:
        raise ValueError("postgresql://me:hush@h/d is full")

    for holder in ("one", "two"):
        jobs, job, _ = counting(store, holder)
        jobs.renew()
        job.part(lambda mine, now: mine.append(now))()
        job.part(fails)()
        jobs.renew()
        jobs.release()
    with store.read() as conn:
        [row] = leases.jobs(conn)
    assert (row["times"], row["failures"], row["held"]) == (2, 2, False)
    assert row["error"] == "ValueError: postgresql://***@h/d is full"
    assert row["took_ms"] is not None


def test_a_store_that_does_not_answer_costs_no_job_before_its_lease_is_over(store: Store) -> None:
    jobs, job, _ = counting(store, "one")
    jobs.renew()
    with store.write() as conn:
        conn.execute(sa.text("ALTER TABLE background_job RENAME TO gone"))
    assert jobs.renew() == {"count"}
    assert job.held
    with store.write() as conn:
        conn.execute(sa.text("ALTER TABLE gone RENAME TO background_job"))


def test_a_process_that_was_killed_here_is_not_waited_for(store: Store) -> None:
    program = "import sys; from afterglow_monitor.running.process_id import this_process as me; "
    program += "print(me(), flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        holder = other.stdout.readline().strip()
        assert not process_id.is_gone(holder)
        counting(store, holder)[0].renew()
        mine, _, _ = counting(store, process_id.this_process())
        assert mine.renew() == set()
        other.kill()
        other.wait(30)
        assert process_id.is_gone(holder)
        assert mine.renew() == {"count"}


@pytest.mark.parametrize("holder", ["", "one", "elsewhere/other-boot:pid:[1]/1/1", "a/b/c"])
def test_of_a_process_elsewhere_nobody_knows_that_it_is_gone(holder: str) -> None:
    assert not process_id.is_gone(holder)
    assert not process_id.is_gone(process_id.this_process())


def test_a_folder_has_one_name_by_whatever_path_and_two_folders_have_two(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    os.symlink(tmp_path / "a", tmp_path / "same")
    assert process_id.folder_id(str(tmp_path / "a")) == process_id.folder_id(str(tmp_path / "same"))
    assert process_id.folder_id(str(tmp_path / "a")) != process_id.folder_id(str(tmp_path / "b"))
    assert process_id.folder_id("s3://bucket/logs") == "s3://bucket/logs"


def test_a_server_that_was_taken_away_is_not_waited_for_to_judge_silence(store: Store) -> None:
    note = leases.Note("journals /a", listens=True)
    leases.renew(store, {"here": note, "away": note}, holder="one", host="h")
    looked = leases.Note("journals /a", listens=True, looked=7, first_looked=5)
    leases.renew(store, {"here": looked, "away": looked}, holder="one", host="h")
    with store.write() as conn:
        assert [row["looked"] for row in leases.listeners(conn)] == [7, 7]
        for_long = background_job.c.until - leases.LEASE_MS - leases.FORSAKEN_MS
        conn.execute(sa.update(background_job).where(background_job.c.name == "away").values(until=for_long))
        assert [row["looked"] for row in leases.listeners(conn)] == [7]
        conn.execute(sa.update(background_job).where(background_job.c.name == "away").values(until=0))
    assert leases.drop_forsaken(store) == 1
    with store.read() as conn:
        assert [row["name"] for row in leases.jobs(conn)] == ["here"]


def test_a_server_is_behind_that_does_not_answer_or_was_not_read_for_long_unless_it_still_loads(store: Store) -> None:
    now, late_ms = 1_790_000_000_000, 180_000
    read = {"fresh": now - late_ms, "late": now - late_ms - 1, "loading": now - 86_400_000, "never": None}
    with store.write() as conn:
        for name, time_ms in read.items():
            tracking.know_server(conn, name, f"http://{name}", [])
            tracking.note_progress(conn, name, last_sync_time=time_ms, loaded_time=None if name == "loading" else 1)
        tracking.know_server(conn, "silent", "http://silent", [])
        tracking.synced(conn, "silent", now, "it does not answer")
    with store.read() as conn:
        found = behind(conn, now=now, late_ms=late_ms)
    assert [each["name"] for each in found["servers"]] == ["late", "silent"]
    assert not found["no_worker"]  # none was ever here: something else may fill this store


def test_a_worker_that_was_here_and_is_gone_is_missed(store: Store) -> None:
    jobs, _, _ = counting(store, "one")
    for act, missed in ((jobs.renew, False), (jobs.release, True)):
        act()
        with store.read() as conn:
            assert behind(conn, now=0, late_ms=0)["no_worker"] is missed
