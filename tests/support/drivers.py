"""Real drivers that end in a way of their own, and the server's worker, which looks at what they left."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from afterglow.spark_conf import spark_conf
from afterglow_monitor.clock import now_ms
from afterglow_monitor.collecting.journals import Tail
from afterglow_monitor.running.worker import judge_silence
from afterglow_monitor.settings import MlflowServer, Settings, StatusSettings, SyncSettings
from afterglow_monitor.syncing.sync import ServerSync
from afterglow_store import Query, Store, search_applications, search_runs
from tests.support.parts import require
from tests.support.spark import SMALL, spark_command, spark_environment
from tests.support.sparks import LOCKED, Spark

SUBMIT, PYTHON, HOOK = "spark-submit", "plain Python", "plain Python without the listener"
TIMEOUT_S = 150.0
TOOLS = """
import json, os, resource, signal, sys, time
from pathlib import Path
import mlflow
from pyspark.sql import SparkSession

def tell(name, what=""):
    Path(name + ".new").write_text(str(what))
    Path(name + ".new").rename(name)

def note(run):
    tell("run", run.info.run_id)
    return run

def recorded(event="AfterglowRunStart"):
    while not any(event in file.read_text() for file in Path("journal").glob("*.jsonl")):
        time.sleep(0.05)

def wait(name="ready"):
    recorded()
    tell(name)
    time.sleep(120)

tell("python", os.getpid())
"""
CLASSIC = """
builder = SparkSession.builder
for key, value in json.loads(sys.argv[1]).items():
    builder = builder.config(key, value)
spark = builder.getOrCreate()
context = spark.sparkContext

def count():
    return context.parallelize(range(4), 2).count()

def listener():
    for each in context._jsc.sc().listenerBus().listeners():
        if each.getClass().getName() == "io.afterglow.AfterglowListener":
            return each

tell("jvm", spark._jvm.java.lang.ProcessHandle.current().pid())
"""
CLIENT = """
spark = SparkSession.builder.remote(sys.argv[1]).getOrCreate()

def count():
    return spark.range(4).count()
"""


@dataclass
class Process:
    """A driver in its own session of processes, in a `home` that is AFTERGLOW_HOME and working folder."""

    home: Path
    popen: "subprocess.Popen[bytes]" = field(repr=False)

    def told(self, name: str) -> str:
        """What the program said under `name`, as soon as it does."""
        deadline = time.monotonic() + TIMEOUT_S
        while not (self.home / name).exists():
            assert self.popen.poll() is None or name != "ready", self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)
        return (self.home / name).read_text()

    def kill(self, which: str, number: int) -> None:
        """Send a signal to the `jvm` or the `python` of the driver."""
        os.kill(int(self.told(which)), number)

    def kill_all(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to all that the driver has started: what is left of it does not outlive its test."""
        try:
            os.killpg(self.popen.pid, number)
        except ProcessLookupError:
            return

    def ended(self) -> int:
        """The exit code of what was started, once the Python driver and its JVM are over, too."""
        code = self.popen.wait(TIMEOUT_S)
        deadline = time.monotonic() + TIMEOUT_S
        pids = [int(file.read_text()) for file in (self.home / "python", self.home / "jvm") if file.exists()]
        while any(runs(pid) for pid in pids):
            assert time.monotonic() < deadline, f"a part of the driver goes on\n{self.log}"
            time.sleep(0.05)
        return code

    @property
    def log(self) -> str:
        return (self.home / "log").read_text()


def runs(pid: int) -> bool:
    """Whether a process is there and is no zombie: nobody may be there to reap an orphan."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def start(
    home: Path,
    program: str,
    how: str,
    *,
    tracking_uri: str,
    conf: Mapping[str, str] | None = None,
    spark: Spark = LOCKED,
) -> Process:
    """Start a driver with an MLflow over HTTP: under spark-submit, in plain Python, or as the client of the Spark
    Connect server that `how` is the URI of."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / "job.py"
    file.write_text(TOOLS + (CLIENT if how.startswith("sc:") else CLASSIC) + textwrap.dedent(program))
    with (home / "log").open("wb") as log:
        popen = subprocess.Popen(
            _command(file, how, conf or {}, spark),
            cwd=home,
            env=spark_environment(home, {"MLFLOW_TRACKING_URI": tracking_uri}, spark=spark),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return Process(home, popen)


def _command(file: Path, how: str, conf: Mapping[str, str], spark: Spark) -> list[str]:
    if how == SUBMIT:
        return spark_command(file, "{}", conf=conf, spark=spark)
    require("java")
    python = [sys.executable, "-W", "ignore", str(file)]
    if how.startswith("sc:"):
        return [*python, how]
    listener = spark_conf(defaults={}) if how == PYTHON else {}
    return [*python, json.dumps({**SMALL, **listener, **conf})]


class Monitor:
    """The worker of a real server over the journals of some homes, whose clock can be moved on."""

    def __init__(self, store: Store, tracking_uri: str, *homes: Path, later_s: float = 0, grace_s: float = 120) -> None:
        self.store, self.grace_s = store, grace_s
        self._ahead_s = later_s
        self._settings = Settings(home=homes[0], status=StatusSettings(grace_seconds=grace_s))
        self._tail = Tail(store, [home / "journal" for home in homes])
        self._sync = ServerSync(store, MlflowServer(name="mlflow", uri=tracking_uri), SyncSettings())
        self.look()

    def look(self, *, later_s: float = 0) -> "Monitor":
        """One pass of everything that the worker does, its clock moved on by `later_s`, and by the time that passed."""
        self._ahead_s += later_s
        now = now_ms() + int(self._ahead_s * 1000)
        self._tail.poll(now)
        self._sync.poll(now)
        judge_silence(self.store, self._settings, self._tail)
        return self

    def application(self, app_id: str | None = None) -> dict[str, Any]:
        with self.store.read() as conn:
            [row] = search_applications(conn, Query(app=app_id)).rows
        return row

    def run(self, run_id: str) -> dict[str, Any]:
        with self.store.read() as conn:
            return next(row for row in search_runs(conn, Query(limit=1000)).rows if row["run_id"] == run_id)
