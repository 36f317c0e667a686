"""What the browser benchmark has people do: open pages, act at a list, be twenty at once; and the same of others."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Playwright

from tests.benchmarks.busy import LARGE, Busy
from tests.benchmarks.person import ASKED, LIST, Person, Timed, listed, others
from tests.benchmarks.sessions import at_once
from tests.benchmarks.watched import Awaited, Watched, profile
from tests.support.monitor import running_monitor, streamlit_run
from tests.support.tracking import free_port, running_mlflow

Samples = dict[str, list[float]]  # ms
Pages = dict[str, tuple[str, Callable[[], Awaited]]]  # a path, and what is awaited there

BESIDE = ("an empty page of Streamlit", "MLflow's own: first rows of an experiment")
MLFLOW_LIST = "/#/experiments/1/runs"
COMPARED, PEOPLE, EVERY_S, WARM_AFTER = 100, 20, 5.0, 3
CHART = ".stVegaLiteChart svg .mark-line path"  # the lines of the runs over their parameters
STREAMLIT_FLAGS = ["--server.headless=true", "--browser.gatherUsageStats=false"]  # nothing asked of other machines
EMPTY = "import streamlit as st\n\nst.title('Empty')\n"


def opening(server: Busy, playwright: Playwright, times: int) -> Samples:
    """Pages that are opened by their addresses."""
    return _grouped(chain(_warm(server, playwright, times), _cold(server, playwright, times)))


def pages_of(server: Busy) -> Pages:
    large = f"/?page=application&id=app-{LARGE}"
    compared = urlencode({"page": "compare", "run": listed(server, page=50)[:COMPARED]}, doseq=True)
    return {
        "first rows, warm cache": (LIST, lambda: [listed(server)]),
        "application of 500 runs and 5,000 jobs": (large, lambda: [["\u2003└ large-000", "\u2003└ large-499"]]),
        "… its jobs": (f"{large}&tab=jobs", lambda: [["large-499", "large-000"]]),
        "comparison of 100 runs": (f"/?{compared}", lambda: [CHART, "Parameters"]),  # and the table
    }


def _warm(server: Busy, playwright: Playwright, times: int) -> Iterator[Timed]:
    pages = pages_of(server)
    with profile(playwright) as new_page:
        for number in range(times + WARM_AFTER):  # what it has compiled the browser keeps once it has met it again
            for name, (path, awaited) in pages.items():
                took = new_page([CHART]).opened(f"{server.address}{path}", awaited())
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
    command = [*streamlit_run(port := free_port())[:-2], str(script), f"--server.port={port}", *STREAMLIT_FLAGS]
    with running_monitor("", folder, command=command, port=port) as empty, running_mlflow(folder / "mlflow") as mlflow:
        return _grouped(chain(
            _opened(BESIDE[0], f"{empty}/", "h1", playwright, times),
            _opened(BESIDE[1], f"{mlflow}{MLFLOW_LIST}", "[href*='/experiments/1/runs/']", playwright, times),
        ))  # fmt: skip


def _opened(name: str, address: str, selector: str, playwright: Playwright, times: int) -> Iterator[Timed]:
    for _ in range(times):
        with profile(playwright) as new_page:
            yield f"{name}, cold cache", _theirs(new_page([selector]), address, selector)
    with profile(playwright) as new_page:
        for number in range(times + WARM_AFTER):
            took = _theirs(new_page([selector]), address, selector)
            if number >= WARM_AFTER:
                yield f"{name}, warm cache", took


def _theirs(watched: Watched, address: str, selector: str) -> float:
    """Whatever it complains of meanwhile: MLflow's page asks for a user where its server knows none."""
    with watched:
        return watched.open(address, [selector])
