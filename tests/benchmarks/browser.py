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
import random
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Playwright, sync_playwright

from afterglow_monitor.clock import now_ms
from afterglow_store import open_store
from tests.benchmarks import report
from tests.benchmarks.busy import LARGE, Busy, behind, busy
from tests.benchmarks.draw import PARAMS
from tests.benchmarks.generate import generate
from tests.benchmarks.ours import fill
from tests.benchmarks.person import ASKED, LIST, Person, Timed, listed, others
from tests.benchmarks.sessions import at_once
from tests.benchmarks.watched import Awaited, profile
from tests.support.environment import SETTINGS
from tests.support.monitor import running_monitor, streamlit_run
from tests.support.tracking import free_port, running_mlflow

Figures = dict[str, Any]
Samples = dict[str, list[float]]  # ms
Pages = dict[str, tuple[str, Callable[[], Awaited]]]  # a path, and what is awaited there
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
BESIDE = ("an empty page of Streamlit", "MLflow's own: first rows of an experiment")
MLFLOW_LIST = "/#/experiments/1/runs"
COMPARED, PEOPLE, EVERY_S, WARM_AFTER = 100, 20, 5.0, 3
EMPTY = "import streamlit as st\n\nst.title('Empty')\n"


def opening(server: Busy, playwright: Playwright, times: int) -> Samples:
    """Pages that are opened by their addresses."""
    return _grouped(chain(_warm(server, playwright, times), _cold(server, playwright, times)))


def pages_of(server: Busy) -> Pages:
    large = f"/?page=application&id=app-{LARGE}"
    compared = urlencode({"page": "compare", "run": listed(server, page=5)[:COMPARED]}, doseq=True)
    return {
        "first rows, warm cache": (LIST, lambda: [listed(server)]),
        "application of 500 runs and 5,000 jobs": (large, lambda: [["\u2003└ large-000", "\u2003└ large-499"]]),
        "… its jobs": (f"{large}&tab=jobs", lambda: [["large-499", "large-000"]]),
        # An axis of a chart, and the table.
        "comparison of 100 runs": (f"/?{compared}", lambda: [[f"params.{each}" for each in PARAMS], "Parameters"]),
    }


def _warm(server: Busy, playwright: Playwright, times: int) -> Iterator[Timed]:
    pages = pages_of(server)
    with profile(playwright) as new_page:
        for number in range(times + WARM_AFTER):  # what it has compiled the browser keeps once it has met it again
            for name, (path, awaited) in pages.items():
                took = new_page().opened(f"{server.address}{path}", awaited())
                if number >= WARM_AFTER:
                    yield name, took


def _cold(server: Busy, playwright: Playwright, times: int) -> Iterator[Timed]:
    for _ in range(times):
        with profile(playwright) as new_page:
            yield "first rows, cold cache", new_page().opened(f"{server.address}{LIST}", [listed(server)])


def acting(server: Busy, playwright: Playwright, times: int) -> Samples:
    """What a person does at the list, who looks at it for a second in between."""
    with profile(playwright) as new_page, new_page() as watched:
        watched.open(f"{server.address}{LIST}", [listed(server)])
        person = Person(watched, server)
        return _grouped(
            _paced((each for _ in range(times) for each in person.acts()), lambda: random.uniform(0.5, 1.5))
        )


def together(server: Busy, playwright: Playwright, seconds: float) -> dict[str, Any]:
    """PEOPLE at once, each of whom does something every EVERY_S."""
    users = others(server)
    until = time.monotonic() + seconds
    with (
        profile(playwright) as new_page,
        new_page() as watched,
        at_once(server.address, partial(_asked, users), count=PEOPLE - 1, every_s=EVERY_S, seconds=seconds) as sessions,
    ):  # fmt: skip
        watched.open(f"{server.address}{LIST}", [listed(server)])
        person = Person(watched, server)
        seen = _grouped(_paced(_until(person, until), lambda: EVERY_S))
    errors = [*watched.errors, *(error for each in sessions for error in each.errors)]
    assert not errors, errors
    return {
        "seen": seen,
        "answered": [took for each in sessions for took in each.took_ms],
        "refreshed": sum(each.refreshed for each in sessions),
    }


def _asked(users: Sequence[str], chance: random.Random) -> str:
    """Another filter, order, page or tab of the list."""
    others: list[dict[str, Any]] = [
        {"filter": f"user = '{chance.choice(users)}'"},
        {"sort": chance.choice(["name", "-name"])},
        {"p": str(chance.randrange(2, 20))},
        {"tab": chance.choice(["applications", "experiments"])},
        {},
    ]
    return urlencode(ASKED | chance.choice(others), doseq=True)


def _until(person: Person, moment: float) -> Iterator[Timed]:
    while True:
        for each in person.acts():
            yield each
            if time.monotonic() > moment:
                return


def _paced(acts: Iterable[Timed], pause: Callable[[], float]) -> Iterator[Timed]:
    for each in acts:
        yield each
        time.sleep(pause())


def _grouped(acts: Iterable[Timed]) -> Samples:
    found: Samples = defaultdict(list)
    for name, took in acts:
        print(f"{name}: {took:,.0f} ms", flush=True)
        found[name].append(took)
    return found


def beside(database: Path, folder: Path, playwright: Playwright, times: int) -> Samples:
    """BESIDE, on the same machine, with a cold cache and with a warm one."""
    script = folder / "empty.py"
    script.write_text(EMPTY)
    (folder / "mlflow").mkdir()
    (folder / "mlflow" / "mlflow.db").hardlink_to(database)
    command = [*streamlit_run(port := free_port())[:-2], str(script), f"--server.port={port}", "--server.headless=true"]
    with running_monitor("", folder, command=command, port=port) as empty, running_mlflow(folder / "mlflow") as mlflow:
        return _grouped(chain(
            _opened(BESIDE[0], f"{empty}/", "h1", playwright, times),
            _opened(BESIDE[1], f"{mlflow}{MLFLOW_LIST}", "[href*='/experiments/1/runs/']", playwright, times),
        ))  # fmt: skip


def _opened(name: str, address: str, selector: str, playwright: Playwright, times: int) -> Iterator[Timed]:
    for _ in range(times):
        with profile(playwright) as new_page:
            yield f"{name}, cold cache", new_page([selector]).opened(address, [selector])
    with profile(playwright) as new_page:
        for number in range(times + WARM_AFTER):
            took = new_page([selector]).opened(address, [selector])
            if number >= WARM_AFTER:
                yield f"{name}, warm cache", took


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


PARTS = ("opening", "acting", "together", "beside")


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
