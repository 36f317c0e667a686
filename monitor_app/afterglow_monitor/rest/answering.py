"""From a request's words to the rows of its answer: for HTTP, and for Python that has the store at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from afterglow_monitor.clock import now_ms
from afterglow_monitor.rest.declared import Answer, Asked, Operation, Row, Values
from afterglow_monitor.rest.paging import read_token, token_of
from afterglow_store import Store


def answer(
    store: Store, operation: Operation, path: Mapping[str, str], query: Sequence[tuple[str, str]]
) -> tuple[Row, Row]:
    """The body of the answer, and what of it tells whether it is another one than before: each answer has another
    `next_page_token`, with the time in it.

    Raises Problem, StoreError and SQLAlchemyError.
    """
    values = operation.asked(path, query)
    asked = _asked(operation, values)
    with store.read() as conn:
        found = operation.rows(conn, asked)
    if not operation.paged:
        return found.body, found.body
    return {**found.body, "next_page_token": _token(operation, asked, found)}, {**found.body, "next": found.next}


def _asked(operation: Operation, values: Values) -> Asked:
    token = values.get("page_token")
    if not token:
        return Asked(values, now_ms())
    now, after = read_token(operation.path, values, token)
    return Asked(values, now, after)


def _token(operation: Operation, asked: Asked, found: Answer) -> str | None:
    return None if found.next is None else token_of(operation.path, asked.values, asked.now, found.next)
