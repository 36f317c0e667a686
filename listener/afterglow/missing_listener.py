"""A listener that is configured and whose jar is gone, moved or uninstalled, would stop the job: Spark starts no
context without it. So it is taken out of the configuration, and that is said."""

import logging
from typing import Any

from afterglow.boundary import never_raises
from afterglow.spark_conf import LISTENER, SparkConfError, readable_jar

logger = logging.getLogger("afterglow")

_KEY = "spark.extraListeners"


@never_raises
def leave_out_missing_listener(jvm: Any, jconf: Any) -> None:
    """Before a context is made of `jconf`, its SparkConf: one call to the JVM where our listener is not configured."""
    names = [name.strip() for name in jconf.get(_KEY, "").split(",")]
    if LISTENER not in names or _is_there(jvm):
        return
    others = [name for name in names if name not in ("", LISTENER)]
    if others:
        jconf.set(_KEY, ",".join(others))
    else:
        jconf.remove(_KEY)
    logger.warning(
        "Afterglow's listener is left out of this application, which is linked to its runs all the same: %s names %s, "
        "whose jar is not on the driver's class path. %s, or take it out there", _KEY, LISTENER, _todo(),
    )  # fmt: skip


def _is_there(jvm: Any) -> bool:
    """Whether the class loads by the loader that Spark asks, that of the thread."""
    from py4j.protocol import Py4JJavaError  # noqa: PLC0415 - here whenever there is a JVM

    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    try:
        return loader is None or loader.loadClass(LISTENER) is not None
    except Py4JJavaError:  # it is not found, or is damaged
        return False


def _todo() -> str:
    try:
        return f"Name {readable_jar()} in spark.jars and spark.driver.extraClassPath, as `afterglow spark-conf` does"
    except SparkConfError as error:
        return f"Here {error}"
