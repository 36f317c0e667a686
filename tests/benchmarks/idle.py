"""`python -m tests.benchmarks.idle --runs N`: what it costs to watch a tracking server of N runs where nothing happens.

Passes of sync with nothing new, by both sources; then the processor time of a whole `afterglow up` with no page open,
and of the MLflow server that it watches. Prints a table, and with --keep puts it into docs/benchmarks.md and
docs/benchmarks/idle.json.
"""

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from afterglow_monitor.clock import now_ms
from afterglow_monitor.settings import MlflowServer, SyncSettings
from afterglow_monitor.syncing.sync import ServerSync
from afterglow_store import open_store
from tests.benchmarks import report
from tests.benchmarks.generate import generate
from tests.benchmarks.search import NOW
from tests.support.environment import SETTINGS
from tests.support.monitor import answers
from tests.support.tracking import free_port, running_mlflow

PASSES = 50
SETTLED_SECONDS = 40.0  # after the start, until what is done once is done
NEVER, ALWAYS = 1_000_000.0, 1.0  # seconds between two sweeps
_SPAWN = multiprocessing.get_context("spawn")
_TICKS = os.sysconf("SC_CLK_TCK")  # a second
Figures = dict[str, Any]


def load(server: MlflowServer, store_url: str) -> None:
    with closing(open_store(store_url)) as store:
        sync = ServerSync(store, server, SyncSettings())
        while not sync.loaded:
            sync.read(now_ms())
            assert sync.error is None, sync.error
        while sync.list_files(now_ms()):
            pass


def passes(server: MlflowServer, store_url: str) -> Figures:
    """Milliseconds of each of PASSES passes with nothing new, and what they took of the processor on average."""
    with closing(open_store(store_url)) as store:
        sync = ServerSync(store, server, SyncSettings(recent_interval_seconds=NEVER, sweep_interval_seconds=NEVER))
        for _ in range(3):  # the first reads what is recent, and what is RUNNING
            sync.read(now_ms())
        cpu = time.process_time()
        took = [_timed(lambda: sync.read(now_ms())) * 1_000 for _ in range(PASSES)]
        assert sync.error is None, sync.error
        return {"ms": took, "cpu_ms": (time.process_time() - cpu) / PASSES * 1_000}


def _timed(task: Callable[[], object]) -> float:
    started = time.perf_counter()
    task()
    return time.perf_counter() - started


def _alone(task: Callable[..., Any], *said: Any) -> Any:
    with _SPAWN.Pool(1) as pool:
        return pool.apply(task, said)


def idle(home: Path, server: MlflowServer, seconds: float, *, sweep_interval: float) -> Figures:
    """The shares of a processor that `afterglow up` and the MLflow server took over `seconds`."""
    (home / "afterglow.toml").write_text(
        f'[sync]\nsweep_interval_seconds = {sweep_interval}\n\n[[mlflow]]\nname = "{server.name}"\n'
        f'uri = "{server.uri}"\ndatabase = "{server.database}"\n'
    )
    watched = descendants(os.getpid())
    with running_up(home) as (pid, _):
        time.sleep(SETTLED_SECONDS)
        [worker] = descendants(pid)
        parts = {"web": [pid], "worker": [worker], "mlflow": watched}
        before = {name: cpu_seconds(pids) for name, pids in parts.items()}
        time.sleep(seconds)
        return {name: (cpu_seconds(pids) - before[name]) / seconds for name, pids in parts.items()}


@contextmanager
def running_up(home: Path) -> Iterator[tuple[int, str]]:
    """`afterglow up`, once it answers; gives its process id and its address."""
    command = [sys.executable, "-m", "afterglow_monitor.cli", "up", "--port", str(port := free_port())]
    environment = {**os.environ, "AFTERGLOW_HOME": str(home)}
    with (home / "log").open("wb") as log, subprocess.Popen(command, env=environment, stdout=log, stderr=log) as up:
        try:
            while not answers(address := f"http://127.0.0.1:{port}"):
                assert up.poll() is None, (home / "log").read_text()
                time.sleep(0.1)
            yield up.pid, address
        finally:
            up.terminate()
            up.wait(30)


