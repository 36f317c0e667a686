"""The driver side's settings: names and defaults are those of the Java listener."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger("afterglow")

_TRUE = {"1", "true", "yes", "on"}


@dataclass(frozen=True)
class Settings:
    """What one Spark application says of Afterglow."""

    enabled: bool
    journal_dir: Path


def disabled_by_environment() -> bool:
    """Whether AFTERGLOW_DISABLED is set to 1 (or true, yes, on): the kill switch, read before all else."""
    return os.environ.get("AFTERGLOW_DISABLED", "").strip().lower() in _TRUE


def home() -> Path:
    """The folder of everything that Afterglow keeps: AFTERGLOW_HOME, by default ~/.afterglow."""
    return Path(os.environ.get("AFTERGLOW_HOME") or Path.home() / ".afterglow")


def read_settings(spark_property: Callable[[str], str | None]) -> Settings:
    """The settings of an application, from its Spark properties.

    A value that cannot be understood switches Afterglow off for that application, with one warning: a job
    must not fail, and must not be recorded into the wrong place, for a typing error.
    """
    enabled = (spark_property("spark.afterglow.enabled") or "true").strip().lower()
    if enabled not in ("true", "false"):
        logger.warning("Afterglow is off: spark.afterglow.enabled=%s is neither true nor false", enabled)
    journal_dir = spark_property("spark.afterglow.journal.dir")
    return Settings(
        enabled=enabled == "true" and not disabled_by_environment(),
        journal_dir=Path(journal_dir) if journal_dir else home() / "journal",
    )
