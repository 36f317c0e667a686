"""A store that answers as the REST API does, for `afterglow.search_runs` and its like: entry point afterglow.source."""

from __future__ import annotations

import re
from collections.abc import Sequence

from afterglow_monitor.rest.answering import answer
from afterglow_monitor.rest.declared import Operation, Row
from afterglow_monitor.rest.operations import OPERATIONS
from afterglow_monitor.rest.problems import EXPECTED, own_fault, problem_of
from afterglow_store import Store
from afterglow_store.errors import StoreError
from afterglow_store.migrate import open_as_it_is


def open_source(url: str) -> StoreSource:
    """Raises OSError, with what to do."""
    try:
        return StoreSource(open_as_it_is(url))
    except StoreError as exc:
        raise OSError(str(exc)) from exc


class StoreSource:
    """See afterglow.sources.Source. The caller knows nothing of the store but this."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def ask(self, path: str, words: Sequence[tuple[str, str]]) -> tuple[int, Row]:
        operation, of_path = _operation(path)
        try:
            body, _ = answer(self._store, operation, of_path, words)
        except EXPECTED as exc:
            problem = problem_of(exc) or own_fault()
            return problem.status, problem.body
        return 200, body

    def close(self) -> None:
        self._store.close()


def _operation(path: str) -> tuple[Operation, dict[str, str]]:
    for each in OPERATIONS:
        if match := re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", each.path), path):
            return each, match.groupdict()
    raise LookupError(path)
