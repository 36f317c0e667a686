"""Forgetting: what a person had erased is nowhere in the database afterwards, and does not come back."""

import shutil
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from mlflow import MlflowClient

from afterglow_monitor.cli import cli
from afterglow_monitor.clock import now_ms
from afterglow_monitor.settings import MlflowServer, load_settings
from afterglow_monitor.syncing.sync import ServerSync
from afterglow_store import Store, audit, ingest_file, open_store, saved_views
from afterglow_store.errors import NotFound
from afterglow_store.forget import find, forget
from afterglow_store.schema import application, audit_entry, job, metadata, run, run_metric, run_term, snapshot_content
from afterglow_store.tombstones import EXPERIMENT, NOBODY, RUN, USER
from tests.support.journals import Journal, run_id_of

START = 1_790_000_000_000
NOW = START + 3_600_000
SECRET, OTHER, CHILD = run_id_of("secret"), run_id_of("other"), run_id_of("child")
# What only the secret run and its child have; the user and the experiment are told of in other rows as well.
TRACES = (SECRET, CHILD, "secret-name", "secret-param", "secret-tag", "secret-metric", "secret-file", "secret-note")


@pytest.fixture
def journal(store: Store, tmp_path: Path) -> Path:
    """An application of zoe's with two runs and a child of one; a person has settled the one to be forgotten."""
    told = Journal(tmp_path / "journal", "app-1", name="train", start=START, user="zoe")
    where = {"experiment_id": "7", "experiment_name": "secret-experiment"}
    secret = told.run_start(SECRET, "secret-name", params={"secret-param": "5"}, tags={"t": "secret-tag"}, **where)
    child = told.run_start(CHILD, "a part of it", parent=SECRET, **where)
    told.job(SECRET, description=f"fit for {SECRET}", error=f"run {SECRET} failed")
    told.run_end(child)
    told.run_end(secret, metrics={"secret-metric": 1}, outputs=[{"path": "secret-file", "size": 1}])
    other = told.run_start(OTHER, "other", params={"depth": "5"})
    told.job(OTHER)
    told.run_end(other, metrics={"loss": 2})
    path = told.end(f"ValueError: {SECRET} is no good")
    ingest_file(store, path, now=START)
    with store.write() as conn:
        after = {"note": "secret-note"}
        audit.record(conn, who="zoe", time=START, action="settle", run_id=SECRET, before={}, after=after)
        audit.record(conn, who="zoe", time=START, action="settle", run_id=OTHER, before={}, after={})
    return path


def erase(store: Store, kind: str, name: str) -> None:
    with store.read() as conn:
        found = find(conn, kind, name)
    _, clean = forget(store, found, who="grace", now=NOW)
    assert clean


def bytes_of(store: Store) -> bytes:
    """All that is in the database's files or, of a PostgreSQL that is not ours, in its rows; contents unpacked."""
    if store.engine.dialect.name == "sqlite":
        path = Path(str(store.engine.url.database))
        return b"".join(each.read_bytes() for each in sorted(path.parent.glob(f"{path.name}*")))
    with store.read() as conn:
        tables = (conn.execute(sa.text(f"SELECT t::text FROM {each.name} t")) for each in metadata.sorted_tables)
        return "\n".join(text for rows in tables for (text,) in rows).encode()


def contents(store: Store) -> list[bytes]:
    with store.read() as conn:
        return list(conn.scalars(sa.select(snapshot_content.c.content)))


def in_store(store: Store) -> set[str]:
    with store.read() as conn:
        return set(conn.scalars(sa.select(run.c.name)))


def test_of_a_forgotten_run_and_those_below_it_nothing_is_left_in_the_database(store: Store, journal: Path) -> None:
    before, packed = bytes_of(store), contents(store)
    assert [trace for trace in TRACES[:6] if trace.encode() not in before] == []
    erase(store, RUN, SECRET)
    after = bytes_of(store)
    assert [trace for trace in TRACES if trace.encode() in after] == []
    gone = [content for content in packed if content not in contents(store)]
    assert len(gone) == 2
    assert [content for content in gone if content in after] == []
    assert in_store(store) == {"other"}
    with store.read() as conn:
        kept = conn.scalar(sa.select(run.c.id))
        assert set(conn.scalars(sa.select(run_term.c.run))) == set(conn.scalars(sa.select(run_metric.c.run))) == {kept}


def test_the_jobs_of_a_forgotten_run_stay_as_jobs_of_no_run(store: Store, journal: Path) -> None:
    erase(store, RUN, SECRET)
    with store.read() as conn:
        first, second = conn.execute(sa.select(job).order_by(job.c.job_id)).all()
        app = conn.execute(sa.select(application)).one()
    assert (first.run_id, first.tags, first.description) == (None, [f"mlflow.run_id={NOBODY}"], f"fit for {NOBODY}")
    assert second.run_id == OTHER
    assert (app.jobs, app.runs, app.overhead_core_ms) == (2, 1, first.core_ms)
    assert app.driver_error == f"ValueError: {NOBODY} is no good"


def test_a_copy_of_the_journal_does_not_bring_a_forgotten_run_back(store: Store, journal: Path, tmp_path: Path) -> None:
    erase(store, RUN, SECRET)
    ingest_file(store, Path(shutil.copy(journal, tmp_path / "copy.jsonl")), now=NOW)
    assert in_store(store) == {"other"}
    found = bytes_of(store)
    assert SECRET.encode() not in found
    assert b"secret-tag" not in found


