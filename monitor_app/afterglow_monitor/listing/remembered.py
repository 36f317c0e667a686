"""Lists as they were left: for the next visit, and for the way back from a page."""

from __future__ import annotations

import re
from contextlib import suppress

import streamlit as st

from afterglow_monitor import browser_address, data
from afterglow_monitor.access import sign_in
from afterglow_monitor.access.browser import COOKIE
from afterglow_monitor.clock import now_ms
from afterglow_store import saved_views
from afterglow_store.errors import StoreUnreachable

_HERE, _SEEN = "lists as left", "lists recalled"  # of the session
_NOT_KEPT = ("p", "page")  # which page of a list was open means nothing later
_NUMBER = re.compile(r"[0-9a-f]{32}")


def owner() -> str | None:
    """Who has signed in, or else the browser; None for one that takes no cookies."""
    person = sign_in.person()
    if person is not None:
        return saved_views.of_person(person.name)
    number = st.context.cookies.get(COOKIE, "")
    return f"browser {number}" if _NUMBER.fullmatch(number) else None


def recall() -> None:
    """At the first look of a session, by an address that asks for nothing: show what was looked at last."""
    if st.session_state.get(_SEEN):
        return
    whose = None if browser_address.address() else owner()
    if whose is not None and (last := data.last_view(whose)):
        browser_address.write(last)
    st.session_state[_SEEN] = True  # not before: where the store is away, it is asked once it is back


def note(tab: str) -> None:
    """Call once the list is drawn: it may wait for others that write."""
    now = kept_part(browser_address.address())
    here: dict[str, browser_address.Address] = st.session_state.setdefault(_HERE, {})
    changed = here.get(tab) != now or next(reversed(here), None) != tab
    here.pop(tab, None)
    here[tab] = now
    if changed and (whose := owner()) is not None:
        with suppress(StoreUnreachable):  # the list is drawn; that the store is away is said when it is read again
            data.keep_view(whose, saved_views.LAST, now, shared=False, now=now_ms())


def kept_part(address: browser_address.Address) -> browser_address.Address:
    return {name: values for name, values in address.items() if name not in _NOT_KEPT}


def as_left(tab: str) -> browser_address.Address:
    """The address of a tab of Monitor as it was left in this session."""
    here: dict[str, browser_address.Address] = st.session_state.get(_HERE, {})
    return {**here.get(tab, {}), "tab": [tab]}
