"""The driver of overhead.py: the same work again and again, each time in a context that something else listens to.

Everything is in one JVM, so that all of them find it equally warm. Prints a line of JSON for each context.
"""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark import SparkConf, SparkContext
from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql import SparkSession

PYTHON = "python"
TICKS = os.sysconf("SC_CLK_TCK")  # a second
DRAINED_MS = 600_000


class PythonListener:
    """A listener in Python, called from the JVM through py4j: it looks at a field of each event, as one must."""

    class Java:
        implements = ("org.apache.spark.scheduler.SparkListenerInterface",)

    def __getattr__(self, name: str) -> Callable[[Any], None]:
        if not name.startswith("on"):
            raise AttributeError(name)
        return self._take

    def _take(self, event: Any) -> None:
        event.getClass()


def main(asked: dict[str, Any]) -> None:
    kinds, began = list(asked["kinds"].items()), time.monotonic()
    for number in range(asked["rounds"]):
        if time.monotonic() - began > asked["minutes"] * 60:
            break
        at = number % len(kinds)  # who comes first differs
        for kind, settings in kinds[at:] + kinds[:at]:
            if number <= asked["only"].get(kind, number):
                print(
                    "SAMPLE", json.dumps({"round": number, "kind": kind, **sample(asked, kind, settings)}), flush=True
                )


def sample(asked: dict[str, Any], kind: str, settings: dict[str, str]) -> dict[str, Any]:
    context = SparkContext(conf=SparkConf().setAll(list(settings.items())))
    if kind == PYTHON:
        ensure_callback_server_started(context._gateway)  # type: ignore[no-untyped-call]
        context._jsc.sc().addSparkListener(PythonListener())
    spark = SparkSession(context)
    taken = {
        "tasks": measured(context, lambda: many_tasks(spark, asked["tasks"])),
        "queries": measured(context, lambda: many_queries(spark, asked["queries"])),
    }
    began = time.monotonic()
    spark.stop()
    return {**taken, "stop_s": time.monotonic() - began}


def many_tasks(spark: SparkSession, tasks: int) -> None:
    spark.range(0, tasks, 1, tasks).selectExpr("sum(id)").collect()


def many_queries(spark: SparkSession, queries: int) -> None:
    for number in range(queries):
        spark.range(0, 1_000, 1, 2).selectExpr(f"id % {2 + number % 7} AS k").groupBy("k").count().collect()


def measured(context: SparkContext, work: Callable[[], None]) -> dict[str, Any]:
    """Seconds of the work; and of the processor until all that it posted was heard: of threads, the JVM, Python."""
    jvm: Any = context._jvm
    jvm.System.gc()
    threads, process, python = by_thread(jvm), of_process(jvm), time.process_time()
    began = time.monotonic()
    work()
    wall = time.monotonic() - began
    context._jsc.sc().listenerBus().waitUntilEmpty(DRAINED_MS)
    flush(context)
    python, process = time.process_time() - python, of_process(jvm) - process
    return {"wall_s": wall, "jvm_s": process, "python_s": python, "threads_s": by_thread(jvm) - threads}


def flush(context: SparkContext) -> None:
    """What the listener was told is in its journal."""
    for each in context._jsc.sc().listenerBus().listeners():
        if each.getClass().getName() == "io.afterglow.AfterglowListener":
            each.flush(DRAINED_MS)


def by_thread(jvm: Any) -> "Counter[str]":
    """The processor seconds of the threads of each name."""
    bean = jvm.java.lang.management.ManagementFactory.getThreadMXBean()
    seconds: Counter[str] = Counter()
    for thread in list(bean.getAllThreadIds()):
        info = bean.getThreadInfo(thread)
        if info is not None and info.getThreadName().startswith(("afterglow-", "spark-listener-group-")):
            seconds[info.getThreadName()] += max(0, bean.getThreadCpuTime(thread)) / 1e9
    return seconds


def of_process(jvm: Any) -> float:
    """The processor seconds of the whole JVM: garbage collection and compiling too."""
    pid = jvm.java.lang.ProcessHandle.current().pid()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
    os._exit(0)  # the threads that take the JVM's calls would be waited for
