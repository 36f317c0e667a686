"""`make bench`: the time that the hook adds to a job, against the same job under AFTERGLOW_DISABLED=1.

Two drivers stand side by side and take turns, so that whatever else the machine does hits both. Prints a table,
keeps it in docs/benchmarks.md, and all samples in docs/benchmarks/hook.json.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from numpy.typing import NDArray

from afterglow.recorder import QUIET_SECONDS
from tests.benchmarks import report
from tests.support.environment import REMOVED_PREFIXES, SETTINGS
from tests.support.parts import ROOT, require
from tests.support.tracking import running_mlflow

RUNS, TENS, JOBS, FIRST_JOBS, EXITS, WARM_UP = 50, 4, 60, 25, 2, 3
# After a run, and after ten: what the hook does in the background is over before the other driver's turn.
PAUSE_SECONDS, LONG_PAUSE_SECONDS = QUIET_SECONDS + 0.15, QUIET_SECONDS + 0.85
RESAMPLES = 2_000

Samples = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """One line of the table; all in milliseconds. Sample i of `on` was taken beside sample i of `off`."""

    what: str
    off: Samples
    on: Samples
    target: float | None  # of the added median

    @property
    def added(self) -> float:
        return float(np.median(self.on) - np.median(self.off))

    def interval(self) -> tuple[float, float]:
        """95 % of the added medians of resampled pairs lie in it."""
        random = np.random.default_rng(1)
        picks = random.integers(0, len(self.on), (RESAMPLES, len(self.on)))
        added = np.median(self.on[picks], axis=1) - np.median(self.off[picks], axis=1)
        low, high = np.percentile(added, (2.5, 97.5))
        return float(low), float(high)

    def verdict(self) -> str:
        if self.target is None:
            return ""
        return f"< {self.target:,.0f}: {'met' if self.added < self.target else '**missed**'}"

    def row(self) -> str:
        off, on = (f"{np.median(each):,.1f} ({np.percentile(each, 95):,.1f})" for each in (self.off, self.on))
        low, high = self.interval()
        added = f"{self.added:+.2f} ({low:+.2f} … {high:+.2f})"
        return f"| {self.what} | {len(self.on)} | {off} | {on} | {added} | {self.verdict()} |"

    def raw(self) -> dict[str, Any]:
        rounded = {"without": self.off.round(3).tolist(), "with": self.on.round(3).tolist()}
        return {"what": self.what, "added_median_ms": round(self.added, 3), "samples_ms": rounded}


class Driver:
    """A running hook_job; `take` has it do one thing."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._answer()

    def take(self, command: str) -> float:
        assert self._process.stdin is not None
        print(command, file=self._process.stdin, flush=True)
        return self._answer()

    def end(self) -> float:
        """Have the process end; the milliseconds that this takes after its last statement."""
        last_statement = self.take("end")
        self._process.wait()
        return time.time() * 1_000 - last_statement

    def _answer(self) -> float:
        assert self._process.stdout is not None
        return float(self._process.stdout.readline())


@dataclass(frozen=True)
class Bench:
    """Where the drivers run. `off` and `on` are environments of a driver without and with the hook."""

    folder: Path
    off: Mapping[str, str]
    on: Mapping[str, str]

    @contextmanager
    def drivers(self, tracking_uris: Mapping[str, str]) -> Iterator[list[Driver]]:
        """One without the hook and one with it."""
        with ExitStack() as stack:
            processes = [
                stack.enter_context(
                    self.start("serve", environment={**each, "MLFLOW_TRACKING_URI": tracking_uris[name]})
                )
                for name, each in (("off", self.off), ("on", self.on))
            ]
            yield [Driver(process) for process in processes]

    def start(self, *arguments: str, environment: Mapping[str, str]) -> "subprocess.Popen[str]":
        command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.hook_job", *arguments]
        errors = (self.folder / "errors").open("ab")
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )


def in_turns(
    drivers: list[Driver], *commands: str, times: int, pause_seconds: float
) -> Iterator[tuple[Samples, Samples]]:
    """For each of `commands` its milliseconds, without the hook and with it; each driver does all in its turn."""
    turns = []
    for _ in range(WARM_UP + times):
        for driver in drivers:
            turns.append([driver.take(command) for command in commands])
            time.sleep(pause_seconds)
    taken = np.array(turns[-2 * times :])
    for number in range(len(commands)):
        yield taken[0::2, number], taken[1::2, number]


