"""Which rows of a list a person has chosen: a set of ids, whatever the list shows meanwhile.

Streamlit knows a selection by the positions of its rows, and a list that is read again every second moves them. So as
long as anything is chosen, the list keeps the rows that it showed: they are read again, new ones are only announced.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import streamlit as st


def of(key: str) -> list[str]:
    """The ids that are chosen in the list of this key, in the order in which they were; on all its pages."""
    return list(st.session_state.get(_chosen(key), ()))


def clear(key: str) -> None:
    st.session_state.pop(_chosen(key), None)
    thaw(key)


def choose(key: str, rows: Sequence[int]) -> None:
    """What a click has left chosen: `rows`, positions among those drawn last. Rows of other pages stay chosen."""
    drawn = _drawn(key)
    now = [drawn[each] for each in rows if each < len(drawn)]
    kept = [each for each in of(key) if each not in drawn or each in now]
    st.session_state[_chosen(key)] = [*kept, *(each for each in now if each not in kept)]


def draw(key: str, ids: Sequence[str]) -> None:
    """Note that these rows are drawn now."""
    st.session_state[f"{key} drawn"] = list(ids)


def positions(key: str) -> list[int]:
    """Where the chosen ones are among the rows drawn last."""
    chosen = set(of(key))
    return [at for at, each in enumerate(_drawn(key)) if each in chosen]


def frozen(key: str, view: Hashable, ids: Sequence[str]) -> list[str]:
    """The rows to show: `ids`, which the list would have now, or those that it had when its first row was chosen."""
    if not of(key):
        thaw(key)
        return list(ids)
    at = f"{key} frozen"
    kept: tuple[Hashable, list[str]] | None = st.session_state.get(at)
    if kept is None or kept[0] != view:
        # What was on the screen when it was chosen from is what stays on it.
        drawn = _drawn(key) if kept is None and _drawn(key) else list(ids)
        kept = st.session_state[at] = (view, drawn)
    return kept[1]


def thaw(key: str) -> None:
    """Show the list as it is now; what is chosen stays chosen."""
    st.session_state.pop(f"{key} frozen", None)
    st.session_state.pop(f"{key} drawn", None)


def _drawn(key: str) -> list[str]:
    return list(st.session_state.get(f"{key} drawn", ()))


def _chosen(key: str) -> str:
    return f"{key} chosen"
