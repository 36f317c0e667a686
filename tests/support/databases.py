"""A throw-away PostgreSQL cluster for the test session, and a fresh database for each test."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from afterglow_store import Store, open_store
from tests.support.parts import require

STARTUP_SECONDS = 120.0  # of a machine that does other things as well
# Nothing here outlives the session, so nothing has to survive a power cut.
FAST = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=64MB"]


class PostgresCluster:
    """A running server that listens on a Unix socket in `folder` and nowhere else: no port to collide on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}"

    def connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(host=str(self.folder), user="postgres", dbname="postgres", autocommit=True)

    @contextmanager
    def fresh_database(self, template: str = "template0") -> Iterator[str]:
        name = f"afterglow_{uuid4().hex[:12]}"
        names = {"name": sql.Identifier(name), "template": sql.Identifier(template)}
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {name} TEMPLATE {template}").format(**names))
        try:
            yield self.url(name)
        finally:
            # FORCE: a test that leaves a connection open must not stop the next one.
            with self.connect() as connection:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def running_cluster(programs: Path) -> Iterator[PostgresCluster]:
    # In /tmp, not pytest's folder: that one is 0700 and root's, and the server runs as another user then.
    # A short path, too: a Unix socket's address has room for 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="afterglow-pg-", dir="/tmp"))
    user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    if user:
        shutil.chown(folder, user, user)
    try:
        data = _initialise(programs, folder, user)
        yield from _serve(programs, folder, data, user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _initialise(programs: Path, folder: Path, user: str | None) -> Path:
    data = folder / "data"
    options = ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
    made = subprocess.run(
        [str(programs / "initdb"), "-D", str(data), *options],
        user=user,
        group=user,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise RuntimeError(f"initdb failed: {made.stdout}{made.stderr}")
    return data


def _serve(programs: Path, folder: Path, data: Path, user: str | None) -> Iterator[PostgresCluster]:
    settings = [f"unix_socket_directories={folder}", "listen_addresses=", *FAST]
    options = [word for setting in settings for word in ("-c", setting)]
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [programs / "postgres", "-D", data, *options],
            user=user, group=user, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        ) as server,
    ):  # fmt: skip
        try:
            cluster = PostgresCluster(folder)
            _await(cluster, server, log)
            yield cluster
        finally:
            server.send_signal(signal.SIGINT)  # SIGTERM would wait for clients that a test forgot
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()


def _await(cluster: PostgresCluster, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while True:
        try:
            cluster.connect().close()
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text()}") from error
            time.sleep(0.05)
        else:
            return


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[PostgresCluster]:
    with running_cluster(require("postgresql")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def migrated_postgres(postgres_cluster: PostgresCluster) -> Iterator[str]:
    """The name of a database with an empty store, to be copied: twenty migrations take longer than most tests."""
    with postgres_cluster.fresh_database() as url:
        open_store(url).close()
        yield str(sa.make_url(url).database)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with an empty store, to be copied."""
    file = tmp_path_factory.mktemp("store") / "afterglow.db"
    open_store(f"sqlite:///{file}").close()
    return file


def _asks_for_a_store(request: pytest.FixtureRequest) -> bool:
    return "store" in request.fixturenames


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest, postgres_cluster: PostgresCluster) -> Iterator[str]:
    """A fresh PostgreSQL database: with an empty store in it for a test that asks for `store`, else empty."""
    template = request.getfixturevalue("migrated_postgres") if _asks_for_a_store(request) else "template0"
    with postgres_cluster.fresh_database(template) as url:
        yield url


@pytest.fixture
def sqlite_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A SQLite database: with an empty store in it for a test that asks for `store`, else it does not exist yet."""
    file = tmp_path / "afterglow.db"
    if _asks_for_a_store(request):
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), file)
    return f"sqlite:///{file}"


@pytest.fixture(params=["sqlite_url", "postgres_url"], ids=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """A fresh, empty database: each test that asks for it runs once on SQLite and once on PostgreSQL."""
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An empty store."""
    with closing(open_store(store_url)) as opened:
        yield opened
