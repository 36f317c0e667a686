"""The Spark application of this driver: finding it, naming it, tagging its jobs. Never creates one."""

import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from afterglow.jvm_commands import NextCommand
from afterglow.settings import Settings, read_settings

logger = logging.getLogger("afterglow")

# By which an application names itself to its Python workers, where there is no SparkContext to ask.
APPLICATION_VARIABLE = "AFTERGLOW_APPLICATION"
JOB_TAG_PREFIX = "mlflow.run_id="
_JOB_TAGS_PROPERTY = "spark.job.tags"  # where Spark itself keeps a thread's tags


@dataclass(frozen=True)
class Application:
    """One Spark application attempt. Times are milliseconds since 1970, as Spark has them."""

    app_id: str
    attempt: str  # "" where the cluster manager has no attempts
    name: str
    start_time: int
    user: str
    master: str
    driver_host: str
    spark_version: str

    def to_json(self) -> dict[str, Any]:
        """The `Application` object of the journal."""
        return {
            "App ID": self.app_id,
            "App Attempt": self.attempt,
            "App Name": self.name,
            "Start Time": self.start_time,
            "User": self.user,
            "Master": self.master,
            "Driver Host": self.driver_host,
            "Spark Version": self.spark_version,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Application":
        """The application of an `Application` object."""
        return cls(
            app_id=found["App ID"],
            attempt=found["App Attempt"],
            name=found["App Name"],
            start_time=found["Start Time"],
            user=found["User"],
            master=found["Master"],
            driver_host=found["Driver Host"],
            spark_version=found["Spark Version"],
        )

    def run_tags(self) -> dict[str, str]:
        """The MLflow tags that name this application on a run: no more than that takes, since each is a tenth of a
        millisecond of `start_run` in MLflow's own database. What else is known of it is in the journal."""
        tags = {
            "spark.app.id": self.app_id,
            "spark.app.name": self.name,
            "spark.app.startTime": str(self.start_time),
            "spark.app.attempt.id": self.attempt,
        }
        return {key: value for key, value in tags.items() if value}


def context_class() -> Any | None:
    """pyspark's SparkContext class, if pyspark is imported already and completely."""
    for name in ("pyspark.core.context", "pyspark.context"):  # since 4.0, and before
        module = sys.modules.get(name)
        if module is not None and not getattr(module.__spec__, "_initializing", False):
            return getattr(module, "SparkContext", None)
    return None


def active_context() -> Any | None:
    """The running SparkContext of this process, or None."""
    context = getattr(context_class(), "_active_spark_context", None)
    # Python's object exists before its JVM context does, and outlives it: `_jsc` is set only in between.
    return context if getattr(context, "_jsc", None) is not None else None


def read_application(context: Any) -> Application:
    """What `context` is called, by its own words. Some ten calls to the JVM: keep the answer."""
    conf = context._conf
    return Application(
        app_id=context.applicationId,
        attempt=conf.get("spark.app.attempt.id", ""),
        name=context.appName,
        start_time=int(context.startTime),
        user=context.sparkUser(),
        master=context.master,
        driver_host=conf.get("spark.driver.host", ""),
        spark_version=context.version,
    )


def read_context_settings(context: Any) -> Settings:
    """Afterglow's settings in the properties of `context`."""
    return read_settings(lambda key: context._conf.get(key, None))


def tell_workers(context: Any, application: Application) -> None:
    """Name the application to the Python workers of all functions that are sent to them from now on."""
    context.environment[APPLICATION_VARIABLE] = json.dumps(application.to_json())


def worker_tags() -> dict[str, str] | None:
    """The tags of a run that is made inside a Spark task, or None outside of one.

    Beside those of the application they name the task; that is how such a run is told from the driver's.
    """
    told = os.environ.get(APPLICATION_VARIABLE)
    task_module = sys.modules.get("pyspark.taskcontext")
    task = task_module.TaskContext.get() if told and task_module is not None else None
    if not told or task is None:
        return None
    task_tags = {"spark.stage.id": str(task.stageId()), "spark.task.attempt.id": str(task.taskAttemptId())}
    return Application.from_json(json.loads(told)).run_tags() | task_tags


def pins_threads(context: Any) -> bool:
    """Whether each Python thread has its own JVM thread, and so its own job tags.

    With PYSPARK_PIN_THREAD=false Python's threads share whichever JVM threads are free: a tag set by one
    shows up on the jobs of another. The gateway's class tells what really is; the variable may have
    changed since.
    """
    return type(context._gateway).__name__ == "ClientServer"


class _Tagged(threading.local):
    known = False  # what this thread carried when it was first looked at
    run_id: str | None = None  # by Spark's own word
    wanted: str | None = None


class JobTags:
    """The run whose id tags the Spark jobs of each thread, in one SparkContext with pinned threads.

    What a thread carries is asked of Spark once, since it may have inherited the tag of the thread that
    started it, and remembered from then on. Spark is told of a change right before the thread's next call of it.
    """

    def __init__(self, context: Any) -> None:
        self._context = context
        self._thread = _Tagged()
        self._next_command = NextCommand.of(getattr(context._gateway, "_gateway_client", None))
        self._error: Exception | None = None

    def swap(self, run_id: str | None) -> str | None:
        """Tag the jobs that this thread submits from now on with `run_id`, and with no other run.

        Returns the run id that they were tagged with until now. Raises py4j's errors for a JVM that is gone,
        maybe of the time before.
        """
        if self._error is not None:
            raise self._error
        thread = self._thread
        if not thread.known:
            thread.run_id = thread.wanted = self._inherited()
            thread.known = True
        before, thread.wanted = thread.wanted, run_id
        if thread.wanted == thread.run_id:
            return before
        if self._next_command is None:
            self._tell_spark()
        else:
            self._next_command.run_before(self._tell_spark)
        return before

    def forget(self) -> None:
        """In a forked child: tell the parent's JVM nothing any more."""
        if self._next_command is not None:
            self._next_command.forget()

    def _tell_spark(self) -> None:
        thread = self._thread
        try:
            if thread.run_id is not None and thread.run_id != thread.wanted:
                self._context.removeJobTag(JOB_TAG_PREFIX + thread.run_id)
            if thread.wanted is not None and thread.run_id != thread.wanted:
                self._context.addJobTag(JOB_TAG_PREFIX + thread.wanted)
            thread.run_id = thread.wanted
        except Exception as error:  # noqa: BLE001 - within the job's own call of Spark; the next swap tells
            self._error = error

    def _inherited(self) -> str | None:
        tags = (self._context.getLocalProperty(_JOB_TAGS_PROPERTY) or "").split(",")
        runs = [tag.removeprefix(JOB_TAG_PREFIX) for tag in tags if tag.startswith(JOB_TAG_PREFIX)]
        for other in runs[1:]:
            self._context.removeJobTag(JOB_TAG_PREFIX + other)
        return runs[0] if runs else None


def jvm_is_gone(context: Any) -> bool:
    """Whether nobody listens any more where the JVM of `context` did. Waits for at most 0.2 s, and takes a JVM that is
    only too busy to answer for one that is there."""
    try:
        parameters = context._gateway.gateway_parameters
        socket.create_connection((parameters.address, parameters.port), timeout=0.2).close()
    except ConnectionRefusedError:
        return True
    except Exception:  # noqa: BLE001 - a gateway of another kind, or no answer in time: nobody knows
        return False
    return False


def answers(context: Any) -> bool:
    """Whether the JVM of `context` answers, and says that it has not stopped. Waits as long as the JVM does."""
    jsc = getattr(context, "_jsc", None)
    try:
        return jsc is not None and not jsc.sc().isStopped()
    except Exception:  # noqa: BLE001 - py4j's errors for a JVM that is gone are many
        return False
