"""Scripts of Streamlit's that every page of Monitor needs, named together with the page itself.

Streamlit's page begins to fetch the script of a list, with the thirty that it imports, when the first list has come
over its websocket. A browser that hears of them in a header fetches and compiles them while the server still draws.
"""

from __future__ import annotations

import re
from pathlib import Path

import streamlit
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STATIC = Path(streamlit.__file__).parent / "static"
ELEMENTS = ("DataFrame", "Pagination", "ButtonGroup", "TextInput")
MOST = 16  # the largest: they are most of it, and of all headers together some proxies take no more than 4 KB
HEAD = 20_000  # characters: a script's imports stand at its beginning
_IMPORT = re.compile(r"""\b(?:from|import)\s*["'`]\./([\w.-]+\.js)["'`]""")


class Preloading:
    """ASGI middleware, over the answers that are a page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._header = header()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def naming(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                MutableHeaders(scope=message).append("Link", self._header)
            await send(message)

        is_page = scope["type"] == "http" and scope["path"] == "/" and bool(self._header)
        await self._app(scope, receive, naming if is_page else send)


def header() -> str:
    """'' where Streamlit has none of them."""
    return ", ".join(f"<./static/js/{name}>;rel=modulepreload;crossorigin" for name in scripts(STATIC))


def scripts(folder: Path) -> list[str]:
    """The largest of ELEMENTS and of what they import, without those that the page in this folder names by itself."""
    page = (folder / "index.html").read_text()
    found: set[Path] = set()
    for element in ELEMENTS:
        for path in (folder / "static" / "js").glob(f"{element}.*.js"):
            _add_with_imports(path, found)
    new = [path for path in found if path.name not in page]
    return [path.name for path in sorted(new, key=lambda path: path.stat().st_size, reverse=True)[:MOST]]


def _add_with_imports(path: Path, found: set[Path]) -> None:
    if path in found or not path.exists():
        return
    found.add(path)
    with path.open() as file:
        for name in _IMPORT.findall(file.read(HEAD)):
            _add_with_imports(path.parent / name, found)
