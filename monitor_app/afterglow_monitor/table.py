"""Rows as an aligned table of plain text, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MAX_WIDTH = 40  # characters a column; ids are never cut, so that they can be copied


def draw(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    if not rows:
        return "Nothing in this window. Widen it with --since, or --since all."
    cells = [[_cell(column, row.get(column)) for column in columns] for row in rows]
    heads = [column.replace("_", " ") for column in columns]
    widths = [max(len(head), *(len(line[at]) for line in cells)) for at, head in enumerate(heads)]
    numbers = [all(isinstance(row.get(column), (int, float, type(None))) for row in rows) for column in columns]
    lines = [heads, *cells]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(line, widths, numbers, strict=True)
        ).rstrip()
        for line in lines
    )


def _cell(column: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.1f}"
    if isinstance(value, list):
        return ", ".join(str(each) for each in value) or "-"
    text = str(value).replace("\n", " ")
    if column.endswith("_time"):
        return text[:19].replace("T", " ")
    return text if column.endswith("id") or len(text) <= MAX_WIDTH else text[: MAX_WIDTH - 1] + "…"
