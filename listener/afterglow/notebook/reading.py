"""Keeps the pictures of runs up to date, off the cells' thread: from MLflow, from Spark's live status, from Monitor."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from afterglow import spark
from afterglow.notebook.background import Background
from afterglow.notebook.links import monitor_address
from afterglow.notebook.picture import RunPicture, lock
from afterglow.notebook.spark_status import SparkStatus, SparkUse
from afterglow.run_details import run_details
from afterglow.sources import TOKEN, Asking, Server

logger = logging.getLogger("afterglow")

QUIET_SECONDS = 0.3  # that a run is left alone by this process before it is read
RUNNING_SECONDS = 2.0  # between two readings of a run that is not over
MISSING_SECONDS = 10.0  # likewise, of one that could not be read
PATIENCE_SECONDS = 3_600.0  # after which nobody looks after a run any more that says it is RUNNING
SPARK_SECONDS = 0.5  # between two looks at Spark's status while runs are not over
MONITOR_SECONDS = 5.0
MONITOR_TIMEOUT = 3.0
RUNS_ASKED_FOR = 100  # at a time: an address has its length


class Reading:
    """All runs that any output of this notebook shows, each read once. `changed` is called with a run's id after
    something of it was read, on the thread that did."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._pictures: dict[str, RunPicture] = {}
        self._clients: dict[str, Any] = {}
        self._mlflow: dict[str, Background] = {}  # by tracking URI
        self._spark, self._monitor = Background("spark", self._read_spark), Background("monitor", self._read_monitor)
        self._status: SparkStatus | None = None
        self._wanted: set[tuple[str, str]] = set()  # run id and metric of the histories to read
        self._experiments: dict[tuple[str, str], str | None] = {}
        self.spark_page = ""  # the address of Spark's UI

    def picture(self, run_id: str, tracking_uri: str) -> RunPicture:
        """The picture of a run, an empty one if there is none yet."""
        with lock:
            if run_id not in self._pictures:
                self._pictures[run_id] = RunPicture(run_id, tracking_uri)
            return self._pictures[run_id]

    def known(self, run_id: str) -> RunPicture | None:
        """The picture of a run, if there is one."""
        return self._pictures.get(run_id)

    def forget(self, run_ids: Iterable[str]) -> None:
        """Nobody shows these any more."""
        with lock:
            for run_id in run_ids:
                self._pictures.pop(run_id, None)

    def wake(self, tracking_uris: Iterable[str]) -> list[tuple[Background, int]]:
        """Look at everything soon, of runs on these servers; what to `wait` for is given."""
        readers = [self._spark, *(self._reader(uri) for uri in tracking_uris)]
        if monitor_address():
            self._monitor.wake()  # further away than anybody waits for
        return [(reader, reader.wake()) for reader in readers]

    def read_history(self, run_ids: Iterable[str], metric: str) -> None:
        """Read all values of a metric soon, for a chart over its steps."""
        with lock:
            found = [self._pictures[each] for each in run_ids if each in self._pictures]
            self._wanted |= {(each.run_id, metric) for each in found}
        for uri in {each.tracking_uri for each in found}:
            self._reader(uri).wake()

    def complaints(self, tracking_uris: Iterable[str]) -> list[str]:
        """What does not answer, in words for people."""
        slow = ["MLflow has not answered for a while" for uri in tracking_uris if self._reader(uri).hangs]
        return [*slow[:1], *(["Spark has not answered for a while"] if self._spark.hangs else [])]

    def _reader(self, tracking_uri: str) -> Background:
        with lock:
            if tracking_uri not in self._mlflow:
                self._mlflow[tracking_uri] = Background("mlflow", lambda: self._read_mlflow(tracking_uri))
            return self._mlflow[tracking_uri]

    def _all(self) -> list[RunPicture]:
        with lock:
            return list(self._pictures.values())

    # -- MLflow ------------------------------------------------------------------------------------------

    def _read_mlflow(self, tracking_uri: str) -> float | None:
        mine = [each for each in self._all() if each.tracking_uri == tracking_uri]
        for picture in mine:
            if due_in(picture) <= 0:
                self._read_run(picture)
        for picture in mine:
            self._read_histories(picture)
        return min((max(0.05, due_in(each)) for each in mine if due_in(each) < PATIENCE_SECONDS), default=None)

    def read_now(self, run_id: str, tracking_uri: str) -> RunPicture:
        """The picture of a run, read on the caller's thread. Raises what MLflow raises."""
        picture = self.picture(run_id, tracking_uri)
        self._ask_mlflow(picture)
        return picture

    def _read_run(self, picture: RunPicture) -> None:
        began = time.monotonic()
        try:
            self._ask_mlflow(picture)
        except Exception as error:  # noqa: BLE001 - whatever MLflow's store raises
            with lock:
                picture.missing, picture.read = _first_line(error), began
        self._changed(picture.run_id)

    def _ask_mlflow(self, picture: RunPicture) -> None:
        began, client = time.monotonic(), self._client(picture.tracking_uri)
        run = client.get_run(picture.run_id)
        which = (picture.tracking_uri, run.info.experiment_id)
        details = run_details(client, run, experiment_name=self._experiments.get(which), outputs=False, versions=False)
        self._experiments[which] = details["experiment_name"]
        with lock:
            picture.read_anew(details, began)

    def _read_histories(self, picture: RunPicture) -> None:
        with lock:
            metrics = [metric for run_id, metric in self._wanted if run_id == picture.run_id]
            self._wanted -= {(picture.run_id, metric) for metric in metrics}
        for metric in metrics:
            values = self._client(picture.tracking_uri).get_metric_history(picture.run_id, metric)
            with lock:
                picture.read_points(metric, sorted((each.step, each.timestamp, each.value) for each in values))
            self._changed(picture.run_id)

    def _client(self, tracking_uri: str) -> Any:
        if tracking_uri not in self._clients:
            from mlflow import MlflowClient  # noqa: PLC0415 - loaded already, or there would be no run

            # With a registry of its own, MLflow does not ask Spark for one.
            self._clients[tracking_uri] = MlflowClient(tracking_uri, tracking_uri)
        return self._clients[tracking_uri]

    # -- Spark -------------------------------------------------------------------------------------------

    def _read_spark(self) -> float | None:
        context = spark.active_context()
        if context is None:
            return None
        if self._status is None or self._status.context is not context:
            self._status, self.spark_page = SparkStatus(context), ""
            self.spark_page = self._status.page()
        open_runs = [each for each in self._all() if not _settled(each)]
        for run_id, use in self._status.of_runs(each.run_id for each in open_runs).items():
            self._set_spark(run_id, use)
        waiting = any(not _settled(each) and (each.is_over or _is_watched(each)) for each in open_runs)
        return SPARK_SECONDS if waiting else None

    def _set_spark(self, run_id: str, use: SparkUse) -> None:
        with lock:
            picture = self._pictures.get(run_id)
            if picture is None or picture.spark == use:
                return
            picture.spark = use
        self._changed(run_id)

    # -- Monitor -----------------------------------------------------------------------------------------

    def _read_monitor(self) -> float | None:
        pictures, address = self._all(), monitor_address()
        if not pictures or not address:
            return None
        found = {row["run_id"]: row for row in ask_monitor(address, [each.run_id for each in pictures])}
        with lock:
            for picture in pictures:
                picture.monitor = found.get(picture.run_id, picture.monitor)
        for picture in pictures:
            self._changed(picture.run_id)
        return MONITOR_SECONDS if any(_is_watched(each) for each in pictures) else None


