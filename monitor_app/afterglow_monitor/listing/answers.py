"""The answer to what a list was asked, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from afterglow_monitor import address
from afterglow_monitor.address import View
from afterglow_store import Page
from afterglow_store.errors import BadFilter, TooSlow

_SLOW = "took too long"  # of the session: what is not asked again by itself


def page(read: Callable[[View], Page], key: str, view: View) -> tuple[Page, View] | None:
    """What `read` gives of a view, and of which: past the end of a list, of its last page. Where it gives nothing, the
    reason is drawn: a filter that cannot be read, or a search that was stopped, which the next refresh does not begin
    again."""
    if st.session_state.get(_SLOW) != (key, view):
        try:
            return _read(read, view)
        except BadFilter as exc:
            _cannot_be_read(exc)
            return None
        except TooSlow:
            st.session_state[_SLOW] = (key, view)
    _took_too_long(view)
    return None


def _read(read: Callable[[View], Page], view: View) -> tuple[Page, View]:
    found = read(view)
    if found.rows or view.page == 1 or not found.total:
        return found, view
    last = replace(view, page=math.ceil(found.total / address.PAGE_ROWS))
    return read(last), last


def _cannot_be_read(why: BadFilter) -> None:
    with st.container(border=True, key="empty"):
        st.subheader("This filter cannot be read", anchor=False)
        st.code(str(why), language=None, wrap_lines=False)
        st.button("Clear the filter", on_click=lambda: address.change(filter=None))


def _took_too_long(view: View) -> None:
    with st.container(border=True, key="empty"):
        st.subheader("The search took too long", anchor=False)
        st.text(
            "It was stopped. Choose a shorter time, or ask for a param, tag, metric, user, experiment or status that "
            "fewer runs have."
        )
        with st.container(horizontal=True):
            st.button("Try again", on_click=lambda: st.session_state.pop(_SLOW, None))
            if view.filter:
                st.button("Clear the filter", on_click=lambda: address.change(filter=None))
