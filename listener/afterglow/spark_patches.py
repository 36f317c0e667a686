"""Where Afterglow steps into pyspark: a SparkContext's creation and its stop, and a Connect session's creation."""

import functools
import sys
from collections.abc import Callable
from typing import Any

from afterglow import connect, spark
from afterglow.driver import Driver
from afterglow.missing_listener import leave_out_missing_listener

InnermostRun = Callable[[], str | None]


def install(driver: Driver, innermost_run_id: InnermostRun) -> bool:
    """Put the patches on, once pyspark is imported; True when they are on."""
    context_class, builder_class = spark.context_class(), _builder_class()
    if context_class is not None and not hasattr(context_class.__init__, "_afterglow"):
        context_class.__init__ = _started(context_class.__init__, driver, innermost_run_id)
        context_class.stop = _stopping(context_class.stop, driver)
        if hasattr(context_class, "_initialize_context"):
            context_class._initialize_context = _initializing(context_class._initialize_context)
    if builder_class is not None and not hasattr(builder_class.getOrCreate, "_afterglow"):
        builder_class.getOrCreate = _connected(builder_class.getOrCreate, driver, innermost_run_id)
    return context_class is not None and builder_class is not None


def _builder_class() -> Any | None:
    module = sys.modules.get("pyspark.sql.session")
    if module is None or getattr(module.__spec__, "_initializing", False):
        return None
    return getattr(getattr(module, "SparkSession", None), "Builder", None)


def _started(original: Any, driver: Driver, innermost_run_id: InnermostRun) -> Any:
    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        driver.context_started(innermost_run_id())

    __init__._afterglow = True  # type: ignore[attr-defined]
    return __init__


def _initializing(original: Any) -> Any:
    @functools.wraps(original)
    def _initialize_context(self: Any, jconf: Any) -> Any:
        leave_out_missing_listener(self._jvm, jconf)
        return original(self, jconf)

    return _initialize_context


def _stopping(original: Any, driver: Driver) -> Any:
    @functools.wraps(original)
    def stop(self: Any) -> Any:
        driver.context_stopping(self)
        return original(self)

    return stop


def _connected(original: Any, driver: Driver, innermost_run_id: InnermostRun) -> Any:
    """A Connect session is the only one that is made without a SparkContext. Many calls find it again."""

    @functools.wraps(original)
    def getOrCreate(self: Any) -> Any:
        session = original(self)
        if connect.is_session(session) and not driver.knows(session):
            driver.context_started(innermost_run_id())
        return session

    getOrCreate._afterglow = True  # type: ignore[attr-defined]
    return getOrCreate
