"""/metrics: how Afterglow itself is, as Prometheus reads it. docs/operate.md lists them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from anyio import to_thread
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import afterglow
from afterglow_monitor.clock import now_ms
from afterglow_monitor.collecting.admission import admit
from afterglow_monitor.collecting.bodies import Refused
from afterglow_monitor.running import probes
from afterglow_monitor.running.measured import REGISTRY
from afterglow_store.errors import StoreError
from afterglow_store.report import report

logger = logging.getLogger(__name__)

PATH = "/metrics"
Row = Mapping[str, Any]

# name: what it is, and of what. Counters get `_total`.
FROM_STORE = {
    "afterglow_store_up": ("1 where the store answers", ()),
    "afterglow_build": ("1; which version this is, and the store's schema", ("version", "schema")),
    "afterglow_store_bytes": ("How much room the store takes", ()),
    "afterglow_ingest_lag_seconds": ("How old what the rows do not have yet may be, by what is listened to", ("job",)),
    "afterglow_received_chunks": ("Pieces of journals that wait to be taken in", ()),
    "afterglow_received_bytes": ("Bytes of journals that wait to be taken in", ()),
    "afterglow_lost_events": ("Events that the journals of the last day's applications lack", ()),
    "afterglow_bad_lines": ("Lines of the last day's applications that could not be read", ()),
    "afterglow_sync_last_seconds": ("When the tracking server last answered, in seconds since 1970", ("server",)),
    "afterglow_sync_failing": ("1 where the tracking server did not answer the last time", ("server",)),
    "afterglow_sync_loaded_runs": ("Runs that the first load of a tracking server has taken in", ("server",)),
    "afterglow_job_held": ("1 where a worker does this background job", ("job",)),
    "afterglow_job_last_seconds": ("When the job was last done, in seconds since 1970", ("job",)),
    "afterglow_job_took_seconds": ("How long it took the last time", ("job",)),
    "afterglow_job_times": ("How often the job was done", ("job",)),
    "afterglow_job_failures": ("How often the job failed", ("job",)),
    "afterglow_alerts": ("Alerts that are waiting, being sent, sent, given up", ("state",)),
}  # fmt: skip
COUNTERS = ("afterglow_job_times", "afterglow_job_failures")


def routes() -> list[Route]:
    return [Route(PATH, _get, methods=["GET"])]


async def _get(request: Request) -> Response:
    try:
        admit(request)
    except Refused as exc:
        return JSONResponse({"error": exc.sentence}, exc.status, headers=exc.headers)
    return Response(await to_thread.run_sync(_exposed), media_type=CONTENT_TYPE_LATEST)


def _exposed() -> bytes:
    return generate_latest(_OF_STORE) + generate_latest(REGISTRY)


class _Store(Collector):
    def collect(self) -> Iterable[Metric]:
        try:
            with probes.store().read() as conn:
                found = report(conn, now=now_ms())
        except (StoreError, SQLAlchemyError):
            logger.exception("the store cannot say how it is")
            yield _metric("afterglow_store_up", [((), 0)])
            return
        yield from (_metric(name, values) for name, values in measured(found).items())

    def describe(self) -> Iterable[Metric]:
        return ()  # or it would be asked while this module is imported


Values = list[tuple[tuple[str, ...], float]]


def measured(found: Row) -> dict[str, Values]:
    """The values of each of FROM_STORE, from a report of the store."""
    jobs, servers = found["jobs"], found["servers"]
    return {
        "afterglow_store_up": [((), 1)],
        "afterglow_build": [((afterglow.__version__, found["schema"] or ""), 1)],
        "afterglow_store_bytes": [((), found["store_bytes"])],
        "afterglow_ingest_lag_seconds": list(_each(jobs, "title", "lag_ms", 1000)),
        "afterglow_received_chunks": [((), found["chunks"])],
        "afterglow_received_bytes": [((), found["chunk_bytes"])],
        "afterglow_lost_events": [((), found["lost_events"])],
        "afterglow_bad_lines": [((), found["bad_lines"])],
        "afterglow_sync_last_seconds": list(_each(servers, "name", "last_sync_time", 1000)),
        "afterglow_sync_failing": [((row["name"],), float(row["last_error"] is not None)) for row in servers],
        "afterglow_sync_loaded_runs": list(_each(servers, "name", "loaded_runs")),
        "afterglow_job_held": list(_each(jobs, "title", "held")),
        "afterglow_job_last_seconds": list(_each(jobs, "title", "began_time", 1000)),
        "afterglow_job_took_seconds": list(_each(jobs, "title", "took_ms", 1000)),
        "afterglow_job_times": list(_each(jobs, "title", "times")),
        "afterglow_job_failures": list(_each(jobs, "title", "failures")),
        "afterglow_alerts": [((state,), number) for state, number in sorted(found["alerts"].items())],
    }


def _each(rows: list[Row], label: str, column: str, unit: int = 1) -> Iterator[tuple[tuple[str, ...], float]]:
    """Of several with one name, which two servers' folders may have, the largest counts."""
    largest: dict[str, float] = {}
    for row in rows:
        if row[column] is not None:
            largest[row[label]] = max(largest.get(row[label], 0.0), row[column] / unit)
    return (((name,), value) for name, value in largest.items())


def _metric(name: str, values: Values) -> Metric:
    help_, labels = FROM_STORE[name]
    family = (CounterMetricFamily if name in COUNTERS else GaugeMetricFamily)(name, help_, labels=labels)
    for of, value in values:
        family.add_metric(of, value)
    return family


_OF_STORE = CollectorRegistry()
_OF_STORE.register(_Store())