def cpu_seconds(pids: list[int]) -> float:
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(each[11]) + int(each[12]) for each in fields) / _TICKS


def descendants(pid: int) -> list[int]:
    """The process ids of all that a process has started, and of what these have."""
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (thread / "children").read_text().split()):
            found += [child, *descendants(child)]
    return found


def measure(folder: Path, runs: int, seed: int, seconds: float) -> Figures:
    url = f"sqlite:///{folder / 'mlflow.db'}"
    if not (folder / "mlflow.db").exists():
        generate(url, runs, seed=seed, now=NOW)
    found: Figures = {}
    with running_mlflow(folder) as uri:
        database = MlflowServer(name="team", uri=uri, database=url)
        _alone(load, database, f"sqlite:///{folder / 'store.db'}")
        for kind, server in (("database", database), ("client", MlflowServer(name="team", uri=uri))):
            home = folder / kind
            home.mkdir()
            shutil.copyfile(folder / "store.db", home / "store.db")
            found[kind] = _alone(passes, server, f"sqlite:///{home / 'store.db'}")
            found[kind]["idle"] = idle(home, server, seconds, sweep_interval=NEVER)
            found[kind]["sweeping"] = idle(home, server, seconds, sweep_interval=ALWAYS)
            print(kind, {name: value for name, value in found[kind].items() if name != "ms"}, flush=True)
    return found


def table(result: Mapping[str, Any]) -> str:
    lines = [
        f"{result['runs']:,} runs, SQLite on both sides, {result['seconds']:.0f} s idle each; {result['machine']}; "
        f"load average {result['load']}.",
        "",
        "| | MLflow's database | MLflow's client over HTTP | target |",
        "|---|---|---|---|",
    ]
    kinds = [result[kind] for kind in ("database", "client")]
    lines.append(
        _row("a pass with nothing new, median (95th percentile)", [_spread(each["ms"]) for each in kinds], 200)
    )
    lines.append(_row("… of it processor time", [f"{each['cpu_ms']:,.1f} ms" for each in kinds]))
    for name, when in (("idle", "idle server"), ("sweeping", "while the sweep goes on")):
        ours = [f"{100 * (each[name]['web'] + each[name]['worker']):.1f} %" for each in kinds]
        parts = [f"{100 * each[name]['web']:.1f} % + {100 * each[name]['worker']:.1f} %" for each in kinds]
        theirs = [f"{100 * each[name]['mlflow']:.1f} %" for each in kinds]
        lines.append(_row(f"{when}: processor of `afterglow up`", ours, "2 %" if name == "idle" else ""))
        lines.append(_row("… web + worker", parts))
        lines.append(_row("… processor of the MLflow server meanwhile", theirs))
    return "\n".join(lines)


def _row(name: str, cells: list[str], target: float | str = "") -> str:
    aim = f"≤ {target} ms" if isinstance(target, int | float) else f"≤ {target}" if target else ""
    return f"| {name} | {' | '.join(cells)} | {aim} |"


def _spread(samples: list[float]) -> str:
    ordered = sorted(samples)
    return f"{ordered[len(ordered) // 2]:,.1f} ({ordered[int(len(ordered) * 0.95)]:,.1f}) ms"


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60, help="to watch each idle server")
    parser.add_argument("--keep", action="store_true", help="put the figures into docs/benchmarks")
    parser.add_argument("--database", type=Path, metavar="FILE", help=f"one that was generated with these, --now {NOW}")
    said = parser.parse_args()
    os.environ.update(SETTINGS)
    with tempfile.TemporaryDirectory() as named:
        folder = Path(named)
        if said.database:
            (folder / "mlflow.db").hardlink_to(said.database)
        result = {"machine": report.machine(), "runs": said.runs, "seconds": said.seconds}
        result |= measure(folder, said.runs, said.seed, said.seconds)
    result["load"] = round(os.getloadavg()[1], 1)
    print(table(result))
    if said.keep:
        report.keep("idle", table(result), result)


if __name__ == "__main__":
    _main()
