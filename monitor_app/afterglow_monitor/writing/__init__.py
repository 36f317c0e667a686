"""What people change through Afterglow. The audit comes first, with what is asked for; then MLflow; then the store, and
the audit with what was done: what MLflow did not take is in the audit alone.

settle.py       what became of orphaned runs
linking.py      of which application a run is
tags.py         a run's tags, of one run or of many
models.py       a run's model as a version of a registered one
experiments.py  new experiments
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from mlflow.exceptions import MlflowException
from requests import RequestException
from requests.exceptions import ConnectionError as NoConnection

from afterglow.run_details import run_details
from afterglow_monitor.errors import CannotWrite, MonitorError
from afterglow_monitor.secrets import hushed
from afterglow_monitor.settings import MlflowServer, Settings
from afterglow_monitor.syncing.clients import tracking_client
from afterglow_store import Store, audit, snapshots, tracking
from afterglow_store.items import run_by_id
from afterglow_store.runs import refresh_sums, take_in_run

Row = dict[str, Any]

NO_ANSWER = "gave no answer about"  # instead of "did not take it for", where nothing is written

_CODE = re.compile(r"^[A-Z_]+: ")  # with which MLflow begins what it says
_UNREACHABLE = re.compile(r"Max retries exceeded|Connection (?:refused|aborted)|timed out|No address associated")


@dataclass(frozen=True)
class Writer:
    """Who writes, and with what. `client_of` gives the MLflow client of a run's row. Raises `refusal` for whom the
    server does not let write: nothing is written without one of these."""

    store: Store
    who: str
    client_of: Callable[[Row], Any]
    allowed: bool = True

    refusal: ClassVar[type[MonitorError]] = CannotWrite

    def __post_init__(self) -> None:
        if not self.allowed:
            raise self.refusal("nothing was changed: you may see here, but not write")

    def row(self, run_id: str) -> Row:
        """Raises NotFound."""
        with self.store.read() as conn:
            return run_by_id(conn, run_id)

    def ask(self, what: str, request: Callable[[], Any], *, failed: str = "did not take it for") -> Any:
        """MLflow's answer. Raises `refusal`, which names `what` it was about."""
        try:
            return request()
        except (MlflowException, RequestException, OSError) as exc:
            raise self.refusal(f"MLflow {failed} {what}: {plain_words(exc)}") from exc

    def details(self, client: Any, row: Row, *, whole: bool = True) -> Row:
        """What MLflow has of the run now; not `whole`: without its files and versions, which take longer."""
        asked = {"experiment_name": row["experiment"], "outputs": whole, "versions": whole}
        return dict(self.ask(f"run {row['run_id']}", lambda: run_details(client, row["run_id"], **asked)))

    def take_in(self, conn: Any, row: Row, details: Row, now: int) -> None:
        """Bring the run's row up to what MLflow said, and what it adds up."""
        as_of = max(now, row["as_of"])
        where = {"server": row["server"], "tracking_uri": row["tracking_uri"]}
        take_in_run(conn, details, **where, as_of=as_of, cause=snapshots.SYNC)
        refresh_sums(conn, [row["run_id"]])

    @contextmanager
    def audited(self, action: str, run_id: str, asked: Row, now: int) -> Iterator[int]:
        """For the time in which MLflow is asked for a change: the id of its entry, which `audit.finish` ends."""
        with self.store.write() as conn:
            entry = audit.begin(conn, who=self.who, time=now, action=action, run_id=run_id, asked=asked)
        try:
            yield entry
        except MonitorError as exc:
            with self.store.write() as conn:
                audit.refused(conn, entry, str(exc))
            raise


def plain_words(exc: Exception) -> str:
    """What a person can use of an error: without MLflow's codes, credentials and stacks of connections."""
    said = hushed(str(exc))
    if isinstance(exc, NoConnection) or _UNREACHABLE.search(said):
        return "its server does not answer"
    first = _CODE.sub("", said.strip()).split("\n")[0]
    return first if len(first) <= 300 else first[:299] + "…"


def clients(settings: Settings) -> Callable[[Row], Any]:
    """MLflow's client for a run's row: of the configured server that has it, else of the URI that its journal named.

    A person waits for the answer: a server that is down is given up after seconds, not after MLflow's four minutes.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    servers = {server.name: server for server in settings.mlflow}
    for server in settings.mlflow:
        servers |= {tracking.plain(uri): server for uri in (server.uri, *server.aliases)}

    def client_of(row: Row) -> Any:
        server = servers.get(row["server"]) or servers.get(tracking.plain(row["tracking_uri"]))
        uri = row["tracking_uri"] if server is None else server.client_uri()
        return tracking_client(uri, row["workspace"])

    return client_of


def client_of_server(server: MlflowServer) -> Any:
    """As `clients`, of a server itself."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    return tracking_client(server.client_uri())