def measure_runs(drivers: list[Driver], store: str) -> list[Figure]:
    start, end = in_turns(drivers, "begin", "end", times=RUNS, pause_seconds=PAUSE_SECONDS)
    [ten] = in_turns(drivers, "ten runs", times=TENS, pause_seconds=LONG_PAUSE_SECONDS)
    return [
        Figure(f"`start_run()`, {store}", *start, target=1),
        Figure(f"`end_run()`, {store}", *end, target=None),
        Figure(f"start and end of one of ten runs without a pause, {store}", ten[0] / 10, ten[1] / 10, target=None),
    ]


def measure_jobs(drivers: list[Driver]) -> list[Figure]:
    _, first, _ = in_turns(drivers, "begin", "job", "end", times=FIRST_JOBS, pause_seconds=PAUSE_SECONDS)
    for driver in drivers:
        driver.take("begin")
    [other] = in_turns(drivers, "job", times=JOBS, pause_seconds=0)
    return [
        Figure("the first Spark job of a run, of one task", *first, target=None),
        Figure("any other one", *other, target=None),
    ]


def measure_exit(bench: Bench, tracking_uri: str, silenced: list[int]) -> Figure:
    """From the program's last statement to the end of its process; `silenced` stop just before."""
    taken = []
    for _ in range(EXITS):
        with ExitStack() as stack:
            environments = [{**each, "MLFLOW_TRACKING_URI": tracking_uri} for each in (bench.off, bench.on)]
            started = [bench.start("end", *map(str, silenced), environment=each) for each in environments]
            # Both wait until the other has started: that alone takes the machine.
            drivers = [Driver(stack.enter_context(process)) for process in started]
            for driver in drivers:
                taken.append(driver.end())
                for server in silenced:
                    os.kill(server, signal.SIGCONT)
    what = "exit of the interpreter, right after a run"
    off, on = np.array(taken[0::2]), np.array(taken[1::2])
    return Figure(f"{what}, MLflow silent" if silenced else what, off, on, target=2_000 if silenced else 1_000)


def processes_of(uri: str) -> list[int]:
    """Whose command line names the port of `uri`: the MLflow server's."""
    port = f"\0{uri.rpartition(':')[2]}\0".encode()
    return [int(each.parent.name) for each in Path("/proc").glob("[0-9]*/cmdline") if port in each.read_bytes()]


def make_bench(folder: Path) -> Bench:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(REMOVED_PREFIXES)}
    environment = {**kept, **SETTINGS, "AFTERGLOW_HOME": str(folder / "afterglow")}
    return Bench(folder, off={**environment, "AFTERGLOW_DISABLED": "1"}, on=environment)


def measure(folder: Path) -> list[Figure]:
    bench = make_bench(folder)
    # Two stores, since SQLite lets one writer in at a time, and the server's; migrated once, which takes seconds.
    databases = {name: f"sqlite:///{folder}/{name}.db" for name in ("off", "on")}
    mlflow.MlflowClient(databases["off"]).search_experiments(max_results=1)
    for copy in ("on.db", "mlflow.db"):
        shutil.copy(folder / "off.db", folder / copy)
    with bench.drivers(databases) as drivers:
        figures = measure_runs(drivers, "SQLite") + measure_jobs(drivers)
    with running_mlflow(folder) as uri:
        with bench.drivers({"off": uri, "on": uri}) as drivers:
            figures[3:3] = measure_runs(drivers, "MLflow over HTTP")
        for silenced in ([], processes_of(uri)):
            figures.append(measure_exit(bench, uri, silenced))
    return figures


def table(figures: list[Figure]) -> str:
    head = [
        f"Milliseconds, median (95th percentile), on {report.machine()}.",
        "*Added*: the difference of the medians, and its 95 % interval by resampling.",
        "",
        "| | n | without the hook | with it | added | target |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *(figure.row() for figure in figures)])


def keep(figures: list[Figure]) -> None:
    raw = {"machine": report.machine(), "figures": [figure.raw() for figure in figures]}
    report.keep("hook", table(figures), raw)


if __name__ == "__main__":
    require("jar")
    with tempfile.TemporaryDirectory() as name:
        measured = measure(Path(name))
    print(table(measured))
    keep(measured)
