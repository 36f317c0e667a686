"""The metric that an experiment is about, as its tags say, and the best run by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from afterglow_store.filters import Order
from afterglow_store.filters.fields import FIELDS
from afterglow_store.schema import experiment, run
from afterglow_store.search.deadline import deadline
from afterglow_store.search.drivers import Driver
from afterglow_store.search.experiments import search_experiments
from afterglow_store.search.finding import Part
from afterglow_store.search.ordering import best_by_metric
from afterglow_store.search.query import Page, Query, Row
from afterglow_store.search.runs import wanted_by

# MLflow's own tags of an experiment; what follows the second is True or False.
NAME, GREATER = "mlflow.experiment.primaryMetric.name", "mlflow.experiment.primaryMetric.greaterIsBetter"
# What a metric's name says of which way is better, where nobody has said.
_LOWER = ("loss", "err", "rmse", "mse", "mae", "mape", "deviance", "perplexity")
_METRICS = next(field for field in FIELDS["runs"] if field.name == "metrics")


def lower_is_better(metric: str) -> bool:
    return any(each in metric.lower() for each in _LOWER)


def primary_metric(row: Row) -> tuple[str, bool] | None:
    """Of an experiment's row: its primary metric, and whether greater is better; None where it has none."""
    tags = row["tags"] or {}
    name, greater = tags.get(NAME), tags.get(GREATER, "").lower()
    if not name:
        return None
    return name, greater == "true" if greater in ("true", "false") else not lower_is_better(name)


def any_primary_metric(conn: sa.Connection) -> bool:
    tags = sa.type_coerce(experiment.c.tags, sa.Text)
    return bool(conn.scalar(sa.select(sa.exists().where(tags.contains(f'"{NAME}"', autoescape=True)))))


def experiments_with_best(conn: sa.Connection, query: Query) -> Page:
    """As `search_experiments`, each row with what `add_best` gives it. Raises BadFilter, BadPage and TooSlow."""
    page = search_experiments(conn, query)
    add_best(conn, page.rows, query)
    return page


def add_best(conn: sa.Connection, rows: Sequence[Row], query: Query) -> None:
    """Give each row of `search_experiments` its `primary_metric`, and the `best_value` and `best_run_id` among the
    runs that `query` counts: None where there are none, or all are NaN. Raises TooSlow."""
    counted = wanted_by(conn, replace(query, filter="", text="", server=None, experiment=None))
    best: dict[int, Row] = {}
    with deadline(conn):
        for row in rows:
            row |= {"primary_metric": None, "best_value": None, "best_run_id": None}
            if (found := primary_metric(row)) is None:
                continue
            row["primary_metric"], greater = found
            of_it = replace(counted, parts=[_of_experiment(row["server"], row["experiment_id"]), *counted.parts])
            mark = best_by_metric(conn, of_it, Order(_METRICS, greater, found[0]))
            if mark is not None:
                row["best_value"], best[mark.mark.id] = mark.value, row
        for id_, run_id in conn.execute(sa.select(run.c.id, run.c.run_id).where(run.c.id.in_(list(best)))):
            best[id_]["best_run_id"] = run_id


def _of_experiment(server: str, experiment_id: str) -> Part:
    here = {"server": server, "experiment_id": experiment_id}
    in_row = tuple(run.c[name] == value for name, value in here.items())
    return Part(
        lambda at: sa.and_(*(at.column(name) == value for name, value in here.items())),
        Driver(run.c.id, run.c.start_time, in_row, in_row=True),
    )
