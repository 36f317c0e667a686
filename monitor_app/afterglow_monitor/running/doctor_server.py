"""The server's part of the doctor: settings, store, worker, tracking servers, and whether runs get their tags."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing

from sqlalchemy.exc import SQLAlchemyError

from afterglow_monitor.clock import now_ms
from afterglow_monitor.errors import MonitorError
from afterglow_monitor.running.doctor import OK, WARNING, WRONG, Finding
from afterglow_monitor.secrets import hushed
from afterglow_monitor.settings import MlflowServer, Settings, load_settings
from afterglow_store import Query, Store, Window, leases, migrate, search_runs
from afterglow_store.engine import connect
from afterglow_store.errors import StoreError

LATELY_MS = 7 * 86_400_000
RUNS = 100
LATE_BEAT_MS = 30_000


def examine() -> Iterator[Finding]:
    try:
        settings = load_settings()
        settings.collector.read_secrets()
    except MonitorError as exc:
        yield Finding("settings", WRONG, str(exc), "mend afterglow.toml: conf/afterglow.toml lists every setting")
        return
    yield Finding("settings", OK, str(settings.home))
    yield from _store(settings)
    for server in settings.mlflow:
        yield tracking_server(server)
    if not settings.mlflow:
        todo = "add [[mlflow]] to afterglow.toml, or set MLFLOW_TRACKING_URI"
        yield Finding("tracking server", WARNING, "none is configured", todo)


def _store(settings: Settings) -> Iterator[Finding]:
    try:
        with closing(connect(settings.store.url)) as store:
            yield from _of_store(store)
    except (StoreError, SQLAlchemyError) as exc:
        said = hushed(str(exc).splitlines()[0])
        yield Finding("store", WRONG, said, "is the database there, and are store.url and the password right?")


def _of_store(store: Store) -> Iterator[Finding]:
    with store.read() as conn:
        at = migrate.revision(conn)
    if at != migrate.HEAD:
        newer = at is not None and at > migrate.HEAD
        todo = "upgrade this installation" if newer else "afterglow up brings it up to date, or afterglow db upgrade"
        said = f"{store.url} has schema {at or 'none'}, this Afterglow needs {migrate.HEAD}"
        yield Finding("store", WRONG if newer else WARNING, said, todo)
        return
    yield Finding("store", OK, f"{store.url}, schema {at}")
    with store.read() as conn:
        beat = leases.last_beat(conn)
    if beat is None or beat > LATE_BEAT_MS:
        since = "" if beat is None else f" for {beat // 1000} s"
        yield Finding("worker", WARNING, f"none has worked on this store{since}", "start `afterglow up`")
    else:
        yield Finding("worker", OK, "at work")
    yield tags(store)


def tags(store: Store) -> Finding:
    """Whether the newest runs have their link to a Spark application."""
    now = now_ms()
    with store.read() as conn:
        rows = search_runs(conn, Query(window=Window(now - LATELY_MS), limit=RUNS, count=False)).rows
    tagged = sum("spark.app.id" in (row["tags"] or {}) for row in rows)
    if not rows:
        return Finding("tags", OK, "no run started within 7 days")
    said = f"{tagged} of the newest {len(rows)} runs have spark.app.id"
    if tagged:
        return Finding("tags", OK, said)
    todo = "is Afterglow installed where the jobs' Python runs, and AFTERGLOW_DISABLED unset? docs/links.md"
    return Finding("tags", WARNING, said, todo)


def tracking_server(server: MlflowServer) -> Finding:
    """Asked for one experiment, by its address and, where it has one, by its database."""
    what = f"tracking server {server.name}"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from afterglow_monitor.syncing.sync import TROUBLE, source_of  # noqa: PLC0415 - MLflow takes seconds to import

    try:
        source_of(server).experiments()
    except TROUBLE as exc:
        said = hushed(str(exc).splitlines()[0] if str(exc) else repr(exc))
        return Finding(what, WRONG, said[:300], "is it running, and are its uri, credentials and database right?")
    return Finding(what, OK, server.uri if not server.database else "its database answers")
