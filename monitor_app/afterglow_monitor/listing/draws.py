"""Which rows of a list a person has clicked on: those that the browser showed then.

A list may have been drawn anew meanwhile, with a new row on top, and the browser not have heard of it. So it gets a
mark with each draw, in a field that nobody sees, and sends it back with each click. It waits a moment before it tells
of a click: what was drawn later than that was not clicked on either, unless a person asked for it.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

import streamlit as st

from afterglow_monitor import address, places
from afterglow_monitor.places import Place

MOST = 5  # that the browser may be behind: one a second, on a slow line
UNSEEN_SECONDS = 0.25  # 0.15 that the browser waits, and what a draw takes until it is seen
_DRAWS = "draws of lists"  # of the session


@dataclass(frozen=True)
class Draw:
    """A list as it was drawn: where each row leads, and its id, where rows can be selected; `of` which view, and
    `since` when, by `time.monotonic`."""

    mark: int = 0
    targets: list[Place | None] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    of: Hashable = ""
    since: float = field(default=0.0, compare=False)


def draw(key: str, widget: str, targets: Sequence[Place | None], ids: Sequence[str], of: Hashable) -> None:
    """Note that the list of this key, which the browser knows as `widget`, is drawn so."""
    last = _draws(key)[-1]
    now = replace(last, targets=list(targets), ids=list(ids), of=of)
    if now != last:
        last = replace(now, mark=last.mark + 1, since=time.monotonic())
        _draws(key)[:] = [*_draws(key), last][-MOST:]
    address.follow(_field(widget), str(last.mark))
    st.text_input("Mark of the list", key=_field(widget), label_visibility="collapsed")


def clicked_on(key: str, widget: str) -> Draw:
    mark, draws = st.session_state.get(_field(widget)), _draws(key)
    at = next((at for at, each in enumerate(draws) if str(each.mark) == mark), len(draws) - 1)
    unseen = time.monotonic() - draws[at].since < UNSEEN_SECONDS
    return draws[at - 1] if at and unseen and draws[at - 1].of == draws[at].of else draws[at]


def _draws(key: str) -> list[Draw]:
    """The last ones of this visit of the page, the first of which is of nothing: no click is heard of another visit."""
    visit, of_lists = st.session_state.get(_DRAWS, (None, {}))
    if visit != places.visit():
        of_lists = {}
        st.session_state[_DRAWS] = (places.visit(), of_lists)
    found: list[Draw] = of_lists.setdefault(key, [Draw()])
    return found


def _field(widget: str) -> str:
    return f"mark-{widget}"
