"""What is recorded of runs, on the recorder's thread: reads a run from MLflow, hands the event to the journals."""

import logging
import time
from typing import Any

from afterglow.events import RunEvent
from afterglow.heartbeats import Heartbeats
from afterglow.recorder import Recorder
from afterglow.run_details import RunDetails, run_details
from afterglow.sessions import Session
from afterglow.spark import Application

logger = logging.getLogger("afterglow")

EXPERIMENT_NAME_SECONDS = 60.0  # that a name once read is good for


class RunRecords:
    """Queues what is to be recorded. Every public method returns at once."""

    def __init__(self, recorder: Recorder, heartbeats: Heartbeats) -> None:
        self._recorder = recorder
        self._heartbeats = heartbeats
        self._clients: dict[str, Any] = {}
        self._experiments: dict[tuple[str, str], str | None] = {}  # names, by tracking URI and id
        self._experiments_until = 0.0  # by the monotonic clock

    def start(self, event: RunEvent, session: Session, read_from: Any) -> None:
        """Record a run's start. `read_from` is the run, or its id to read it by."""
        if not self._recorder.put(lambda may_read: self._write(event, [session], read_from, may_read)):
            session.count_loss()

    def end(self, event: RunEvent, sessions: list[Session]) -> None:
        """Record a run's end, in each application that it is linked to."""
        if not self._recorder.put(lambda may_read: self._write(event, sessions, event.run_id, may_read)):
            for session in sessions:
                session.count_loss()

    def tag(self, run_id: str, tracking_uri: str, application: Application) -> None:
        """Have MLflow's tags of an existing run name `application`, unless they name one."""
        self._recorder.put(lambda may_read: self._tag(run_id, tracking_uri, application))

    def _write(self, event: RunEvent, sessions: list[Session], read_from: Any, may_read: bool) -> None:
        details = self._details(event, read_from) if may_read else None
        if event.claim():
            for session in sessions:
                self._hand_over(event.to_json(session.application, details), session)

    def _hand_over(self, event: dict[str, Any], session: Session) -> None:
        if session.record(event):
            self._heartbeats.begin(session)

    def _details(self, event: RunEvent, read_from: Any) -> RunDetails | None:
        try:
            client, whole = self._client(event.tracking_uri), event.is_end
            run = client.get_run(read_from) if isinstance(read_from, str) else read_from
            names, key = self._experiment_names(), (event.tracking_uri, run.info.experiment_id)
            details = run_details(client, run, experiment_name=names.get(key), outputs=whole, versions=whole)
            names[key] = details["experiment_name"]
        except Exception as error:  # noqa: BLE001 - whatever MLflow's store raises; the event itself still counts
            logger.warning("Afterglow could not read run %s: %s", event.run_id, error)
            return None
        return details

    def _experiment_names(self) -> dict[tuple[str, str], str | None]:
        """Those that were read within the last minute: an experiment may be renamed."""
        if time.monotonic() > self._experiments_until:
            self._experiments_until = time.monotonic() + EXPERIMENT_NAME_SECONDS
            self._experiments = {}
        return self._experiments

    def _tag(self, run_id: str, tracking_uri: str, application: Application) -> None:
        from mlflow.entities import RunTag  # noqa: PLC0415 - loaded already, or there would be no run

        client = self._client(tracking_uri)
        if "spark.app.id" not in client.get_run(run_id).data.tags:  # the first application keeps the tags
            client.log_batch(run_id, tags=[RunTag(key, value) for key, value in application.run_tags().items()])

    def _client(self, tracking_uri: str) -> Any:
        if tracking_uri not in self._clients:
            from mlflow import MlflowClient  # noqa: PLC0415 - loaded already, or there would be no run

            try:
                client = MlflowClient(tracking_uri)
            except Exception:  # noqa: BLE001 - it asks Spark for the registry's URI, and the JVM may be gone
                client = MlflowClient(tracking_uri, tracking_uri)
            self._clients[tracking_uri] = client
        return self._clients[tracking_uri]
