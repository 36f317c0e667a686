"""What the pages are written with."""

from __future__ import annotations

import re
from collections.abc import Iterable


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    lines = [names, ["---"] * len(names), *([_cell(text) for text in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    """In its own letters, whatever is in it; '' stays ''."""
    return f"`{text}`" if text else ""


def prose(text: str) -> str:
    """A comment or a help text on a page one folder below docs/: pages that it names are links, and `<` is itself."""
    named = re.sub(r"docs/([\w-]+)\.md", r"[\1.md](../\1.md)", text)
    return re.sub(r"`[^`]*`|<", lambda found: "&lt;" if found[0] == "<" else found[0], named)


def page(title: str, *parts: str) -> str:
    return paragraphs(f"# {title}", *parts) + "\n"


def paragraphs(*parts: str) -> str:
    """Those that have something in them, with a line between."""
    return "\n\n".join(part.strip("\n") for part in parts if part.strip())
