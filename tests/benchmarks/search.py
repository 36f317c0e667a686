"""`python -m tests.benchmarks.search --runs N`: how long finding runs among N takes, by MLflow's own search and ours.

MLflow is asked through its client, on the database itself without a server between, and given 60 s a question; above
100,000 runs once. Prints a table, and with --keep puts it into docs/benchmarks.md and all samples into
docs/benchmarks/search.json. The answers are held against what was drawn.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import sqlalchemy as sa
from mlflow import MlflowClient
from mlflow.utils.search_utils import SearchUtils

from afterglow_monitor.address import PAGE_ROWS
from afterglow_store import Query, Store, Window, open_store
from afterglow_store.errors import TooSlow
from afterglow_store.search import deadline
from afterglow_store.windows import ALL
from tests.benchmarks import report
from tests.benchmarks.capped import Capped
from tests.benchmarks.draw import DAY, FILTERS, STATUSES, Column, Drawn, app_id, draw
from tests.benchmarks.generate import generate
from tests.benchmarks.ours import FACETS, asks, experiments, facet, fill
from tests.support.databases import running_cluster
from tests.support.environment import SETTINGS
from tests.support.parts import find

NOW = 1_795_000_000_000  # of the generated server, ms since 1970
LIMIT, PAGES, HOUR = 50, 1_000, 3_600_000
SLOWER = 2  # times as long as what was kept: by the best of each, which a busy machine leaves nearly as they are …
NOISE_MS = 2  # … and by more than that
MOST_PACE = 3  # a machine is at most so many times as slow as the one of what was kept, or else it is not the machine
ENOUGH = 10  # questions, to tell a slow machine from a slow question
ROUNDS = 4  # in which what seems slower is asked again, some seconds later
REST_SECONDS = 5
CAP_SECONDS, TIMES, TIMES_OURS, ONCE_ABOVE = 60, 5, 20, 100_000


@dataclass(frozen=True)
class Question:
    """Which LIMIT runs to list. `asked` is in MLflow's grammar, beside the window; {app_id} is put in."""

    window_ms: int | None = None  # that started in the last so many ms; None is all
    asked: str = ""
    order_by: str = "attributes.start_time DESC"
    skip: int = 0  # this many come before the first one asked for
    text: str = ""  # in names and ids
    facet: str | None = None  # how many of each
    experiments: bool = False  # list these, with what Monitor shows of each
    to_mlflow: bool = True  # False: MLflow's search has nothing like it
    drawn: Callable[[Drawn], Column] | None = field(default=None, compare=False)  # which ones match, beside the window


def _failed(drawn: Drawn) -> Column:
    return np.equal(drawn.status, list(STATUSES).index("FAILED"))


