"""`python -m tests.benchmarks.load --runs N`: how fast a tracking server's runs come into the store at first.

From a generated MLflow database read directly, and, of --through-client runs, from a server over HTTP beside what its
bare client reads of them. Then a pass with nothing new. Prints a table, and with --keep puts it into docs/benchmarks.md
and docs/benchmarks/load.json.
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import ViewType

from afterglow_monitor.clock import now_ms
from afterglow_monitor.settings import MlflowServer, SyncSettings
from afterglow_monitor.sync import ServerSync
from afterglow_store import Query, open_store, search_runs
from tests.benchmarks import report
from tests.benchmarks.generate import generate
from tests.benchmarks.search import NOW
from tests.support.environment import SETTINGS
from tests.support.tracking import running_mlflow

PASSES = 20
TIMES = 3  # the bare client and sync take turns this often
_SPAWN = multiprocessing.get_context("spawn")
Figures = dict[str, float]


def load(server: MlflowServer, store_url: str) -> Figures:
    """The first load into an empty store, then passes with nothing new. In a process of its own, for its memory."""
    with closing(open_store(store_url)) as store:
        sync = ServerSync(store, server, SyncSettings())
        started, cpu = time.perf_counter(), time.process_time()
        while not sync.loaded:
            sync.read(now_ms())
            assert sync.error is None, sync.error
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
        sync.read(now_ms())  # what is recent is read again
        passes = [_timed(lambda: sync.read(now_ms())) for _ in range(PASSES)]
        with store.read() as conn:
            assert search_runs(conn, Query(limit=1)).rows
    return {
        "runs": sync.progress[0],
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "pass_ms": sorted(passes)[PASSES // 2] * 1_000,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024,
    }


def read_bare(uri: str) -> Figures:
    """All runs, as a program reads them through MLflow's client, a thousand at a time."""
    client = MlflowClient(uri)
    started, runs, token = time.perf_counter(), 0, None
    experiments = [each.experiment_id for each in client.search_experiments(view_type=ViewType.ALL)]
    while True:
        page = client.search_runs(experiments, "", ViewType.ALL, 1_000, page_token=token)
        runs, token = runs + len(page), page.token
        if not token:
            return {"runs": runs, "seconds": time.perf_counter() - started}


def _timed(task: Callable[[], object]) -> float:
    started = time.perf_counter()
    task()
    return time.perf_counter() - started


def _alone(task: Callable[..., Figures], *said: Any) -> Figures:
    with _SPAWN.Pool(1) as pool:
        return pool.apply(task, said)


def measure_database(folder: Path, url: str) -> Figures:
    server = MlflowServer(name="team", uri=url, database=url)
    return _alone(load, server, f"sqlite:///{folder / 'direct.db'}")


def measure_client(folder: Path, runs: int, seed: int) -> dict[str, list[Figures]]:
    generate(f"sqlite:///{folder / 'mlflow.db'}", runs, seed=seed, now=NOW)
    found: dict[str, list[Figures]] = {"bare": [], "sync": []}
    with running_mlflow(folder) as uri:
        _alone(read_bare, uri)  # the server warms up
        for turn in range(TIMES):
            found["bare"].append(_alone(read_bare, uri))
            store = f"sqlite:///{folder / f'asked-{turn}.db'}"
            found["sync"].append(_alone(load, MlflowServer(name="team", uri=uri), store))
    return found


def _rate(samples: list[Figures]) -> float:
    return max(each["runs"] / each["seconds"] for each in samples)


def table(result: Mapping[str, Any]) -> str:
    direct, bare, asked = result["direct"], result["client"]["bare"], result["client"]["sync"]
    rate, shares = direct["runs"] / direct["seconds"], _rate(asked) / _rate(bare)
    return "\n".join(
        [
            f"SQLite on both sides; {result['machine']}; load average {result['load']}.",
            "",
            "| | runs | measured | target |",
            "|---|---|---|---|",
            f"| first load from MLflow's database | {direct['runs']:,} | {rate:,.0f} runs/s | ≥ 15,000 |",
            f"| … by the processor time that it took | | {direct['runs'] / direct['cpu_seconds']:,.0f} runs/s | |",
            f"| … memory of its process | | {direct['memory_mb']:,.0f} MB | < 500 |",
            f"| … a pass with nothing new, after it | | {direct['pass_ms']:,.1f} ms | ≤ 200 |",
            f"| bare client, best of {TIMES} | {bare[0]['runs']:,} | {_rate(bare):,.0f} runs/s | |",
            f"| first load through the client, best of {TIMES} | {asked[0]['runs']:,} | {_rate(asked):,.0f} runs/s, "
            f"{shares:.2f} × the bare client | ≥ 0.9 × |",
            f"| … a pass with nothing new, after it | | {asked[0]['pass_ms']:,.1f} ms | ≤ 200 |",
        ]
    )


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--through-client", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="put the figures into docs/benchmarks")
    parser.add_argument("--database", metavar="URL", help=f"one that was generated with these and --now {NOW}")
    said = parser.parse_args()
    os.environ.update(SETTINGS)
    with tempfile.TemporaryDirectory() as named:
        folder = Path(named)
        url = said.database or f"sqlite:///{folder / 'large.db'}"
        if not said.database:
            generate(url, said.runs, seed=said.seed, now=NOW)
        result: dict[str, Any] = {"machine": report.machine(), "direct": measure_database(folder, url)}
        print(result["direct"], flush=True)
        result["client"] = measure_client(folder, said.through_client, said.seed)
    result["load"] = round(os.getloadavg()[1], 1)
    print(table(result))
    if said.keep:
        report.keep("load", table(result), result)


if __name__ == "__main__":
    _main()
