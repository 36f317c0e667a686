"""The runs of a generated MLflow server: who ran what, when, with which values. Drawn from a seed, not yet written.

User, experiment and team are drawn for each application, all else for each run. The three parts of a filter in FILTERS
are drawn independently, so that the share of the runs that it matches is the product of theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SECOND, MINUTE, DAY = 1_000, 60_000, 86_400_000
DAYS, EXPERIMENTS, USERS, RUNS_AN_APPLICATION = 400, 50, 500, 5
HAS_METRIC, NAN, INFINITE, DELETED = 0.8, 0.006, 0.004, 0.01
SWEEP_FROM = 10  # runs of an application that has so many are children of its first one

Column = NDArray[Any]
Shares = dict[str, float]  # a value, and the share of the runs that have it


def skewed(names: Sequence[str], total: float = 1.0) -> Shares:
    """Shares by Zipf's law: the second value is half as frequent as the first, and so on."""
    weights = 1 / np.arange(1, len(names) + 1)
    return dict(zip(names, (weights * total / weights.sum()).tolist(), strict=True))


def even(names: Sequence[str]) -> Shares:
    return dict.fromkeys(names, 1 / len(names))


STATUSES: Shares = {"FINISHED": 0.895, "FAILED": 0.08, "KILLED": 0.02, "RUNNING": 0.005}
METRICS = ("rmse", "mae", "r2", "loss", "auc")
PARAMS: dict[str, Shares] = {
    "optimizer": {"sgd": 0.5, "adam": 0.42, "lbfgs": 0.08},
    "depth": even([str(depth) for depth in range(1, 11)]),
    "learning_rate": even([f"{each / 80:.4f}" for each in range(1, 81)]),
    "batch_size": even(["32", "64", "128", "256", "512"]),
    "seed": even([str(seed) for seed in range(1_000)]),
}
TAGS: dict[str, Shares] = {
    "stage": {"dev": 0.6, "staging": 0.35, "prod": 0.05},
    "team": {"forecast": 0.3, "pricing": 0.2, "churn": 0.125} | {f"team-{n:02}": 0.025 for n in range(15)},
    "dataset": {"returns": 0.02} | skewed([f"sales-{n:02}" for n in range(99)], 0.98),
    "region": skewed(["eu", "us", "apac", "latam", "me"]),
    "ticket": {"AG-0": 5e-5} | skewed([f"AG-{n}" for n in range(1, 10_000)], 1 - 5e-5),
}  # fmt: skip


@dataclass(frozen=True)
class Filter:
    """A conjunction of a metric, a tag and a param, each frequent or rare by itself; `share` of the runs match it."""

    share: float
    rmse_below: float
    tag: tuple[str, str]
    param: tuple[str, str]

    @property
    def text(self) -> str:
        """In MLflow's search grammar."""
        (tag, tagged), (param, value) = self.tag, self.param
        return f"metrics.rmse < {self.rmse_below} and tags.{tag} = '{tagged}' and params.{param} = '{value}'"


FILTERS = {
    "1 in 10": Filter(1e-1, 0.5, ("stage", "dev"), ("optimizer", "adam")),
    "1 in 1,000": Filter(1e-3, 0.1, ("team", "churn"), ("depth", "7")),
    "1 in 100,000": Filter(1e-5, 0.05, ("dataset", "returns"), ("learning_rate", "0.2500")),
    "1 in 100,000, a rare tag": Filter(1e-5, 0.5, ("ticket", "AG-0"), ("optimizer", "sgd")),
    "nothing": Filter(0, 0.5, ("stage", "prod"), ("optimizer", "lbfgs")),  # each is there, never together
    "nothing, no such tag": Filter(0, 0.5, ("team", "nobody"), ("depth", "7")),
}


def app_id(number: int) -> str:
    """Spark's id of an application. YARN's count up, as these do."""
    return f"application_1690000000000_{number:07}"


