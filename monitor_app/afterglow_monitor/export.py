"""All rows of a list as one file: CSV, JSON or Parquet, by the same words as the page's address.

CSV and Parquet have a column for each param, metric and tag that any row has. Those are known at the end only: the rows
go through a temporary file, and through memory a page at a time.
"""

from __future__ import annotations

import csv
import io
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import IO, Any
from urllib.parse import urlencode

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from anyio import to_thread
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from afterglow_monitor import artifacts, data
from afterglow_monitor.address import view_from
from afterglow_monitor.collecting.admission import admit
from afterglow_monitor.public import public_application, public_experiment, public_run
from afterglow_monitor.rest.problems import EXPECTED, NO_SUCH_ROUTE, Problem, bad, told
from afterglow_store import Page, Query, Store, search_applications, search_runs
from afterglow_store.search import experiments_with_best

logger = logging.getLogger(__name__)

PATH = "/api/v1/{what}/export"
FORMATS = {"csv": "text/csv", "json": "application/json", "parquet": "application/vnd.apache.parquet"}
PAGE = 1_000  # rows read at a time
PIECE = 1 << 16  # bytes sent at a time
SPREAD = ("params", "metrics", "tags")  # a column for each of their keys

Row = dict[str, Any]
SEARCHES: dict[str, tuple[Callable[..., Page], Callable[[Row], Row]]] = {
    "applications": (search_applications, public_application),
    "experiments": (experiments_with_best, public_experiment),
    "runs": (search_runs, public_run),
}


def address(what: str, kind: str, asked: Mapping[str, list[str]], **which: str) -> str:
    """Where the list of this address is downloaded, on Monitor's own host."""
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
    if what not in SEARCHES or kind not in FORMATS:
        wrong = f"there is no {what} as {kind}: lists are {', '.join(SEARCHES)}, formats {', '.join(FORMATS)}"
        raise Problem(404, NO_SUCH_ROUTE, wrong)
    for name, value in asked.multi_items():
        if "\0" in name + value:
            raise bad(name, "no database takes the character NUL")
    pieces = written(artifacts.store(), what, kind, query_of(what, asked))
    first = next(pieces, b"")  # what is wrong with the filter is said before the answer begins
    headers = {"Content-Disposition": f'attachment; filename="{what}.{kind}"', "Cache-Control": "no-store"}
    return StreamingResponse(_all(first, pieces), media_type=FORMATS[kind], headers=headers)


def _all(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from pieces


def query_of(what: str, asked: QueryParams) -> Query:
    """What the page of this address lists, all of it."""
    given = {name: asked.getlist(name) for name in asked}
    which = {name: asked[name] for name in ("server", "experiment") if asked.get(name)}
    view = replace(view_from(given, asked.get("window") or ("all" if which else "30d")), page=1)
    linked = {"linked": False} if view.unlinked else {}
    return replace(data.query_of(view, what, **which, **linked), limit=PAGE, count=False)


def written(store: Store, what: str, kind: str, query: Query) -> Iterator[bytes]:
    """The file, piece by piece. Raises BadFilter and TooSlow."""
    if kind == "json":
        yield from _json(rows(store, what, query))
        return
    columns: dict[str, None] = {}
    with tempfile.TemporaryFile() as spool:
        for row in rows(store, what, query):
            flat = _flat(row)
            columns |= dict.fromkeys(flat)
            spool.write(orjson.dumps(flat) + b"\n")
        spool.seek(0)
        yield from (_csv if kind == "csv" else _parquet)(spool, list(columns))


def rows(store: Store, what: str, query: Query) -> Iterator[Row]:
    """All that the query finds, in its order."""
    search, public = SEARCHES[what]
    while True:
        with store.read() as conn:
            page = search(conn, query)
        yield from map(public, page.rows)
        if len(page.rows) < query.limit:
            return
        after = {"after": page.next} if page.next else {"offset": query.offset + query.limit}
        query = replace(query, **after)


def _flat(row: Row) -> Row:
    """One value a column; lists as they would be in JSON."""
    flat: Row = {}
    for name, value in row.items():
        if name in SPREAD:
            flat |= {f"{name}.{key}": each for key, each in sorted(value.items())}
        elif isinstance(value, dict):
            flat |= {f"{name}.{key}": each for key, each in value.items()}
        elif isinstance(value, list):
            flat[name] = orjson.dumps(value).decode()
        else:
            flat[name] = value
    return flat


def _json(found: Iterator[Row]) -> Iterator[bytes]:
    begin = b"["
    for row in found:
        yield begin + orjson.dumps(row)
        begin = b",\n"
    yield b"]" if begin != b"[" else b"[]"


def _lines(spool: IO[bytes]) -> Iterator[Row]:
    return map(orjson.loads, spool)


def _csv(spool: IO[bytes], columns: list[str]) -> Iterator[bytes]:
    text = io.StringIO()
    out = csv.DictWriter(text, columns, restval="")
    out.writeheader()
    for row in _lines(spool):
        out.writerow({name: _harmless(value) for name, value in row.items()})
        if text.tell() > PIECE:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def _harmless(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula begins with an apostrophe: names come from anyone."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _parquet(spool: IO[bytes], columns: list[str]) -> Iterator[bytes]:
    kinds = _kinds(_lines(spool), columns)
    spool.seek(0)
    with tempfile.TemporaryFile() as file:
        with pq.ParquetWriter(file, pa.schema(list(kinds.items()))) as out:
            for batch in _batches(_lines(spool)):
                values = ([_fit(row.get(name), kinds[name]) for row in batch] for name in columns)
                arrays = [pa.array(each, kinds[name]) for name, each in zip(columns, values, strict=True)]
                out.write_table(pa.Table.from_arrays(arrays, names=columns))
        file.seek(0)
        while piece := file.read(PIECE):
            yield piece


def _batches(found: Iterator[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in found:
        batch.append(row)
        if len(batch) == PAGE:
            yield batch
            batch = []
    if batch:
        yield batch


def _kinds(found: Iterator[Row], columns: list[str]) -> dict[str, pa.DataType]:
    """Of each column: numbers where every value that is there is one, else text."""
    seen: dict[str, set[type]] = {name: set() for name in columns}
    for row in found:
        for name, value in row.items():
            if value is not None:
                seen[name].add(type(value))
    return {name: _kind(name, types) for name, types in seen.items()}


def _kind(name: str, types: set[type]) -> pa.DataType:
    """Metrics are numbers: MLflow's NaN and infinities, which come as text, as well."""
    if name.startswith("metrics.") or float in types <= {int, float}:
        return pa.float64()
    if types == {int}:
        return pa.int64()
    return pa.bool_() if types == {bool} else pa.string()


def _fit(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if kind == pa.float64():
        return float(value)  # "NaN" and "Infinity" too
    return str(value) if kind == pa.string() else value
