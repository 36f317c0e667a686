"""The lists: applications, experiments and runs of a window, filtered, in any order, a page at a time.

    search_runs(conn, Query(filter="metrics.rmse < 0.8 AND tags.team = 'a'", order_by="metrics.rmse"))

The filter language is that of `afterglow_store.filters`. Runs can be millions: `drivers` has the indexes that may lead
to them, `finding` chooses among these, `conditions` says in SQL what else must hold.
"""

from afterglow_store.search.applications import search_applications
from afterglow_store.search.experiments import search_experiments
from afterglow_store.search.facets import FACETS, facets, facets_of_applications
from afterglow_store.search.parts import search_executors, search_jobs, search_sql_executions, search_stages
from afterglow_store.search.primary import add_best, any_primary_metric, experiments_with_best
from afterglow_store.search.query import COUNT_LIMIT, Page, Query, Row
from afterglow_store.search.runs import (
    add_applications,
    count_runs,
    search_keyed,
    search_runs,
    search_runs_of_unknown_owner,
)

__all__ = [
    "COUNT_LIMIT",
    "FACETS",
    "Page",
    "Query",
    "Row",
    "add_applications",
    "add_best",
    "any_primary_metric",
    "count_runs",
    "experiments_with_best",
    "facets",
    "facets_of_applications",
    "search_applications",
    "search_executors",
    "search_experiments",
    "search_jobs",
    "search_keyed",
    "search_runs",
    "search_runs_of_unknown_owner",
    "search_sql_executions",
    "search_stages",
]
