"""A Spark Connect client's session: the same questions as `afterglow.spark` answers, without a JVM to ask."""

import sys
from typing import Any

from afterglow.settings import Settings, read_settings
from afterglow.spark import JOB_TAG_PREFIX, Application

MODULE = "pyspark.sql.connect.session"


def session_class() -> Any | None:
    """Connect's SparkSession class, if it is imported already and completely."""
    module = sys.modules.get(MODULE)
    if module is None or getattr(module.__spec__, "_initializing", False):
        return None
    return getattr(module, "SparkSession", None)


def active_session() -> Any | None:
    """This thread's running Connect session, or the process's, or None. Makes none."""
    found = session_class()
    session = getattr(getattr(found, "_active_session", None), "session", None)
    session = session or getattr(found, "_default_session", None)
    return session if session is not None and answers(session) else None


def is_session(context: Any) -> bool:
    """Whether this is a Connect session, and no SparkContext."""
    return type(context).__module__ == MODULE


def read_application(session: Any) -> Application:
    """The application of the Connect server, by its configuration: a few requests. Its user is not told."""
    keys = ("spark.app.id", "spark.app.attempt.id", "spark.app.name", "spark.app.startTime", "spark.master")
    values = {key: session.conf.get(key, "") for key in (*keys, "spark.driver.host")}
    return Application(
        app_id=values["spark.app.id"],
        attempt=values["spark.app.attempt.id"],
        name=values["spark.app.name"],
        start_time=int(values["spark.app.startTime"] or 0),
        user="",
        master=values["spark.master"],
        driver_host=values["spark.driver.host"],
        spark_version=session.version,
    )


def client_settings() -> Settings:
    """The settings of this client: of its environment only, since the properties are those of the server."""
    return read_settings(lambda key: None)


def answers(session: Any) -> bool:
    """Whether the session is open, as far as the client knows; the server is not asked."""
    return not session.is_stopped


class SessionTags:
    """The run whose id tags the operations of each thread, as a tag of the session: no request is made."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def swap(self, run_id: str | None) -> str | None:
        """Tag what this thread runs from now on with `run_id`, and with no other run; returns the one before."""
        tags = [tag for tag in self._session.getTags() if tag.startswith(JOB_TAG_PREFIX)]
        for tag in tags:
            self._session.removeTag(tag)
        if run_id is not None:
            self._session.addTag(JOB_TAG_PREFIX + run_id)
        return tags[0].removeprefix(JOB_TAG_PREFIX) if tags else None