def test_a_user_is_forgotten_with_runs_and_applications_and_what_they_begin_later_is_new(
    store: Store, journal: Path, tmp_path: Path
) -> None:
    for owner in (saved_views.of_person("zoe"), saved_views.of_person("grace")):
        saved_views.keep(store, owner, saved_views.LAST, {"tab": ["runs"]}, now=1)
    erase(store, USER, "zoe")
    with store.read() as conn:
        assert saved_views.last(conn, saved_views.of_person("zoe")) is None
        assert saved_views.last(conn, saved_views.of_person("grace")) is not None
    assert [trace for trace in (*TRACES, "zoe") if trace.encode() in bytes_of(store)] == []
    ingest_file(store, Path(shutil.copy(journal, tmp_path / "copy.jsonl")), now=NOW)
    with store.read() as conn:
        assert conn.execute(sa.select(application)).all() == []
        [entry] = conn.execute(sa.select(audit_entry)).all()  # that it was done, not of whom
    assert (entry.who, entry.action, entry.after["kind"]) == ("grace", "forget", USER)
    later = Journal(tmp_path / "later", "app-2", name="later", start=NOW + 1, user="zoe")
    later.run_end(later.run_start(run_id_of("later"), "later"))
    ingest_file(store, later.end(), now=NOW + 2)
    assert in_store(store) == {"later"}


def test_an_experiment_is_forgotten_with_its_runs_and_those_that_a_journal_tells_of_later(
    store: Store, journal: Path, tmp_path: Path
) -> None:
    erase(store, EXPERIMENT, "secret-experiment")
    assert [trace for trace in (*TRACES, "secret-experiment") if trace.encode() in bytes_of(store)] == []
    more = Journal(tmp_path / "more", "app-3", name="more", start=NOW + 1)
    new = more.run_start(run_id_of("new"), "new", experiment_id="7", experiment_name="secret-experiment")
    more.job(run_id_of("new"))
    more.run_end(new)
    ingest_file(store, more.end(), now=NOW + 2)
    assert in_store(store) == {"other"}
    assert run_id_of("new").encode() not in bytes_of(store)
    with store.read() as conn, pytest.raises(NotFound, match="user nobody has no run and no application"):
        find(conn, USER, "nobody")


def test_sync_with_a_real_mlflow_does_not_bring_back_what_was_forgotten(store: Store, mlflow_server: str) -> None:
    client = MlflowClient(tracking_uri=mlflow_server)
    first, second = (client.create_experiment(f"forgotten {uuid4().hex[:8]}") for _ in range(2))
    run_id, _, stays = (client.create_run(each, run_name=each).info.run_id for each in (first, second, first))

    def synced() -> tuple[set[str], int]:
        ServerSync(store, MlflowServer(name="team", uri=mlflow_server), load_settings({}).sync).poll(now_ms())
        with store.read() as conn:
            ours = run.c.experiment_id.in_((first, second))
            names = sa.text("SELECT count(*) FROM experiment WHERE experiment_id = :id").bindparams(id=second)
            return set(conn.scalars(sa.select(run.c.run_id).where(ours))), conn.scalar(names) or 0

    assert len(synced()[0]) == 3
    erase(store, RUN, run_id)
    erase(store, EXPERIMENT, second)
    client.set_tag(run_id, "still", "edited")
    assert synced() == ({stays}, 0)


def test_killed_midway_it_goes_on_with_the_next_call(
    store: Store, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    monkeypatch.setattr("afterglow_store.forget.RUNS", 1)
    with monkeypatch.context() as until_the_vacuum:
        until_the_vacuum.setattr("afterglow_store.forget.erase_traces", killed)
        with pytest.raises(Killed):
            erase(store, RUN, SECRET)
    erase(store, RUN, SECRET)
    assert SECRET.encode() not in bytes_of(store)


def test_the_command_shows_first_asks_and_then_erases(tmp_path: Path) -> None:
    with closing(open_store(f"sqlite:///{tmp_path / 'store.db'}")) as store:
        told = Journal(tmp_path / "journal", "app-1", name="train", start=START, user="zoe")
        told.run_end(told.run_start(SECRET, "secret-name"))
        ingest_file(store, told.end(), now=START)

    def afterglow(*arguments: str, answer: str = "", code: int = 0) -> str:
        done = CliRunner().invoke(cli, ["forget", *arguments], env={"AFTERGLOW_HOME": str(tmp_path)}, input=answer)
        assert done.exit_code == code, done.output
        return done.output

    assert f"run {SECRET}: 1 runs, 0 applications\nNothing was erased." in afterglow("--run", SECRET, "--dry-run")
    afterglow("--run", SECRET, answer="n\n", code=1)
    assert "Erased: 1 runs, 2 snapshots" in afterglow("--run", SECRET, answer="y\n")
    assert "Erased: nothing" in afterglow("--run", SECRET, "--yes")  # as after a call that was killed
    assert "1 applications" in afterglow("--user", "zoe", "--dry-run")
    for option in ("--run", "--user", "--experiment"):
        assert "in the store" in afterglow(option, "unheard-of", "--yes", code=1)
    assert "name one of" in afterglow("--run", SECRET, "--user", "zoe", code=2)
