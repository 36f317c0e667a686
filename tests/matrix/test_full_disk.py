"""A real job whose journal's disk is full for a while, and the hook's own journal on such a disk: `make matrix`.

The disk is a small tmpfs, which takes root.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from afterglow.events import application_end, driver_end
from afterglow.journal import FileJournal
from afterglow_store import Query, Store, ingest_file, open_store, search_applications, search_runs
from tests.support.drivers import PYTHON, Monitor, Process, start
from tests.support.journals import in_spark_s_words
from tests.test_hook_journal import APPLICATION, START, run_end, session_of

pytestmark = [pytest.mark.matrix, pytest.mark.filterwarnings("default")]

STOP_S = 4.0  # Spark's own takes 1.2 on an idle machine
FLOOD = 40
JOB = """
flood = json.dumps({"Event": "AfterglowFlood", "Text": "x" * 50_000})
with mlflow.start_run() as run:
    note(run)
    total = count()
    taken = 0
    for _ in range(FLOOD):
        taken += listener().record(flood)
        flushed = listener().flush(5_000)
    tell("full", json.dumps([taken, flushed]))
    total += count()  # lost, and counted
    listener().flush(5_000)
    Path(os.environ["AFTERGLOW_FILLER"]).unlink()
    total += count()
    tell("room", listener().flush(5_000))
    tell("total", total)
began = time.monotonic()
spark.stop()
tell("stopped", time.monotonic() - began)
sys.exit(3)
""".replace("FLOOD", str(FLOOD))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip  # a skipped test is no evidence
        say(f"a small tmpfs cannot be mounted here (user {os.geteuid()}, not root?): {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    with closing(open_store(sqlite_url)) as opened:
        yield opened


FILL = """
    with contextlib.suppress(OSError), open(os.environ["AFTERGLOW_FILLER"], "ab", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))
    while listener().record('{"Event":"AfterglowTick"}') and listener().flush(5_000):
        pass  # what is left of the journal's last page
"""
FULL_TO_THE_END = "import contextlib\n" + JOB.replace(
    """    Path(os.environ["AFTERGLOW_FILLER"]).unlink()\n""", FILL.removeprefix("\n")
)


@pytest.fixture(params=[JOB])
def job(
    request: pytest.FixtureRequest,
    small_disk: Path,
    tmp_path: Path,
    mlflow_server: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Process]:
    """The job, over. A part of the disk is free at its beginning, and all but what the journal took at its end."""
    filler = small_disk / "filler"
    filler.write_bytes(bytes(600 << 10))
    monkeypatch.setenv("AFTERGLOW_FILLER", str(filler))
    home = tmp_path / "home of the job"
    home.mkdir()
    (home / "journal").symlink_to(small_disk)
    started = start(home, request.param, PYTHON, tracking_uri=mlflow_server)
    try:
        assert started.ended() == 3, started.log
        yield started
    finally:
        started.kill_all()


def test_a_full_disk_costs_a_job_nothing_and_what_it_cost_the_journal_is_counted(
    job: Process, store: Store, mlflow_server: str
) -> None:
    assert json.loads(job.told("full")) == [FLOOD, False]
    assert (job.told("room"), job.told("total")) == ("True", "12")
    assert float(job.told("stopped")) < STOP_S
    assert job.log.count("Afterglow cannot write to") == 1
    lines = read(job)
    floods = sum(each["Event"] == "AfterglowFlood" for each in lines)
    dropped = [each for each in lines if each["Event"] == "AfterglowHeartbeat"][-1]["Dropped"]
    assert lines[-1]["Seq"] + 1 - len(lines) == dropped >= FLOOD - floods > FLOOD / 2
    jobs = [each["Job ID"] for each in in_spark_s_words(lines) if each["Event"] == "SparkListenerJobEnd"]
    assert jobs[0] == 0
    assert jobs[-1] == 2
    monitor = Monitor(store, mlflow_server, job.home)
    assert (monitor.application()["status"], monitor.application()["lost_events"]) == ("FAILED", dropped)
    assert monitor.run(job.told("run"))["effective_status"] == "FINISHED"


@pytest.mark.parametrize("job", [FULL_TO_THE_END], indirect=True)
def test_how_a_job_ended_is_told_though_the_disk_was_full_to_the_end(
    job: Process, store: Store, mlflow_server: str
) -> None:
    assert (job.told("room"), job.told("total")) == ("False", "12")
    assert float(job.told("stopped")) < STOP_S
    lines = read(job)
    names = [each["Event"] for each in lines]
    assert names[-1] == "AfterglowDriverEnd"
    assert "SparkListenerApplicationEnd" in names
    dropped = [each for each in lines if each["Event"] == "AfterglowHeartbeat"][-1]["Dropped"]
    assert lines[-1]["Seq"] + 1 - len(lines) == dropped
    monitor = Monitor(store, mlflow_server, job.home)
    assert (monitor.application()["status"], monitor.application()["lost_events"]) == ("FAILED", dropped)


def read(job: Process) -> list[dict[str, Any]]:
    [path] = (job.home / "journal").glob("*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_a_full_disk_costs_the_hook_s_own_journal_is_counted_and_all_else_is_there(
    small_disk: Path, store: Store
) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(600 << 10))
    session = session_of(FileJournal(small_disk / "journal", APPLICATION))
    runs = [f"{number:032x}" for number in range(2 * FLOOD)]
    taken = {run_id: session.record(run_end(run_id, text="x" * 20_000)) for run_id in runs[:-1]}
    filler.unlink()
    taken[runs[-1]] = session.record(run_end(runs[-1]))
    session.record_in_file(application_end())
    session.record(driver_end(APPLICATION, "clean", None))
    session.beat()
    session.file_journal.close(5)
    there = [run_id for run_id, is_there in taken.items() if is_there]
    assert there[0] == runs[0]
    assert there[-1] == runs[-1]
    assert session.lost == len(runs) - len(there) > FLOOD / 2
    ingest_file(store, session.file_journal.path, now=START)
    with store.read() as conn:
        [row] = search_applications(conn, Query()).rows
        assert {each["run_id"] for each in search_runs(conn, Query(limit=1_000)).rows} == {*there}
    assert (row["lost_events"], row["status"]) == (session.lost, "SUCCEEDED")