def due_in(picture: RunPicture) -> float:
    """Seconds until a run has to be read again; for ever where it is over and was read since."""
    now = time.monotonic()
    if picture.read < 0:
        return picture.touched + QUIET_SECONDS - now if picture.touched else 0.0
    if not picture.is_read and picture.is_over:
        return picture.touched + QUIET_SECONDS - now
    if picture.is_over or not _is_watched(picture):
        return PATIENCE_SECONDS
    return picture.read + (MISSING_SECONDS if picture.missing else RUNNING_SECONDS) - now


def _is_watched(picture: RunPicture) -> bool:
    """Whether a run may still change, as far as anybody waits for it."""
    return not picture.is_over and time.monotonic() - max(picture.touched, picture.first_shown) < PATIENCE_SECONDS


def _settled(picture: RunPicture) -> bool:
    """Whether Spark has nothing new to tell of a run. Its last tasks are counted a moment after its end."""
    use = picture.spark
    if use is None or use.running_jobs or not picture.is_over:
        return False
    return time.monotonic() - picture.touched > 3 * SPARK_SECONDS


def ask_monitor(address: str, run_ids: list[str]) -> Iterator[dict[str, Any]]:
    """What Monitor's API says of these runs; those that it does not know are missing. Raises AfterglowError."""
    asking = Asking(Server(address, os.environ.get(TOKEN, "").strip(), seconds=MONITOR_TIMEOUT))
    ids = [f"'{each}'" for each in run_ids if each.isalnum()]
    for first in range(0, len(ids), RUNS_ASKED_FOR):
        some = ", ".join(ids[first : first + RUNS_ASKED_FOR])
        yield from asking.rows("/runs", "runs", [("since", "all"), ("filter", f"run_id IN ({some})")], None)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