@dataclass(frozen=True)
class Drawn:
    """Columns with an entry a run, in the order in which they were made; those of an application are neighbours.

    `params` and `tags` are positions in PARAMS and TAGS; `has_metric` says which runs have which of
    `metrics`.
    """

    ids: list[str]
    application: Column
    number: Column  # of the run in its application, from 0
    application_start: Column  # ms since 1970, by application
    experiment: Column  # by application, from 1
    user: Column  # by application
    start: Column  # ms since 1970
    end: Column  # ms since 1970, also of runs that are still RUNNING
    status: Column  # position in STATUSES
    deleted: Column
    params: dict[str, Column]
    tags: dict[str, Column]
    metrics: dict[str, Column]
    has_metric: dict[str, Column]

    def __len__(self) -> int:
        return len(self.ids)

    def matching(self, asked: Filter) -> Column:
        """True where a run matches."""
        (tag, tagged), (param, value) = asked.tag, asked.param
        low = self.has_metric["rmse"] & (self.metrics["rmse"] < asked.rmse_below)
        return low & _has(self.tags[tag], TAGS[tag], tagged) & _has(self.params[param], PARAMS[param], value)


def draw(runs: int, seed: int, now: int) -> Drawn:
    """`runs` runs of the DAYS days before `now` (ms since 1970). The same arguments give the same runs."""
    random = np.random.default_rng(seed)
    applications = max(1, runs // RUNS_AN_APPLICATION)
    sizes = _sizes(random, runs, applications)
    application = np.repeat(np.arange(applications), sizes)
    number = np.arange(runs) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    application_start = np.sort(random.integers(now - DAYS * DAY, now - MINUTE, applications))
    pace = np.minimum(random.integers(20 * SECOND, 10 * MINUTE, applications), (now - application_start) // (sizes + 1))
    start = application_start[application] + (number * pace[application]) + random.integers(0, SECOND, runs)
    params = {name: _pick(random, shares, runs) for name, shares in PARAMS.items()}
    tags = {name: _pick(random, shares, runs) for name, shares in TAGS.items()}
    tags["team"] = _pick(random, TAGS["team"], applications)[application]
    _keep_apart(params, tags, FILTERS["nothing"])
    return Drawn(
        ids=_ids(random, runs),
        application=application,
        number=number,
        application_start=application_start,
        experiment=1 + _pick(random, skewed([str(n) for n in range(EXPERIMENTS)]), applications),
        user=_pick(random, skewed([str(n) for n in range(USERS)]), applications),
        start=start,
        end=np.minimum(start + 200 + np.exp(random.normal(10, 1.5, runs)).astype(np.int64), now),  # half within 22 s
        status=_pick(random, STATUSES, runs),
        deleted=random.random(runs) < DELETED,
        params=params,
        tags=tags,
        metrics={name: _metric(random, runs) for name in METRICS},
        has_metric={name: random.random(runs) < HAS_METRIC for name in METRICS},
    )


def _sizes(random: np.random.Generator, runs: int, applications: int) -> Column:
    """How many runs each application has: at least one, a few of them hundreds."""
    weights = random.lognormal(0, 1.5, applications)
    return 1 + random.multinomial(runs - applications, weights / weights.sum())


def _pick(random: np.random.Generator, shares: Shares, count: int) -> Column:
    weights = np.array(list(shares.values()))
    return random.choice(len(weights), count, p=weights / weights.sum())


def _keep_apart(params: dict[str, Column], tags: dict[str, Column], asked: Filter) -> None:
    """No run has both the tag and the param of a filter that is to match nothing: it has the first param instead."""
    (tag, tagged), (param, value) = asked.tag, asked.param
    params[param][_has(tags[tag], TAGS[tag], tagged) & _has(params[param], PARAMS[param], value)] = 0


def _has(column: Column, shares: Shares, value: str) -> Column:
    return column == list(shares).index(value) if value in shares else np.zeros(len(column), bool)


def _metric(random: np.random.Generator, count: int) -> Column:
    values, odd = random.random(count), random.random(count)
    values[odd < NAN + INFINITE] = np.inf
    values[odd < NAN + INFINITE / 2] = -np.inf
    values[odd < NAN] = np.nan
    return values


def _ids(random: np.random.Generator, count: int) -> list[str]:
    every = random.bytes(16 * count).hex()
    return [every[at : at + 32] for at in range(0, len(every), 32)]
