"""The store: what Afterglow remembers, in SQLite or PostgreSQL.

Nothing outside this package knows SQL. Open a store with `open_store`, then pass one of its connections
(`with store.read() as conn`) to the functions here.
"""

from afterglow_store.engine import Store
from afterglow_store.ingest import Ingested, ingest_event_log, ingest_file, ingest_received
from afterglow_store.migrate import open_store
from afterglow_store.search import (
    Page,
    Query,
    search_applications,
    search_experiments,
    search_runs,
    search_runs_of_unknown_owner,
)
from afterglow_store.small_logs import ingest_event_logs
from afterglow_store.windows import Window, parse_window

__all__ = [
    "Ingested",
    "Page",
    "Query",
    "Store",
    "Window",
    "ingest_event_log",
    "ingest_event_logs",
    "ingest_file",
    "ingest_received",
    "open_store",
    "parse_window",
    "search_applications",
    "search_experiments",
    "search_runs",
    "search_runs_of_unknown_owner",
]
