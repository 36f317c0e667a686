"""The spark-submit line that repeats an application, from what is known of its configuration."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

# What Spark sets by itself, at each start anew, or what the line says otherwise.
OF_THE_START = (
    "spark.app.",
    "spark.driver.host",
    "spark.driver.port",
    "spark.driver.extraJavaOptions",  # with a dozen options of Spark's own for newer JVMs
    "spark.executor.extraJavaOptions",
    "spark.executor.id",
    "spark.master",
    "spark.rdd.compress",
    "spark.repl.",
    "spark.serializer.objectStreamReset",
    "spark.sql.artifact.",
    "spark.sql.warehouse.dir",
    "spark.submit.",
    "spark.ui.",
)
REDACTED = "(redacted)"
SCRIPT = "YOUR_JOB.py"


def line(properties: Mapping[str, str], *, master: str | None, name: str | None, script: str | None) -> str:
    """Over several lines, ready for a shell. Values that were redacted are left out, and said so below it."""
    parts = ["spark-submit"]
    if master:
        parts.append(f"--master {shlex.quote(master)}")
    if mode := properties.get("spark.submit.deployMode"):
        parts.append(f"--deploy-mode {shlex.quote(mode)}")
    if name:
        parts.append(f"--name {shlex.quote(name)}")
    kept = {key: value for key, value in sorted(properties.items()) if not key.startswith(OF_THE_START)}
    parts += [f"--conf {shlex.quote(f'{key}={value}')}" for key, value in kept.items() if REDACTED not in value]
    text = " \\\n  ".join([*parts, shlex.quote(script) if script else SCRIPT])
    hidden = [key for key, value in kept.items() if REDACTED in value]
    return text + (f"\n# left out, as their values were not kept: {', '.join(hidden)}" if hidden else "")
