"""The two places where Afterglow steps into pyspark: a SparkContext's creation, and its stop."""

import functools
import logging
from collections.abc import Callable
from typing import Any

from afterglow import spark
from afterglow.driver import Driver

logger = logging.getLogger("afterglow")


def install(driver: Driver, innermost_run_id: Callable[[], str | None]) -> bool:
    """Put the patches on, once pyspark is imported; True when they are on."""
    context_class = spark.context_class()
    if context_class is None:
        return False
    if not hasattr(context_class.__init__, "_afterglow"):
        context_class.__init__ = _started(context_class.__init__, driver, innermost_run_id)
        context_class.stop = _stopping(context_class.stop, driver)
    return True


def _started(original: Any, driver: Driver, innermost_run_id: Callable[[], str | None]) -> Any:
    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        driver.context_started(innermost_run_id())

    __init__._afterglow = True  # type: ignore[attr-defined]
    return __init__


def _stopping(original: Any, driver: Driver) -> Any:
    @functools.wraps(original)
    def stop(self: Any) -> Any:
        driver.context_stopping(self)
        return original(self)

    return stop
