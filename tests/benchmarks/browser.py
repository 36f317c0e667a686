"""`python -m tests.benchmarks.browser --runs N`: how Monitor feels in Chromium on a store of N runs.

`afterglow up` serves a copy of the store while drivers write 2,000 events a second. One person looks, in a Chromium of
his own: at pages that he opens, with and without a warm cache, and at what each click or Enter does. Then twenty
people for some minutes: one of them in Chromium, the others as far as the server can tell (sessions.py). Beside it an
empty page of Streamlit, and the experiment page of MLflow's own server. Prints a table, and with --keep puts it into
docs/benchmarks.md and docs/benchmarks/browser.json.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Playwright, sync_playwright

from afterglow_monitor.clock import now_ms
from afterglow_store import open_store
from tests.benchmarks import report
from tests.benchmarks.busy import Busy, behind, busy
from tests.benchmarks.generate import generate
from tests.benchmarks.looking import PEOPLE, acting, beside, opening, together
from tests.benchmarks.ours import fill
from tests.support.environment import SETTINGS

Figures = dict[str, Any]
PARTS = ("opening", "acting", "together", "beside")
LIMITS_MS = {
    "first rows, warm cache": 1_500,
    "first rows, cold cache": 3_000,
    "from a list to an application": 700,
    "from a list to a run": 700,
    "from it to its experiment": 700,
    "back to the list": 700,
    "another filter": 500,
    "another sort": 500,
    "another page": 500,
    "another tab": 500,
    "application of 500 runs and 5,000 jobs": 1_500,
    "… its jobs": 1_500,
    "comparison of 100 runs": 2_000,
}


def memory_mb(pid: int) -> float:
    """The most that a process has had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1_024 if found else 0.0


def measure(parts: Sequence[str], store_url: str, database: Path, folder: Path, times: int, seconds: float) -> Figures:
    found: Figures = {"samples": {}, "loads": {}}
    with sync_playwright() as playwright:
        if set(parts) & {"opening", "acting", "together"}:
            with busy(store_url, folder) as server:
                began, before = time.monotonic(), behind(server)
                _measure_monitor(server, found, parts, playwright, times, seconds)
                found |= behind(server) | {"web_mb": memory_mb(server.web)}
                found["taken_events_per_s"] = (found["events"] - before["events"]) / (time.monotonic() - began)
        if "beside" in parts:
            found["samples"] |= beside(database, folder, playwright, times)
            found["loads"]["beside"] = _load()
    return found


def _measure_monitor(
    server: Busy, found: Figures, parts: Sequence[str], playwright: Playwright, times: int, seconds: float
) -> None:
    for part, measured in (("opening", opening), ("acting", acting)):
        if part in parts:
            found["samples"] |= measured(server, playwright, times)
            found["loads"][part] = _load()
    if "together" in parts:
        found["together"] = together(server, playwright, seconds)
        found["loads"]["together"] = _load()


def _load() -> float:
    return round(os.getloadavg()[1], 1)


def table(result: Mapping[str, Any]) -> str:
    seen = result.get("together", {}).get("seen", {})
    loads = ", ".join(f"{name} {load}" for name, load in result["loads"].items())
    lines = [
        f"{result['runs']:,} runs; milliseconds, median (95th percentile); {result['machine']}; load averages: "
        f"{loads}.",
        "",
        "| | one person | to reach | one of twenty | to reach |",
        "|---|---|---|---|---|",
    ]
    names = [*LIMITS_MS, *(name for name in result["samples"] if name not in LIMITS_MS)]
    lines += [_row(name, result["samples"].get(name, []), seen.get(name, [])) for name in names]
    return "\n".join([*lines, "", *_facts(result)])


def _row(name: str, alone: list[float], of_many: list[float]) -> str:
    limit = LIMITS_MS.get(name)
    aims = (f"≤ {limit:,}", f"p95 ≤ {2 * limit:,}" if of_many else "") if limit else ("", "")
    return f"| {name} | {_spread(alone)} | {aims[0]} | {_spread(of_many)} | {aims[1]} |"


def _spread(samples: list[float]) -> str:
    return f"{median(samples):,.0f} ({p95(samples):,.0f})" if samples else ""


def p95(samples: Sequence[float]) -> float:
    return sorted(samples)[int(len(samples) * 0.95)]


def _facts(result: Mapping[str, Any]) -> Iterator[str]:
    if "web_mb" in result:
        yield f"The worker took in {result['taken_events_per_s']:,.0f} events a second meanwhile, and of what had come"
        yield f"{result['waiting'] / 1e6:,.1f} MB waited at the end."
        yield f"The web process had {result['web_mb']:,.0f} MB at most."
    if many := result.get("together"):
        yield (
            f"The other {PEOPLE - 1} got {len(many['answered']):,} answers, in {_spread(many['answered'])} ms each, "
            f"and {many['refreshed']:,} refreshes, without an error."
        )


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=9, help="samples of each")
    parser.add_argument("--seconds", type=float, default=180, help="that twenty people are there")
    parser.add_argument("--database", type=Path, metavar="FILE", help="one that was generated with this many runs")
    parser.add_argument("--store", metavar="URL", help="a store that was filled from it; it is copied")
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure; the rest stays as kept"
    )
    parser.add_argument("--keep", action="store_true", help="put the figures into docs/benchmarks")
    said = parser.parse_args()
    os.environ.update(SETTINGS)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as named:
        folder = Path(named)
        database = said.database or folder / "mlflow.db"
        if not said.database:
            generate(f"sqlite:///{database}", said.runs, now=now_ms())
        store_url = said.store or f"sqlite:///{folder / 'store.db'}"
        if not said.store:
            with closing(open_store(store_url)) as store:
                fill(store, f"sqlite:///{database}")
        found = measure(said.parts, store_url, database, folder, said.times, said.seconds)
    result = _joined(report.kept("browser") or {}, {"machine": report.machine(), "runs": said.runs} | found)
    print(table(result))
    if said.keep:
        report.keep("browser", table(result), result)


def _joined(kept: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured now, and of the same number of runs what was kept of the rest."""
    if kept.get("runs") != found["runs"]:
        return dict(found)
    inner = {name: kept[name] | found[name] for name in ("samples", "loads")}
    return {**kept, **found, **inner}


if __name__ == "__main__":
    _main()
