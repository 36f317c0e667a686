"""What is known of one run at this moment: read from MLflow, and logged by this process since then.

What this process logs is known without asking anybody. So a picture is whole at the end of a cell, however slow MLflow
is.
"""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from afterglow.driver import LogCall
from afterglow.events import public_tracking_uri
from afterglow.journal import now_ms
from afterglow.notebook.links import mlflow_page
from afterglow.notebook.spark_status import SparkUse
from afterglow.run_details import RunDetails, json_number

NOT_A_PERSONS = ("mlflow.", "spark.", "jupyter.")  # what tags begin with that MLflow or Afterglow set
FINAL = ("FINISHED", "FAILED", "KILLED")
MAX_POINTS = 200  # of a metric's history that are kept; every second one is dropped beyond
MAX_SERIES = 50  # metrics of a run whose history is kept
MAX_TEXT = 500  # characters of a param or a tag that are shown

lock = threading.RLock()  # over all pictures: cells, MLflow's readers and Spark's write them


@dataclass
class RunPicture:
    """One run, by its id. Times are milliseconds since 1970, but for `touched`, `read` and `first_shown`: seconds,
    monotonic."""

    run_id: str
    tracking_uri: str
    details: RunDetails = field(default_factory=RunDetails)
    spark: SparkUse | None = None
    monitor: Mapping[str, Any] = field(default_factory=dict)  # the run as Monitor's API has it
    points: dict[str, list[tuple[int, float]]] = field(default_factory=dict)  # step and value, by metric
    touched: float = 0.0
    read: float = -1.0  # when the last reading began; before it is read, before everything
    first_shown: float = field(default_factory=time.monotonic)
    missing: str = ""  # why it cannot be read
    _logged: dict[tuple[str, str], tuple[float, Any]] = field(default_factory=dict)  # by group and key: when, what
    _ended: tuple[float, str, int] | None = None  # when, with which status, and its end_time
    _every: dict[str, int] = field(default_factory=dict)  # of a metric's points only each n-th is kept
    _seen: dict[str, int] = field(default_factory=dict)

    def touch(self, run: Any = None) -> None:
        """This process made or entered it, and `run` is its `mlflow.entities.Run`; or did something else with it."""
        self.touched = time.monotonic()
        if run is None:
            return
        self._ended = None
        if not self.details:
            self.details = RunDetails(
                run_id=self.run_id,
                run_name=getattr(run.info, "run_name", None) or run.data.tags.get("mlflow.runName"),
                experiment_id=str(run.info.experiment_id),
                start_time=run.info.start_time,
                params=dict(run.data.params),
                metrics={key: json_number(value) for key, value in run.data.metrics.items()},
                tags=dict(run.data.tags),
            )
        self.details["status"], self.details["end_time"] = "RUNNING", None

    def log(self, call: LogCall) -> None:
        """This process logged to it."""
        self.touched = time.monotonic()
        for group, key, value, step in _values(call):
            if group == "metrics":
                self._add_point(key, step, float(value))
            self._logged[group, key] = (self.touched, json_number(float(value)) if group == "metrics" else value)

    def end(self, status: str) -> None:
        """This process ended it."""
        self.touched = time.monotonic()
        self._ended = (self.touched, status, now_ms())

    def read_anew(self, details: RunDetails, began: float) -> None:
        """MLflow said this, to a question of the time `began`. What was logged after that it need not know."""
        self.details, self.read, self.missing = details, began, ""
        self._logged = {which: each for which, each in self._logged.items() if each[0] >= began}
        if self._ended is not None and self._ended[0] < began:
            self._ended = None

    def read_points(self, metric: str, values: Sequence[tuple[int, int, float]]) -> None:
        """MLflow has these values of a metric: step, time and value."""
        self._seen[metric], self._every[metric] = 0, 1
        self.points.pop(metric, None)
        for step, _, value in values:
            self._add_point(metric, step, value)

    @property
    def status(self) -> str:
        """By MLflow, or by what this process told it."""
        return self._ended[1] if self._ended else self.details.get("status", "")

    @property
    def is_over(self) -> bool:
        """Whether it has a final status."""
        return self.status in FINAL

    @property
    def is_read(self) -> bool:
        """Whether MLflow was read since this process last touched it."""
        return self.read > self.touched

    def to_json(self) -> dict[str, Any]:
        """What the widget and the static table show of it."""
        known, tags = self.details, self._all("tags")
        return {
            "id": self.run_id,
            "name": known.get("run_name") or self.run_id[:8],
            "status": self.monitor.get("effective_status") if self._monitor_knows_better else self.status,
            "reason": (self.monitor.get("status_reason") or "") if self._monitor_knows_better else "",
            "missing": self.missing,
            "experiment": known.get("experiment_name") or "",
            "user": known.get("user") or "",
            "start": known.get("start_time"),
            "end": self._ended[2] if self._ended else known.get("end_time"),
            "parent": tags.get("mlflow.parentRunId", ""),
            "params": _short(self._all("params")),
            "metrics": self._all("metrics"),
            "tags": _short({key: each for key, each in tags.items() if not key.startswith(NOT_A_PERSONS)}),
            "spark": self._spark(),
            "mlflow": mlflow_page(self.tracking_uri, known.get("experiment_id", ""), self.run_id),
            "tracking_uri": public_tracking_uri(self.tracking_uri),
        }

    @property
    def _monitor_knows_better(self) -> bool:
        """Of a run that MLflow takes for running, and nobody here ended: whether its process still lives."""
        return bool(self.monitor.get("effective_status")) and self.status == self.monitor.get("status")

    def _spark(self) -> dict[str, Any] | None:
        """By Spark in this process; by Monitor where the run is another's, with what the runs below it used."""
        if self.spark is not None and (self.spark.jobs or not self.monitor):
            return self.spark.to_json()
        total = self.monitor.get("total") or {}
        return SparkUse(jobs=total["jobs"], core_seconds=total["core_seconds"]).to_json() if total.get("jobs") else None

    def _all(self, group: str) -> dict[str, Any]:
        before: Mapping[str, Any] = self.details.get(group) or {}  # type: ignore[assignment]
        since = {key: value for (of, key), (_, value) in self._logged.items() if of == group}
        return {**before, **since}

    def _add_point(self, key: str, step: int, value: float) -> None:
        if key not in self.points and len(self.points) >= MAX_SERIES:
            return
        seen, every = self._seen.get(key, 0), self._every.get(key, 1)
        self._seen[key] = seen + 1
        if value - value != 0 or seen % every:  # NaN and infinities have no place on an axis
            return
        points = self.points.setdefault(key, [])
        points.append((step, value))
        if len(points) > MAX_POINTS:
            del points[1::2]
            self._every[key] = every * 2


def _values(call: LogCall) -> Iterable[tuple[str, str, Any, int]]:
    """What a call logs: params, metrics or tags, key, value, and a metric's step."""
    if call.method == "log_batch":
        names = ("metrics", "params", "tags")
        given = {**dict(zip(names, call.positional, strict=False)), **call.named}
        for group in names:
            for each in given.get(group) or ():
                yield group, each.key, each.value, getattr(each, "step", 0) or 0
        return
    given = {**dict(zip(("key", "value", "timestamp", "step"), call.positional, strict=False)), **call.named}
    if call.method == "log_metric":
        yield "metrics", given["key"], given["value"], given.get("step") or 0
    elif call.method in ("log_param", "set_tag"):
        yield "params" if call.method == "log_param" else "tags", given["key"], str(given["value"]), 0


def _short(values: Mapping[str, str]) -> dict[str, str]:
    return {key: str(value)[:MAX_TEXT] for key, value in values.items()}
