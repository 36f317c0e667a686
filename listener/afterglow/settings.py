"""The driver side's settings: names, defaults and meaning are those of the Java listener."""

import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from afterglow.journal_rules import DEFAULT_RULES, JournalRules

if TYPE_CHECKING:
    from afterglow.collector import Collector

logger = logging.getLogger("afterglow")

_TRUE = {"1", "true", "yes", "on"}
_BYTES = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "": 0.001}


class BadSettingError(ValueError):
    """A setting that cannot be understood."""

    def __init__(self, key: str, value: str, wanted: str) -> None:
        super().__init__(f"{key}={value} is not {wanted}")


@dataclass(frozen=True)
class Settings:
    """What one Spark application says of Afterglow."""

    enabled: bool
    journal_dir: Path
    heartbeat_seconds: float = 10.0
    collector: "Collector | None" = None
    journal_rules: JournalRules = DEFAULT_RULES  # of the hook's own journal


def disabled_by_environment() -> bool:
    """Whether AFTERGLOW_DISABLED is set to 1 (or true, yes, on): the kill switch, read before all else."""
    return os.environ.get("AFTERGLOW_DISABLED", "").strip().lower() in _TRUE


def read_settings(spark_property: Callable[[str], str | None]) -> Settings:
    """The settings of an application, from its Spark properties.

    A value that cannot be understood switches Afterglow off for that application, with one warning: a job
    must not fail, and must not be recorded into the wrong place, for a typing error.
    """

    def value(key: str, default: str) -> str:
        return (spark_property(key) or "").strip() or default

    try:
        return Settings(
            enabled=_enabled(value("spark.afterglow.enabled", "true")) and not disabled_by_environment(),
            journal_dir=_journal_dir(value("spark.afterglow.journal.dir", "")),
            heartbeat_seconds=_seconds(value("spark.afterglow.heartbeat.interval", "10s")),
            collector=_collector(spark_property),
            journal_rules=JournalRules(
                max_bytes=_bytes(value("spark.afterglow.journal.maxSize", "256m")),
                more_keys=_more_keys(value("spark.redaction.regex", "")),
            ),
        )
    except BadSettingError as error:
        logger.warning("Afterglow is off for this application: %s", error)
        return Settings(enabled=False, journal_dir=Path())


def _collector(spark_property: Callable[[str], str | None]) -> "Collector | None":
    """Where it cannot be used, the journal stays on this machine, and is none the worse for it."""
    if not (spark_property("spark.afterglow.collector.url") or os.environ.get("AFTERGLOW_COLLECTOR_URL")):
        return None
    from afterglow.collector import BadCollector, read_collector  # noqa: PLC0415 - most drivers need no HTTP client

    try:
        return read_collector(spark_property)
    except BadCollector as error:
        logger.warning("Afterglow sends nothing: %s", error)
        return None


def _enabled(value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise BadSettingError("spark.afterglow.enabled", value, "true or false")
    return value.lower() == "true"


def _journal_dir(value: str) -> Path:
    if value:
        return _folder("spark.afterglow.journal.dir", value)
    return _folder("AFTERGLOW_HOME", os.environ.get("AFTERGLOW_HOME", "").strip() or "~/.afterglow") / "journal"


def _folder(key: str, value: str) -> Path:
    if value.startswith("file:"):
        value = re.sub("^/+", "/", value.removeprefix("file:"))
    elif re.match("[A-Za-z][A-Za-z0-9+.-]+:", value):
        raise BadSettingError(key, value, "a folder on the driver's own machine")
    return Path(value).expanduser().absolute()


def _seconds(value: str) -> float:
    """Spark's own way to write a time: a number and a unit, milliseconds without one."""
    match = re.fullmatch(r"(\d+)\s*([a-z]*)", value.lower())
    if match is None or match[2] not in _SECONDS or (seconds := int(match[1]) * _SECONDS[match[2]]) < 0.1:
        raise BadSettingError("spark.afterglow.heartbeat.interval", value, "a time of at least 100ms, such as 10s")
    return seconds


def _bytes(value: str) -> int:
    """Spark's own way to write a size: a number and a unit of 1024, bytes without one."""
    match = re.fullmatch(r"(\d+)(|[a-z]|[kmgtp]b)", value.lower())
    if match is None or match[2][:1] not in _BYTES or (size := int(match[1]) * _BYTES[match[2][:1]]) < 1 << 20:
        raise BadSettingError("spark.afterglow.journal.maxSize", value, "a size of at least 1m, such as 256m")
    return size


def _more_keys(regex: str) -> "re.Pattern[str] | None":
    """Spark's expression, where the user set one, besides the keys that are redacted anyway. It is Java's."""
    try:
        return re.compile(regex) if regex else None
    except re.error as error:
        logger.warning("Afterglow redacts what it records by its own rules only: spark.redaction.regex: %s", error)
        return None
