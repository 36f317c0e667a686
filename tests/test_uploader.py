"""The listener's uploader in real drivers: all that a job leaves arrives, and no job waits for a collector."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from afterglow_monitor.settings import CollectorSettings
from afterglow_store import Query, Store, open_store, search_applications
from afterglow_store.schema import journal_chunk
from afterglow_store.sources import plain
from tests.support.collecting import HANGS, WELL, CollectorServer, running_collector
from tests.support.spark import SparkJob, spark_submit

SECRET = "what-the-driver-shows-0123456789"
JOB = """
import sys, time
from pyspark import SparkContext
spark = SparkContext()
print("COUNT", [spark.parallelize(range(7), 2).count() for _ in range(3)])
began = time.monotonic()
spark.stop()
print("STOP", time.monotonic() - began)
sys.exit(3)
"""


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    with closing(open_store(sqlite_url)) as opened:
        yield opened


def conf(server: CollectorServer, **more: str) -> Mapping[str, str]:
    keys = {f"spark.afterglow.{name.replace('_', '.')}": value for name, value in more.items()}
    return {"spark.afterglow.collector.url": server.url, **keys}


def applications(store: Store) -> list[dict[str, object]]:
    with store.read() as conn:
        return search_applications(conn, Query()).rows


def is_as_without_a_collector(job: SparkJob) -> None:
    assert job.returncode == 3, job.stderr
    assert "COUNT [7, 7, 7]" in job.stdout


def test_all_of_a_job_arrives_without_its_secret_and_its_journal_is_gone_once_that_is_confirmed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_SECRET", SECRET)
    settings = CollectorSettings(secrets=("env:THE_SECRET",))
    with running_collector(store, settings) as server:
        shown = conf(server, collector_secret=SECRET)
        job = spark_submit(JOB, home=tmp_path / "home", conf={**shown, "spark.redaction.regex": "nothing at all"})
        is_as_without_a_collector(job)
        assert "AfterglowListener:" not in job.stderr, job.stderr
        with store.read() as conn:
            chunks = [plain(*row) for row in conn.execute(sa.select(journal_chunk.c.data, journal_chunk.c.encoding))]
        assert b"spark.afterglow.collector.secret" in b"".join(chunks)
        assert SECRET.encode() not in b"".join(chunks)
        assert server.take_in() > 10
    [row] = applications(store)
    assert (row["status"], row["lost_events"], row["jobs"]) == ("ENDED", 0, 3)
    assert list((tmp_path / "home" / "journal").iterdir()) == []


LONG_JOB = """
import json, os, sys, time
from pyspark import SparkContext

context = SparkContext()
[mine] = [each for each in context._jsc.sc().listenerBus().listeners() if "afterglow" in each.getClass().getName()]
journal, most = mine.journal(), 0
offset = journal.replace(".jsonl", ".offset")

def taken():
    return os.stat(journal).st_blocks * 512

def is_sent():
    return os.path.exists(offset) and int(open(offset).read() or 0) == os.path.getsize(journal)

for _ in range(8):
    for _ in range(5):
        mine.record(json.dumps({"Event": "AfterglowFlood", "Text": "x" * 100_000}))
    mine.flush(5_000)
    most = max(most, taken())
    until = time.monotonic() + 20
    while not (is_sent() and taken() < 700_000) and time.monotonic() < until:
        time.sleep(0.02)
print("COUNT", context.parallelize(range(7), 2).count())
left = sorted(name.split(".")[-1] for name in os.listdir(os.path.dirname(journal)))
print("DISK", most, os.path.getsize(journal), left)
context.stop()
"""


def test_a_journal_that_is_sent_may_grow_for_ever_and_takes_little_of_the_disk(store: Store, tmp_path: Path) -> None:
    with running_collector(store) as server:
        job = spark_submit(LONG_JOB, home=tmp_path, conf=conf(server, journal_maxSize="1m")).succeeded()
        disk, size, left = next(line for line in job.stdout.splitlines() if line.startswith("DISK"))[5:].split(" ", 2)
        assert int(size) > 4_000_000
        assert int(disk) < 1_300_000
        assert left == "['jsonl', 'lock', 'offset']"
        server.take_in()
    [row] = applications(store)
    assert (row["jobs"], row["lost_events"], row["status"]) == (1, 0, "ENDED")
    assert list((tmp_path / "journal").iterdir()) == []


@pytest.mark.matrix  # it takes long
def test_a_collector_that_hangs_costs_the_job_nothing_and_the_next_application_sends_what_was_left(
    store: Store, tmp_path: Path
) -> None:
    with running_collector(store, how=HANGS) as server:
        began = time.monotonic()
        job = spark_submit(JOB, home=tmp_path, conf=conf(server, flush_timeout="1s"))
        is_as_without_a_collector(job)
        assert stop_seconds(job) < 3.2  # Spark's own takes 1.2 on an idle machine
        assert time.monotonic() - began < 60
        assert job.stderr.count("Afterglow cannot send its journal") <= 1
        [left] = job.journals
        server.stop()
        server.how = WELL
        server.start()
        is_as_without_a_collector(spark_submit(JOB, home=tmp_path, conf=conf(server)))
        server.take_in()
    assert sorted(str(row["status"]) for row in applications(store)) == ["ENDED", "ENDED"]
    assert not left.exists()
    assert list((tmp_path / "journal").iterdir()) == []


def stop_seconds(job: SparkJob) -> float:
    return next(float(line.split()[1]) for line in job.stdout.splitlines() if line.startswith("STOP"))
