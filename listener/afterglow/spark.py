"""The Spark application of this driver: finding it, naming it, tagging its jobs. Never creates one."""

import logging
import sys
from dataclasses import dataclass
from typing import Any

from afterglow.settings import Settings, read_settings

logger = logging.getLogger("afterglow")

JOB_TAG_PREFIX = "mlflow.run_id="
# The same, as a local property: unlike a job tag it can be read inside Python workers (TaskContext).
RUN_ID_PROPERTY = "mlflow.run_id"
_JOB_TAGS_PROPERTY = "spark.job.tags"


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

    def run_tags(self) -> dict[str, str]:
        """The MLflow tags that name this application on a run; what is not known is left out."""
        tags = {
            "spark.app.id": self.app_id,
            "spark.app.name": self.name,
            "spark.app.startTime": str(self.start_time),
            "spark.app.attempt.id": self.attempt,
            "spark.master": self.master,
            "spark.user": self.user,
            "spark.driver.host": self.driver_host,
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


def pins_threads(context: Any) -> bool:
    """Whether each Python thread has its own JVM thread, and so its own job tags.

    With PYSPARK_PIN_THREAD=false Python's threads share whichever JVM threads are free: a tag set by one
    shows up on the jobs of another. The gateway's class tells what really is; the variable may have
    changed since.
    """
    return type(context._gateway).__name__ == "ClientServer"


def swap_run_tag(context: Any, run_id: str | None) -> str | None:
    """Tag the jobs that this thread submits from now on with `run_id`, and with no other run.

    Returns the run id that they were tagged with until now. What the thread carries is read from Spark
    rather than remembered: it may have been inherited from the thread that started it, or cleared.
    """
    carried = _carried_run_ids(context)
    for other in carried:
        if other != run_id:
            context.removeJobTag(JOB_TAG_PREFIX + other)
    if run_id is not None and run_id not in carried:
        context.addJobTag(JOB_TAG_PREFIX + run_id)
    context.setLocalProperty(RUN_ID_PROPERTY, run_id)
    return carried[-1] if carried else None


def _carried_run_ids(context: Any) -> list[str]:
    tags = context.getLocalProperty(_JOB_TAGS_PROPERTY) or ""
    return [tag[len(JOB_TAG_PREFIX) :] for tag in tags.split(",") if tag.startswith(JOB_TAG_PREFIX)]


def answers(context: Any) -> bool:
    """Whether the JVM of `context` answers, and says that it has not stopped. Waits as long as the JVM does."""
    jsc = getattr(context, "_jsc", None)
    try:
        return jsc is not None and not jsc.sc().isStopped()
    except Exception:  # noqa: BLE001 - py4j's errors for a JVM that is gone are many
        return False