def asked_application(drawn: Drawn) -> int:
    """The one with the most runs of a hundred in the middle."""
    sizes = np.bincount(drawn.application)
    first = max(0, len(sizes) // 2 - 50)
    return first + int(np.argmax(sizes[first : first + 100]))


def _of_application(drawn: Drawn) -> Column:
    return np.equal(drawn.application, asked_application(drawn))


QUESTIONS = {
    "newest 50 of 30 days": Question(30 * DAY),
    "newest 50 FAILED of 30 days": Question(30 * DAY, "attributes.status = 'FAILED'", drawn=_failed),
    "one application's runs": Question(None, "tags.`spark.app.id` = '{app_id}'", drawn=_of_application),
    "top 50 by a metric, 30 days": Question(30 * DAY, order_by="metrics.rmse ASC"),
    "top 50 by a metric, 1 hour": Question(HOUR, order_by="metrics.rmse ASC"),
    "the next page after 1,000 pages": Question(skip=PAGES * LIMIT),
    **{
        f"{name}, {window}": Question(window_ms, each.text, drawn=partial(Drawn.matching, asked=each))
        for name, each in FILTERS.items()
        for window, window_ms in (("30 days", 30 * DAY), ("all time", None))
    },
    "longest 50, all time": Question(order_by="duration DESC", to_mlflow=False),
    "top 50 by input bytes, all time": Question(order_by="spark.input_bytes DESC", to_mlflow=False),
    "a text in 1 in 1,000 names and ids, all time": Question(text="train-99", to_mlflow=False),
    "a text in no name, all time": Question(text="no such name", to_mlflow=False),
    "experiments of 30 days": Question(30 * DAY, experiments=True, to_mlflow=False),
    **{f"how many of each {name}, 30 days": Question(30 * DAY, facet=name, to_mlflow=False) for name in FACETS},
}


@dataclass(frozen=True)
class Timing:
    """One question to one side. No samples: it was stopped after `limit_s`."""

    samples_ms: list[float]
    rows: int | None
    limit_s: float = CAP_SECONDS

    @property
    def best(self) -> float:
        return min(self.samples_ms, default=float("inf"))

    def text(self) -> str:
        if not self.samples_ms:
            return f"> {self.limit_s:g} s"
        median, high = np.median(self.samples_ms), np.percentile(self.samples_ms, 95)
        return f"{median:,.1f} ({high:,.1f})" if len(self.samples_ms) > 1 else f"{median:,.1f}"

    def raw(self) -> dict[str, Any]:
        return {"samples_ms": [round(each, 3) for each in self.samples_ms], "rows": self.rows, "limit_s": self.limit_s}


_DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
SIDES = ("mlflow", "afterglow", "postgresql")
Timings = dict[str, Timing]
Ours = Mapping[str, Callable[[Store], int]]  # by question; each lists from the store, and gives how many rows it got


def expected_rows(question: Question, drawn: Drawn) -> int:
    """How many rows the answer has: MLflow lists runs that were not deleted."""
    matching = ~drawn.deleted
    if question.window_ms is not None:
        matching &= drawn.start >= NOW - question.window_ms
    if question.drawn is not None:
        matching &= question.drawn(drawn)
    return max(0, min(LIMIT, int(matching.sum()) - question.skip))


def connect_mlflow(url: str, application: str) -> Callable[[Question], int]:
    """What asks MLflow's search, over all experiments, and gives how many runs it got."""
    client = MlflowClient(url)
    experiments = [each.experiment_id for each in client.search_experiments()]

    def ask(question: Question) -> int:
        asked = [question.asked.format(app_id=application)] if question.asked else []
        if question.window_ms is not None:
            asked.append(f"attributes.start_time >= {NOW - question.window_ms}")
        token = _token(question.skip)
        found = client.search_runs(
            experiments, " and ".join(asked), max_results=LIMIT, order_by=[question.order_by], page_token=token
        )
        return len(found)

    return ask


def _token(skip: int) -> Any:
    """MLflow's for the page that begins after so many runs."""
    return SearchUtils.create_page_token(skip) if skip else None  # type: ignore[no-untyped-call]


def measure_mlflow(url: str, drawn: Drawn) -> Iterator[tuple[str, Timing]]:
    times = 1 if len(drawn) > ONCE_ABOVE else TIMES
    with _timeout(), Capped(partial(connect_mlflow, url, app_id(asked_application(drawn)))) as mlflow:
        for name, question in QUESTIONS.items():
            if question.to_mlflow:
                yield name, _ask_mlflow(mlflow, question, times, expected_rows(question, drawn))


@contextmanager
def _timeout() -> Iterator[None]:
    """Killed at the cap, MLflow's process would leave a PostgreSQL server at work on the question."""
    os.environ["PGOPTIONS"] = f"-c statement_timeout={CAP_SECONDS + 5}s"
    try:
        yield
    finally:
        del os.environ["PGOPTIONS"]  # our own statements take as long as they take


def _ask_mlflow(mlflow: Capped, question: Question, times: int, expected: int) -> Timing:
    samples: list[float] = []
    for _ in range(times):
        answer = mlflow.ask(question, CAP_SECONDS)
        if answer is None:
            return Timing([], None)
        assert answer.answer == expected, f"{question}: {answer.answer} rows, not {expected}"
        samples.append(answer.milliseconds)
    return Timing(samples, expected)


def our_questions(store: Store, application: str) -> Ours:
    """MLflow lists the runs that were not deleted, and so must we here."""
    found: dict[str, Callable[[Store], int]] = {}
    for name, question in QUESTIONS.items():
        window = Window(NOW - question.window_ms) if question.window_ms is not None else ALL
        if question.facet is not None:
            found[name] = facet(question.facet, window)
            continue
        if question.experiments:
            found[name] = experiments(Query(window, limit=PAGE_ROWS))
            continue
        asked = [question.asked.format(app_id=application)] if question.asked else []
        filter_ = " and ".join([*asked, "attributes.lifecycle_stage = 'active'"])
        found[name] = asks(store, Query(
            window, filter_, text=question.text, order_by=question.order_by, limit=LIMIT, offset=question.skip,
            count=False,
        ))  # fmt: skip
    return found


def measure_ours(store: Store, drawn: Drawn, before: Mapping[str, Any] | None = None) -> Timings:
    """Each question is asked once to warm up, and then TIMES_OURS times. What is slower than `before` is asked again,
    and the best round counts: the machine may have been busy."""
    ours = our_questions(store, app_id(asked_application(drawn)))
    found = {name: _ask_ours(store, ask, _expected_of_ours(name, drawn)) for name, ask in ours.items()}
    for _ in range(ROUNDS):
        seem_slower = slower(before or {}, found)
        time.sleep(REST_SECONDS if seem_slower else 0)
        for name in seem_slower:
            again = _ask_ours(store, ours[name], _expected_of_ours(name, drawn))
            found[name] = min(found[name], again, key=lambda each: each.best)
    return found


def measure_store(
    store_url: str, filled_from: str | None, drawn: Drawn, before: Mapping[str, Any] | None = None
) -> Timings:
    with closing(open_store(store_url)) as store:
        if filled_from is not None:
            fill(store, filled_from)
        return dict(_told(iter(measure_ours(store, drawn, before).items())))


def measure_postgres(url: str, drawn: Drawn) -> Timings:
    """Ours in PostgreSQL, where that is installed."""
    if (programs := find("postgresql")) is None:
        return {}
    with running_cluster(programs) as cluster, cluster.fresh_database() as store_url:
        return measure_store(store_url, url, drawn)


def _expected_of_ours(name: str, drawn: Drawn) -> int | None:
    return expected_rows(QUESTIONS[name], drawn) if QUESTIONS[name].to_mlflow else None


def _ask_ours(store: Store, ask: Callable[[Store], int], expected: int | None) -> Timing:
    try:
        rows = ask(store)
    except TooSlow:
        return Timing([], None, deadline.SECONDS)
    assert expected in (None, rows), f"{rows} rows, not {expected}"
    samples = []
    for _ in range(TIMES_OURS):
        started = time.perf_counter()
        ask(store)
        samples.append((time.perf_counter() - started) * 1_000)
    return Timing(samples, rows)


def slower(before: Mapping[str, Any], after: Timings) -> list[str]:
    """The questions that take too long beside what was kept, or were stopped."""
    kept = {name: Timing(**each).best for name, each in before.items() if each["samples_ms"]}
    machine = pace([after[name].best / kept[name] for name in kept if name in after and after[name].samples_ms])
    return [
        name for name, timing in after.items()
        if name in kept and timing.best > machine * max(SLOWER * kept[name], kept[name] + NOISE_MS)
    ]  # fmt: skip


def pace(times_as_long: Sequence[float]) -> float:
    """How many times as slow this machine is as that of what was kept: as the question in the middle, if at all."""
    if len(times_as_long) < ENOUGH:
        return 1.0
    return float(np.clip(np.median(times_as_long), 1.0, MOST_PACE))


def table(results: Mapping[str, Any]) -> str:
    """Of all sizes that were kept, the largest last."""
    return "\n\n".join(_table(result) for result in results.values())


def _table(result: Mapping[str, Any]) -> str:
    head = [
        f"{result['runs']:,} runs, {result['database']}: milliseconds, median (95th percentile); {result['machine']}; "
        f"load average {result['load']}.",
        "",
        "| | rows | MLflow's search | Afterglow | Afterglow, PostgreSQL |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*head, *(_row(name, [result.get(side, {}) for side in SIDES]) for name in QUESTIONS)])


def _row(name: str, of_sides: Sequence[Mapping[str, Any]]) -> str:
    sides = [Timing(**each[name]) if name in each else None for each in of_sides]
    rows = next((each.rows for each in sides if each is not None and each.rows is not None), "")
    texts = [each.text() if each else "" for each in sides]
    texts[0] = texts[0] or "no such question"
    return f"| {name} | {rows} | {' | '.join(texts)} |"


def result_of(url: str, runs: int, mlflow: Timings, ours: Timings, postgres: Timings) -> dict[str, Any]:
    database = _DATABASES[sa.make_url(url).get_backend_name()]
    sides = [{name: timing.raw() for name, timing in each.items()} for each in (mlflow, ours, postgres)]
    about = {"machine": report.machine(), "load": round(os.getloadavg()[1], 1), "runs": runs, "database": database}
    return about | dict(zip(SIDES, sides, strict=True))


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="put the figures into docs/benchmarks")
    parser.add_argument("--database", metavar="URL", help=f"one that was generated with these and --now {NOW}")
    parser.add_argument("--store", metavar="URL", help="a store that was filled from it")
    parser.add_argument("--check", action="store_true", help="fail where ours takes twice what was kept")
    parser.add_argument("--ours", action="store_true", help="ask only our search, and keep what MLflow took before")
    parser.add_argument("--no-postgres", action="store_true", help="leave PostgreSQL out")
    said = parser.parse_args()
    os.environ.update(SETTINGS)
    with tempfile.TemporaryDirectory() as folder:
        url = said.database or f"sqlite:///{folder}/mlflow.db"
        drawn = draw(said.runs, said.seed, NOW) if said.database else generate(url, said.runs, seed=said.seed, now=NOW)
        mlflow = _kept_of_mlflow(url, said.runs) if said.ours else dict(_told(measure_mlflow(url, drawn)))
        before = _kept(url, said.runs)["afterglow"] if said.check else None
        ours = measure_store(said.store or f"sqlite:///{folder}/store.db", None if said.store else url, drawn, before)
        postgres = {} if said.check or said.no_postgres else measure_postgres(url, drawn)
    result = result_of(url, said.runs, mlflow, ours, postgres)
    print(_table(result))
    if before is not None and (found := slower(before, ours)):
        kept = {name: Timing(**before[name]) for name in found}
        told = [f"{name}: {ours[name].best:,.1f} ms at best, kept were {kept[name].best:,.1f} ms" for name in found]
        raise SystemExit("slower than what was kept:\n" + "\n".join(told))
    if said.keep:
        results = (report.kept("search") or {}) | {key_of(url, said.runs): result}
        results = dict(sorted(results.items(), key=lambda each: (each[1]["runs"], each[0])))
        report.keep("search", table(results), results)


def _told(timings: Iterator[tuple[str, Timing]]) -> Iterator[tuple[str, Timing]]:
    for name, timing in timings:
        print(f"{name}: {timing.text()}", flush=True)
        yield name, timing


def _kept_of_mlflow(url: str, runs: int) -> Timings:
    return {name: Timing(**each) for name, each in _kept(url, runs)["mlflow"].items()}


def _kept(url: str, runs: int) -> Mapping[str, Any]:
    nothing: Mapping[str, Any] = {"mlflow": {}, "afterglow": {}}
    found: Mapping[str, Any] = (report.kept("search") or {}).get(key_of(url, runs), nothing)
    return found


def key_of(url: str, runs: int) -> str:
    return f"{runs} {_DATABASES[sa.make_url(url).get_backend_name()]}"


if __name__ == "__main__":
    _main()
