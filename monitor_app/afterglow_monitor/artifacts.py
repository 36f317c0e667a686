"""The files of runs: fetched through MLflow, previewed, and served from a route of our own.

What is in them comes from anyone. A page's frame shares its origin, so that nothing of a file may ever run there: what
a browser would run, it gets from the route, which forbids it everything (CSP sandbox), and so in an origin of its own.
"""

from __future__ import annotations

import functools
import mimetypes
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from anyio import to_thread
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from afterglow_monitor.access.seeing import of_request
from afterglow_monitor.collecting.admission import admit
from afterglow_monitor.rest.problems import EXPECTED, told
from afterglow_monitor.settings import load_settings
from afterglow_store import Store, open_store
from afterglow_store.errors import NotFound
from afterglow_store.items import run_by_id

PATH = "/api/v1/runs/{run_id}/files/{path:path}"
HEADERS = {
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=60",
    "Referrer-Policy": "no-referrer",
}
Row = dict[str, Any]


def address(run_id: str, path: str, *, download: bool = False) -> str:
    """Where the route serves this file, on Monitor's own host."""
    return f"/api/v1/runs/{quote(run_id, safe='')}/files/{quote(path)}" + ("?download=1" if download else "")


def known_file(row: Row, path: str) -> Row:
    """The file as the run's row lists it. Raises NotFound for any other path: none from outside reaches MLflow."""
    for each in row["outputs"] or ():
        if each["path"] == path and ".." not in PurePosixPath(path).parts:
            return dict(each)
    raise NotFound(f"run {row['run_id']} has no file {path}")


@contextmanager
def fetched(store: Store, row: Row, path: str) -> Iterator[Path]:
    """The file, in a folder that is removed afterwards. Raises NotFound; CannotWrite when MLflow does not give it."""
    folder = Path(tempfile.mkdtemp(prefix="afterglow-file-"))
    try:
        yield _fetch(store, row, path, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fetch(store: Store, row: Row, path: str, folder: Path) -> Path:
    known_file(row, path)
    from afterglow_monitor.writing import NO_ANSWER, Writer, clients  # noqa: PLC0415 - MLflow takes a second to import

    asking = Writer(store, "", clients(load_settings()))
    client = asking.client_of(row)
    got = asking.ask(path, lambda: client.download_artifacts(row["run_id"], path, str(folder)), failed=NO_ANSWER)
    return Path(got)


def routes() -> list[Route]:
    return [Route(PATH, _get, methods=["GET"])]


async def _get(request: Request) -> Response:
    try:
        admit(request)
        return await to_thread.run_sync(_answer, request)
    except EXPECTED as exc:
        problem = told(exc)
        return JSONResponse(problem.body, problem.status, {**HEADERS, "Cache-Control": "no-store", **problem.headers})


def _answer(request: Request) -> Response:
    path: str = request.path_params["path"]
    opened = store()
    with opened.read() as conn:
        row = run_by_id(conn, request.path_params["run_id"])
    serving = ExitStack()
    file = serving.enter_context(fetched(opened, row, path))
    end = BackgroundTask(serving.close)
    if request.query_params.get("download"):
        return FileResponse(file, filename=PurePosixPath(path).name, headers=HEADERS, background=end)
    return FileResponse(file, media_type=mimetypes.guess_type(path)[0] or "text/plain", headers=HEADERS, background=end)


_opening = threading.Lock()


@functools.cache
def _opened() -> Store:
    return open_store(load_settings().store.url)


def whole_store() -> Store:
    """The routes' own, opened once."""
    with _opening:
        return _opened()


def store() -> Store:
    """As much of it as the request may see that is answered here."""
    return whole_store().seen_by(of_request(load_settings()))
