"""`python -m tests.benchmarks.load --runs N`: how fast a tracking server's runs come into the store at first.

From a generated MLflow database read directly, into SQLite and into PostgreSQL, with another process that lists runs
meanwhile as Monitor does; and, of --through-client runs, from a server over HTTP beside what its bare client reads of
them. Then a pass with nothing new. Prints a table, and with --keep puts it into docs/benchmarks.md and
docs/benchmarks/load.json.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from mlflow import MlflowClient
from mlflow.entities import ViewType

from afterglow_monitor.settings import MlflowServer
from afterglow_store import Query, Window, open_store, search_runs
from afterglow_store.errors import TooSlow
from tests.benchmarks import report
from tests.benchmarks.draw import DAY
from tests.benchmarks.generate import generate
from tests.benchmarks.loading import Figures, load
from tests.benchmarks.search import NOW
from tests.support.databases import running_cluster
from tests.support.environment import SETTINGS
from tests.support.parts import find
from tests.support.tracking import running_mlflow

PAUSE_SECONDS = 0.05  # between two lists
TIMES = 3  # the bare client and sync take turns this often
_SPAWN = multiprocessing.get_context("spawn")


def list_meanwhile(store_url: str, started: Any, ended: Any) -> list[float]:
    """How long (ms) the newest 50 runs of 30 days took, asked again and again until `ended` is set."""
    query, samples = Query(window=Window(NOW - 30 * DAY, None), limit=50), []
    with closing(open_store(store_url)) as store:
        started.set()
        while not ended.wait(PAUSE_SECONDS):
            began = time.perf_counter()
            with store.read() as conn, suppress(TooSlow):  # that is as long as it took
                search_runs(conn, query)
            samples.append((time.perf_counter() - began) * 1_000)
    return samples


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


def _alone(task: Callable[..., Figures], *said: Any) -> Figures:
    with _SPAWN.Pool(1) as pool:
        return pool.apply(task, said)


def measure_database(url: str, store_url: str) -> dict[str, Any]:
    server = MlflowServer(name="team", uri=url, database=url)
    with _SPAWN.Manager() as shared, _SPAWN.Pool(1) as pool:
        started, ended = shared.Event(), shared.Event()
        lists = pool.apply_async(list_meanwhile, (store_url, started, ended))
        started.wait()
        figures = _alone(load, server, store_url)
        ended.set()
        return {**figures, "lists_ms": [round(each, 2) for each in lists.get()], "bytes": _stored_bytes(store_url)}


def _stored_bytes(store_url: str) -> int:
    """Of the whole store, most of which are runs."""
    with closing(open_store(store_url)) as store, store.read() as conn:
        if conn.dialect.name == "postgresql":
            return int(conn.scalar(sa.text("SELECT pg_database_size(current_database())")) or 0)
        pages, size = (conn.scalar(sa.text(f"PRAGMA {name}")) or 0 for name in ("page_count", "page_size"))
        return int(pages * size)


def measure_databases(folder: Path, url: str) -> dict[str, Any]:
    found = {"direct": measure_database(url, f"sqlite:///{folder / 'direct.db'}")}
    if (programs := find("postgresql")) is not None:
        with running_cluster(programs) as cluster, cluster.fresh_database() as store_url:
            found["postgresql"] = measure_database(url, store_url)
    return found


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
    bare, asked = result["client"]["bare"], result["client"]["sync"]
    shares = _rate(asked) / _rate(bare)
    return "\n".join(
        [
            f"MLflow's runs in SQLite; {result['machine']}; load average {result['load']}.",
            "",
            "| | runs | measured | target |",
            "|---|---|---|---|",
            *_direct("into SQLite", result["direct"]),
            *(_direct("into PostgreSQL", result["postgresql"]) if "postgresql" in result else []),
            f"| bare client, best of {TIMES} | {bare[0]['runs']:,} | {_rate(bare):,.0f} runs/s | |",
            f"| first load through the client, best of {TIMES} | {asked[0]['runs']:,} | {_rate(asked):,.0f} runs/s, "
            f"{shares:.2f} × the bare client | ≥ 0.9 × |",
            f"| … a pass with nothing new, after it | | {asked[0]['pass_ms']:,.1f} ms | ≤ 200 |",
        ]
    )


def _direct(into: str, found: Mapping[str, Any]) -> list[str]:
    runs, lists = found["runs"], sorted(found["lists_ms"])
    median, high = lists[len(lists) // 2], lists[len(lists) * 95 // 100]
    writes, reads = runs / found["cpu_seconds"], runs / found["reader_cpu_seconds"]
    return [
        f"| first load from MLflow's database {into} | {runs:,} | {runs / found['seconds']:,.0f} runs/s | ≥ 15,000 |",
        f"| … by the processor time of the process that writes, and of the one that reads | | {writes:,.0f} and "
        f"{reads:,.0f} runs/s | |",
        f"| … memory of both | | {found['memory_mb']:,.0f} MB | < 500 |",
        f"| … listing 50 runs meanwhile, median (95th percentile) | | {median:,.1f} ({high:,.1f}) ms | |",
        f"| … stored bytes a run | | {found['bytes'] / runs:,.0f} | |",
        f"| … a pass with nothing new, after it | | {found['pass_ms']:,.1f} ms | ≤ 200 |",
    ]


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
        result: dict[str, Any] = {"machine": report.machine(), **measure_databases(folder, url)}
        for name in ("direct", "postgresql"):
            print(*_direct(name, result[name]) if name in result else (), sep="\n", flush=True)
        result["client"] = measure_client(folder, said.through_client, said.seed)
    result["load"] = round(os.getloadavg()[1], 1)
    print(table(result))
    if said.keep:
        report.keep("load", table(result), result)


if __name__ == "__main__":
    _main()
