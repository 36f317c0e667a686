"""All rows of a list as one file: CSV, JSON or Parquet, by the same words as the page's address.

The answer begins as soon as the list can be read, so that the browser has its download at once. CSV and Parquet have a
column for each param, metric and tag that any row has: these are looked up first. Then the rows are read as they are
sent, a page at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any
from urllib.parse import urlencode

from anyio import to_thread
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from afterglow_monitor import artifacts, data, downloads, row_files
from afterglow_monitor.address import view_from
from afterglow_monitor.collecting.admission import admit
from afterglow_monitor.downloads import SENDING, Progress
from afterglow_monitor.public import public_application, public_experiment, public_run
from afterglow_monitor.rest.problems import EXPECTED, NO_SUCH_ROUTE, Problem, bad, told
from afterglow_monitor.row_files import KINDS, Columns
from afterglow_store import Page, Query, Store, search_applications, search_experiments, search_runs
from afterglow_store.errors import NotFound, TooSlow
from afterglow_store.filters.tokens import quoted
from afterglow_store.search import COUNT_LIMIT, count_runs, experiments_with_best, search_keyed

PATH = "/api/v1/{what}/export"
PAGE = 1_000  # rows read at a time
MOST_COUNTED = 10_000_000  # runs

Row = dict[str, Any]
Search = Callable[..., Page]
SEARCHES: dict[str, tuple[Search, Callable[[Row], Row]]] = {
    "applications": (search_applications, public_application),
    "experiments": (experiments_with_best, public_experiment),
    "runs": (search_runs, public_run),
}
SCHEMAS = {"applications": "Application", "experiments": "Experiment", "runs": "Run"}
# What tells which params, metrics and tags there are: of the same rows, as little else as can be.
KEYED: dict[str, Search] = {"experiments": search_experiments, "runs": search_keyed}


def address(what: str, kind: str, asked: Mapping[str, list[str]], **which: str) -> str:
    """Where the list of this address is downloaded, on Monitor's own host. `which`: what else is asked: `server` and
    `experiment`, a `selection` of runs as downloads.py names it, and the name of its `progress` there."""
    said = {name: values for name, values in asked.items() if name not in ("tab", "page", "p", "id")}
    return f"/api/v1/{what}/export?" + urlencode({**said, **which, "format": kind}, doseq=True)


def routes() -> list[Route]:
    return [Route(PATH, _get, methods=["GET"])]


async def _get(request: Request) -> Response:
    try:
        admit(request)
        return await to_thread.run_sync(_answer, request.path_params["what"], request.query_params)
    except EXPECTED as exc:
        problem = told(exc)
        return JSONResponse(problem.body, problem.status, {"Cache-Control": "no-store", **problem.headers})


def _answer(what: str, asked: QueryParams) -> Response:
    kind = asked.get("format", "csv")
    if what not in SEARCHES or kind not in KINDS:
        wrong = f"there is no {what} as {kind}: lists are {', '.join(SEARCHES)}, formats {', '.join(sorted(KINDS))}"
        raise Problem(404, NO_SUCH_ROUTE, wrong)
    for name, value in asked.multi_items():
        if "\0" in name + value:
            raise bad(name, "no database takes the character NUL")
    pieces = written(artifacts.store(), what, kind, *_queries(what, asked), name=asked.get("progress", ""))
    headers = {"Content-Disposition": f'attachment; filename="{what}.{kind}"', "Cache-Control": "no-store"}
    return StreamingResponse(pieces, media_type=KINDS[kind][1], headers=headers)


def _queries(what: str, asked: QueryParams) -> list[Query]:
    if not asked.get("selection"):
        return [query_of(what, asked)]
    ids = downloads.selection(asked["selection"]) if what == "runs" else None
    if ids is None:
        raise NotFound("what was selected is not known any more: open Download over the list once more")
    return list(_queries_of(ids))


def _queries_of(run_ids: Sequence[str]) -> Iterator[Query]:
    """Of so many each that a filter has room for them."""
    for first in range(0, len(run_ids), PAGE):
        these = ", ".join(quoted(each) for each in run_ids[first : first + PAGE])
        yield Query(filter=f"run_id IN ({these})", limit=PAGE, count=False)


def query_of(what: str, asked: QueryParams) -> Query:
    """What the page of this address lists, all of it."""
    given = {name: asked.getlist(name) for name in asked}
    which = {name: asked[name] for name in ("server", "experiment") if asked.get(name)}
    view = replace(view_from(given, asked.get("window") or ("all" if which else "30d")), page=1)
    linked = {"linked": False} if view.unlinked else {}
    return replace(data.query_of(view, what, **which, **linked), limit=PAGE, count=False)


def written(store: Store, what: str, kind: str, *queries: Query, name: str = "") -> Iterator[bytes]:
    """The file, piece by piece. `name`: under which downloads.py has how far it is.

    Raises BadFilter and TooSlow before it begins.
    """
    found = rows(store, what, *queries)
    first = list(islice(found, 1))
    progress = downloads.begun(name)
    pieces = _pieces(store, what, kind, queries, chain(first, found), progress)
    return progress.followed(pieces)


def _pieces(
    store: Store, what: str, kind: str, queries: Sequence[Query], found: Iterator[Row], progress: Progress
) -> Iterator[bytes]:
    progress.total = _total(store, what, queries)
    columns = {} if kind == "json" else _columns(store, what, queries, progress)
    progress.rows, progress.state = 0, SENDING
    write, _ = KINDS[kind]
    yield from write(progress.counted(found), columns)


def _total(store: Store, what: str, queries: Sequence[Query]) -> int | None:
    """How many rows there are; None where that takes too long to say."""
    try:
        with store.read() as conn:
            if what == "runs":
                return sum(count_runs(conn, query, MOST_COUNTED) for query in queries)
            search = KEYED.get(what, SEARCHES[what][0])
            [total] = (search(conn, replace(query, limit=1, count=True)).total for query in queries)
    except TooSlow:
        return None
    return total if total <= COUNT_LIMIT else None


def _columns(store: Store, what: str, queries: Sequence[Query], progress: Progress) -> Columns:
    keys: dict[str, set[str]] = {"params": set(), "metrics": set(), "tags": set()}
    if what in KEYED:
        keyed = chain.from_iterable(_read(store, KEYED[what], query) for query in queries)
        for row in progress.counted(keyed):
            for name in keys.keys() & row.keys():
                keys[name].update(row[name] or ())
    return row_files.columns(SCHEMAS[what], keys)


def rows(store: Store, what: str, *queries: Query) -> Iterator[Row]:
    """All that the queries find, in their order."""
    search, public = SEARCHES[what]
    return map(public, chain.from_iterable(_read(store, search, query) for query in queries))


def _read(store: Store, search: Search, query: Query) -> Iterator[Row]:
    while True:
        with store.read() as conn:
            page = search(conn, query)
        yield from page.rows
        if page.next is None:
            return
        query = replace(query, after=page.next)
