"""The scripts that are named together with a page."""

import re
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from afterglow_monitor.running.preloading import MOST, STATIC, Preloading, scripts
from tests.support.asgi import Asgi


def _answer(_: Request) -> PlainTextResponse:
    return PlainTextResponse("here")


def _links(path: str) -> list[str]:
    routes = [Route("/", _answer), Route("/api/v1/runs", _answer)]
    client = Asgi(Starlette(routes=routes, middleware=[Middleware(Preloading)]))
    said = client.ask("GET", path).headers.get("Link", "")
    return re.findall(r"<\./static/js/([^>]+)>;rel=modulepreload;crossorigin", said)


def test_a_page_comes_with_the_scripts_of_its_lists() -> None:
    named, page = _links("/"), (STATIC / "index.html").read_text()
    assert len(named) == MOST
    assert any(each.startswith("DataFrame.") for each in named)
    assert any(each.startswith("arrowFormatUtils.") for each in named)  # which only DataFrame imports
    assert all((STATIC / "static" / "js" / each).exists() and each not in page for each in named)


def test_nothing_else_does() -> None:
    assert _links("/api/v1/runs") == []
    assert _links("/static/js/none.js") == []


def test_a_streamlit_that_has_them_elsewhere_names_none(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<html></html>")
    assert scripts(tmp_path) == []
