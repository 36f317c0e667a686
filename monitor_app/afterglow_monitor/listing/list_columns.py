"""The columns of lists of applications and of experiments: the usual ones, or those that a person has chosen."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from afterglow_monitor.address import MOST_COLUMNS, View, change, follow
from afterglow_monitor.listing.grid import Column


def of(view: View | None, usual: Sequence[Column], more: Sequence[Column] = ()) -> tuple[Column, ...]:
    """Those that the address names, in its order; the usual ones where it names none that is known."""
    known = {column.name: column for column in (*usual, *more)}
    asked = dict.fromkeys(view.columns if view is not None else ())
    return tuple(known[name] for name in asked if name in known) or tuple(usual)


def picker(view: View, usual: Sequence[Column], more: Sequence[Column] = ()) -> None:
    chosen = [column.name for column in of(view, usual, more)]
    with st.popover("Columns", icon=":material/view_column:"):
        follow("columns", chosen)
        st.multiselect(
            "Columns, from left to right",
            list(dict.fromkeys([*chosen, *(column.name for column in (*usual, *more))])),
            key="columns",
            max_selections=MOST_COLUMNS,
            on_change=lambda: _choose(st.session_state["columns"], [column.name for column in usual]),
        )
        if chosen != [column.name for column in usual]:
            st.button("The usual columns", on_click=lambda: change(col=None))


def _choose(names: list[str], usual: list[str]) -> None:
    change(col=None if names == usual else names)
