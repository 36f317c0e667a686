"""The driver that `make bench` measures: with the hook and, under AFTERGLOW_DISABLED=1, without it.

`serve` does one thing a line of its input and answers with the milliseconds that it took; `end [pid …]` waits for
a line, makes a run, stops those processes, and ends.
"""

import os
import signal
import sys
import time
from collections.abc import Callable

import mlflow
from pyspark.sql import SparkSession

from afterglow.spark_conf import spark_conf

SPIN_SECONDS = 0.005

# Standard output is MLflow's: it prints where to see each run.
_answers = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def start_spark() -> SparkSession:
    builder = SparkSession.builder.master("local[1]").appName("bench").config("spark.ui.enabled", "false")
    for key, value in spark_conf(defaults={}).items():
        builder = builder.config(key, value)
    return builder.config("spark.log.level", "ERROR").getOrCreate()


def one_run() -> None:
    mlflow.start_run()
    mlflow.end_run()


def ten_runs() -> None:
    for _ in range(10):
        one_run()


def timed_ms(action: Callable[[], object]) -> float:
    # Whatever slept before, a core that was asleep as well would be counted to the action.
    until = time.perf_counter() + SPIN_SECONDS
    while time.perf_counter() < until:
        pass
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1_000


def answer(milliseconds: float) -> None:
    print(milliseconds, file=_answers, flush=True)


def serve() -> None:
    count = start_spark().sparkContext.parallelize([1], 1).count
    count()
    answer(0)
    actions: dict[str, Callable[[], object]] = {
        "ten runs": ten_runs,
        "job": count,
        "begin": mlflow.start_run,
        "end": mlflow.end_run,
    }
    for line in sys.stdin:
        answer(timed_ms(actions[line.strip()]))


def end(servers: list[int]) -> None:
    """Ends before anything of the run can have been recorded; `servers` no longer answer then."""
    start_spark()
    answer(0)
    sys.stdin.readline()
    one_run()
    for server in servers:
        os.kill(server, signal.SIGSTOP)
    answer(time.time() * 1_000)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        end([int(pid) for pid in sys.argv[2:]])
