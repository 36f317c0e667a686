"""The address that a page is drawn for, and how it gets into the browser.

The browser sends its address with each request, and hears of one that a page wrote only when the answer arrives. What
it asks for in between, such as the list again after a second, it asks for with the address from before: taken at
its word, that would undo what the person just did.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_run_context import ScriptRunContext, ThreadState

Address = dict[str, list[str]]
LATE_SECONDS = 10.0
_NOW, _BEFORE, _LEAVING, _ARRIVING = "address", "addresses before", "leaving", "arriving"
_PARTS = "parts of the page"


@dataclass(frozen=True)
class _Before:
    """An address that another one took the place of."""

    address: Address
    until: float  # by `time.monotonic`: so long may the browser still send it without meaning it
    of_other_page: bool


def address() -> Address:
    """The values by name, as the person last asked for them."""
    sent = _sent()
    now: Address = st.session_state.setdefault(_NOW, sent)
    if sent == now:
        return now
    if _is_late(sent):
        _run().query_string = urlencode(now, doseq=True)  # which a run that this one asks for is told
        return now
    _replace(now, sent, of_other_page=True)  # a link, of which the browser's own address knows nothing yet, or Back
    if by_itself():
        st.rerun()  # a part of a page that is no longer the page: what should have drawn that one was lost
    return sent


def go(asked: Mapping[str, str | Sequence[str]]) -> None:
    """Make this the address: of another page, which the run after this one draws."""
    write(asked, other_page=True)
    st.session_state[_LEAVING] = True


def arrive() -> None:
    """Call first when a whole page is drawn. What the old page asked for by itself may have come between `go` and
    this: then it is drawn as asked for by that, with the address from before."""
    st.session_state[_ARRIVING] = st.session_state.pop(_LEAVING, False)
    st.session_state[_PARTS] = dict.fromkeys(_parts(), False)


def enter_part() -> None:
    """Call first in each fragment: by itself it would be drawn again though a click has gone to another page."""
    if st.session_state.get(_LEAVING, False):
        st.rerun()
    if _of_page_left():
        st.stop()
    st.session_state[_PARTS] = _parts() | {ThreadState.get().fragment_id: True}


def value(name: str, default: str = "") -> str:
    """The last one of this name."""
    return (address().get(name) or [default])[-1]


def values(name: str) -> list[str]:
    """All of this name."""
    return list(address().get(name) or ())


def write(asked: Mapping[str, str | Sequence[str]], *, other_page: bool = False) -> None:
    """Make this the address: one entry in the browser's history, none where it is the address already.

    Not where it is asked for by a page that was left, or with Back: there the browser tells of all the widgets of the
    page before as if each had been changed.
    """
    if _of_page_left() or went_through_history() or (st.session_state.get(_LEAVING, False) and not other_page):
        return
    new = {name: [values] if isinstance(values, str) else [*values] for name, values in asked.items()}
    old = address()
    if new != old:
        _replace(old, new, of_other_page=other_page)


def _sent() -> Address:
    return {name: st.query_params.get_all(name) for name in st.query_params}


def _replace(old: Address, new: Address, *, of_other_page: bool) -> None:
    now = time.monotonic()
    before = [] if went_through_history() else [each for each in _before() if each.until > now]
    if of_other_page:
        before = [replace(each, of_other_page=True) for each in before]
    st.session_state[_BEFORE] = [*before, _Before(old, now + LATE_SECONDS, of_other_page)]
    st.session_state[_NOW] = new
    st.query_params.from_dict(new)


def _is_late(sent: Address) -> bool:
    """Whether the browser had not yet heard of the address now. Going back, it sends an earlier one and means it."""
    if went_through_history():
        return False
    # A link to a page that was just left is meant as well; only what a page does by itself is late then.
    unasked, now = by_itself() or st.session_state.get(_ARRIVING, False), time.monotonic()
    return any(each.address == sent and each.until > now and (unasked or not each.of_other_page) for each in _before())


def _before() -> list[_Before]:
    return list(st.session_state.get(_BEFORE, ()))


def by_itself() -> bool:
    """Whether only a part of the page is drawn again: nobody can ask for another page by that."""
    return bool(_asked_parts())


def part_was_asked_for() -> bool:
    """Whether this run is of the part that is drawn now, rather than of the page or the part that it is in."""
    return ThreadState.get().fragment_id in _asked_parts()


def went_through_history() -> bool:
    """Whether this run was asked for by Back or Forward."""
    return _run().is_history_navigation


def _of_page_left() -> bool:
    """Whether this run was asked for by parts of a page that is no longer there."""
    asked, parts = _asked_parts(), _parts()
    return bool(asked) and not any(parts.get(each, True) for each in asked)  # a dialog is none of them


def _parts() -> dict[str | None, bool]:
    """Whether each part that has been drawn is one of the page as it was drawn last."""
    return dict(st.session_state.get(_PARTS, {}))


def _asked_parts() -> list[str]:
    return list(_run().fragment_ids_this_run or ())


def _run() -> ScriptRunContext:
    run = get_script_run_ctx()
    if run is None:
        raise RuntimeError("No page is drawn here: addresses belong to pages.")
    return run
