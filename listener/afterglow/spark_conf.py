"""The Spark configuration that loads the listener, added to what is configured already.

`spark.extraListeners` and `spark.jars` are lists of which Spark takes only one value: setting ours plainly would take
away the user's. A listener whose jar is missing stops the job. Both are prevented here.
"""

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path

logger = logging.getLogger("afterglow")

LISTENER = "io.afterglow.AfterglowListener"
JAR = Path(__file__).parent / "jars" / "afterglow-listener.jar"

_SETTING = re.compile(r"\s*(?P<key>[^\s=:]+)(?:\s*[\s=:]\s*(?P<value>.*?))?\s*")


class SparkConfError(Exception):
    """The listener cannot be configured safely; the message says why and what to do."""


def spark_conf(environ: Mapping[str, str] = os.environ, *, defaults: Mapping[str, str] | None = None) -> dict[str, str]:
    """The properties that load the listener: spark.extraListeners, spark.jars and spark.driver.extraClassPath.

    `defaults` are the properties that are set already, by default those of the active spark-defaults.conf (in
    SPARK_CONF_DIR, SPARK_HOME/conf, or the installed pyspark's folder); ours come after them. For a session built in
    Python, before the first one: `for key, value in spark_conf().items(): builder.config(key, value)`.

    Where the listener cannot be configured safely there are none, and a warning says why and what to do: the job runs
    without it.
    """
    try:
        return listener_conf(environ, defaults=defaults)
    except SparkConfError as error:
        logger.warning("Afterglow's listener is left out of this application: %s", error)
        return {}


def listener_conf(
    environ: Mapping[str, str] = os.environ, *, defaults: Mapping[str, str] | None = None
) -> dict[str, str]:
    """As `spark_conf`; raises SparkConfError when the jar is not readable, or its path has a space or a comma in it."""
    jar = readable_jar()
    before = spark_defaults(environ) if defaults is None else defaults
    return {
        "spark.extraListeners": _append(before.get("spark.extraListeners"), LISTENER, ","),
        "spark.jars": _append(before.get("spark.jars"), jar, ","),
        # spark-submit's own --jars takes the place of spark.jars; then the driver finds the class here.
        "spark.driver.extraClassPath": _append(before.get("spark.driver.extraClassPath"), jar, ":"),
    }


def collector_conf(url: str | None, secret_file: str | None) -> dict[str, str]:
    """The properties that have journals sent to a collector; nothing without a `url`. Raises SparkConfError."""
    if url is None:
        return {}
    from afterglow.collector import BadCollector, make_collector  # noqa: PLC0415 - most need no HTTP client

    try:
        make_collector(url, "")
    except BadCollector as error:
        raise SparkConfError(str(error)) from None
    conf = {"spark.afterglow.collector.url": url}
    return conf | ({"spark.afterglow.collector.secretFile": secret_file} if secret_file else {})


def readable_jar(jar: Path = JAR) -> str:
    """The listener's jar. Raises SparkConfError when it is not there, or its path cannot be given to spark-submit."""
    if not jar.is_file() or not os.access(jar, os.R_OK):
        raise SparkConfError(
            f"the listener's jar {jar} is not readable: install the afterglow wheel, or run `make jar`"
        )
    if re.search(r"[\s,]", str(jar)):
        raise SparkConfError(
            f"the path {str(jar)!r} has a space or a comma in it, which spark-submit would split: "
            "install afterglow into a folder without one"
        )
    return str(jar)


def spark_defaults(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The properties of the active spark-defaults.conf; empty without one."""
    for folder in _conf_folders(environ):
        file = folder / "spark-defaults.conf"
        if file.is_file():
            return parse_properties(file.read_text(encoding="utf-8"))
    return {}


def parse_properties(text: str) -> dict[str, str]:
    """A Java properties file as Spark reads it: `key value`, `key=value` or `key: value` a line, # for comments."""
    lines = (line for line in text.splitlines() if line.strip() and line.strip()[0] not in "#!")
    found = (_SETTING.fullmatch(line) for line in lines)
    return {match["key"]: match["value"] or "" for match in found if match is not None}


def _conf_folders(environ: Mapping[str, str]) -> list[Path]:
    if folder := environ.get("SPARK_CONF_DIR"):
        return [Path(folder)]
    if folder := environ.get("SPARK_HOME"):
        return [Path(folder) / "conf"]
    from importlib.util import find_spec  # noqa: PLC0415 - only where Spark is a Python package

    pyspark = find_spec("pyspark")
    return [Path(pyspark.origin).parent / "conf"] if pyspark is not None and pyspark.origin else []


def _append(before: str | None, ours: str, separator: str) -> str:
    kept = [part for part in (before or "").split(separator) if part.strip()]
    return separator.join(kept if ours in kept else [*kept, ours])
