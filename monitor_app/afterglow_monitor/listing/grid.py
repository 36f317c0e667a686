"""A list whose rows open their page by one click, and whose headers sort the whole result."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.elements.arrow import SelectionMode
from streamlit.elements.lib.column_types import ColumnConfig

from afterglow_monitor import address, places
from afterglow_monitor.listing import draws, selection
from afterglow_monitor.listing.draws import Draw
from afterglow_monitor.places import Place

ROW_PX = 32
TALLEST_PX = 3_300  # a hundred rows; a longer list scrolls in itself: all that is high enough to be seen is painted
TALLEST_TABLE_PX = 640
ASCENDING, DESCENDING = " ↑", " ↓"


@dataclass(frozen=True)
class Column:
    """A column: its header, its width in pixels, and by what the store sorts it, if it can."""

    name: str
    width: int
    sort: str | None = None
    right: bool = False
    config: ColumnConfig | None = None  # for another kind than text

    def configured(self) -> ColumnConfig:
        if self.config is not None:
            return self.config
        return st.column_config.TextColumn(width=self.width, alignment="right" if self.right else "left")


def grid(
    key: str,
    columns: Sequence[Column],
    rows: Sequence[Mapping[str, Any]],
    targets: Sequence[Place | None],
    *,
    view: address.View | None = None,
    ids: Sequence[str] = (),
) -> None:
    """Draw `rows`, cells by column name. A click on a row goes to its entry in `targets`, if it has one.

    With `view`, a click on a header that sorts is a change of the address. With `ids`, one for each row, rows can be
    selected: see selection.py.
    """
    widget = _widget("list", key, columns)
    if ids:
        selection.draw(key, ids)
        _say_selected(key, widget)
    modes: list[SelectionMode] = ["single-cell", "single-column"]
    _draw(key, widget, columns, rows, view, [*modes, "multi-row"] if ids else modes, TALLEST_PX)
    draws.draw(key, widget, targets, ids, view)


def table(
    key: str, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]], *, view: address.View | None = None
) -> None:
    """As `grid`, to read, search and copy from: nothing happens on a click on a row. Without `view` none on a header
    either: the browser would sort the texts that are shown, "10 s" before "2.1 s"."""
    _draw(key, _widget("table", key, columns), columns, rows, view, ["single-column"], TALLEST_TABLE_PX)


def _widget(kind: str, key: str, columns: Sequence[Column]) -> str:
    """Another one with other columns, since Streamlit keeps by it what it knows of them; and at each visit of a page:
    of one that is left the browser tells its last click once more, with Back or a link that comes soon after."""
    shown = zlib.crc32("\n".join(column.name for column in columns).encode())
    return f"{kind}-{key}-{shown:x}-{places.visit()}"


def _draw(
    key: str,
    widget: str,
    columns: Sequence[Column],
    rows: Sequence[Mapping[str, Any]],
    view: address.View | None,
    modes: list[SelectionMode],
    tallest_px: int,
) -> None:
    header = {column.name: column.name + _sign(column, view) for column in columns}
    visit = places.visit()
    st.dataframe(
        cells_frame(columns, rows).rename(columns=header),
        key=widget,
        hide_index=True,
        row_height=ROW_PX,
        height=min(tallest_px, table_px(len(rows))),
        column_config={header[c.name]: c.configured() for c in columns},
        on_select=lambda: _clicked(key, widget, columns, view) if places.visit() == visit else None,
        selection_mode=modes,
        placeholder="",
    )


def cells_frame(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    names = [column.name for column in columns]
    return pd.DataFrame([{name: row.get(name) for name in names} for row in rows], columns=names)


def table_px(rows: int) -> int:
    return (rows + 1) * ROW_PX + 2  # its header, and its border


def _clicked(key: str, widget: str, columns: Sequence[Column], view: address.View | None) -> None:
    clicked = st.session_state[widget]["selection"]
    _follow(key, clicked, draws.clicked_on(key, widget), columns, view)
    _say_selected(key, widget)


def _follow(key: str, clicked: Any, drawn: Draw, columns: Sequence[Column], view: address.View | None) -> None:
    if drawn.ids:
        selection.draw(key, drawn.ids)
        selection.choose(key, clicked["rows"])
    if clicked["cells"]:
        row = clicked["cells"][0][0]
        place = drawn.targets[row] if row < len(drawn.targets) else None
        if place is not None:
            places.go(place)
    elif clicked["columns"] and view is not None:
        _sort(columns, clicked["columns"][0])


def _say_selected(key: str, widget: str) -> None:
    """Of what is selected in the browser, nothing stays but the rows that are chosen. Said only where the browser has
    it otherwise: told what it knows, it would forget the click that it has not sent yet."""
    rows = selection.positions(key)
    there = st.session_state.get(widget, {"selection": {"rows": [], "columns": [], "cells": []}})["selection"]
    if set(there["rows"]) != set(rows) or there["columns"] or there["cells"]:
        st.session_state[widget] = {"selection": {"rows": rows, "columns": [], "cells": []}}


def _sort(columns: Sequence[Column], header: str) -> None:
    """As a click on `header` asks: of numbers and moments the most first. A click may be heard of twice: its sign says
    how the list was when it was made."""
    name = header.removesuffix(ASCENDING).removesuffix(DESCENDING)
    column = next(each for each in columns if each.name == name)
    if column.sort is not None:
        most_first = column.right or column.sort == "start_time"
        descending = header.endswith(ASCENDING) or (header == name and most_first)
        address.change(sort=("-" if descending else "") + column.sort)


def _sign(column: Column, view: address.View | None) -> str:
    if view is None or column.sort is None or column.sort != view.order_by:
        return ""
    return DESCENDING if view.descending else ASCENDING
