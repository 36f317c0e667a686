"""Lists with names: one's own, and those that others share."""

from __future__ import annotations

from contextlib import suppress

import streamlit as st

from afterglow_monitor import acting, browser_address, data, places
from afterglow_monitor import format as fmt
from afterglow_monitor.clock import now_ms
from afterglow_monitor.data import Row
from afterglow_monitor.listing import remembered
from afterglow_monitor.settings import load_settings
from afterglow_store.errors import StoreUnreachable

MOST_NAME = 80  # characters


def button() -> None:
    whose = remembered.owner()
    if whose is None:
        return
    # Read only once it is open.
    with st.popover("Views", icon=":material/bookmark:", key="saved views", on_change="rerun") as shown:
        if shown.open:
            _list(whose)
            _form(whose)


def _list(whose: str) -> None:
    # What others have shared may name what the person at the page may not see.
    views = [each for each in data.saved_views(whose) if each["owner"] == whose or _may_share()]
    if not views:
        st.caption("No list has a name yet.")
    for view in views:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            places.link(view["name"], places.Place(places.HOME, view["address"]), icon=":material/bookmark:")
            st.caption(_whose(view, whose), width="content")
            if view["owner"] == whose:
                st.button(
                    "Delete",
                    key=f"delete view {view['name']}",
                    icon=":material/delete:",
                    type="tertiary",
                    on_click=lambda name=view["name"]: _remove(whose, name),
                )


def _remove(whose: str, name: str) -> None:
    with suppress(StoreUnreachable):  # the page says that, too
        data.remove_view(whose, name)


def _may_share() -> bool:
    return not load_settings().visible


def _whose(view: Row, whose: str) -> str:
    if view["owner"] == whose:
        return "shared" if view["shared"] else ""
    kind, _, name = view["owner"].partition(" ")
    return fmt.verbatim(f"by {fmt.short(name, 60)}") if kind == "person" else "shared"


def _form(whose: str) -> None:
    with st.form("save view", border=False):
        name = st.text_input("Name for the list as it is now", max_chars=MOST_NAME, key="view name")
        at_name = st.empty()
        shared = _may_share() and acting.may_write() and st.checkbox("Share it with everybody here", key="view shared")
        if not st.form_submit_button("Save", icon=":material/bookmark_add:"):
            return
    if not name.strip():
        at_name.error("Give the list a name.")
        return
    address = remembered.kept_part(browser_address.address())
    data.keep_view(whose, name.strip(), address, shared=bool(shared), now=now_ms())
    st.rerun()
