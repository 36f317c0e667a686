"""Handing the settings of the sign-in to Streamlit, whose `st.login` does it; and who has signed in, for the pages."""

from __future__ import annotations

import functools
import os

import streamlit as st
from streamlit.runtime.secrets import secrets_singleton
from streamlit.web.server.server_util import get_cookie_secret

from afterglow_monitor import format as fmt
from afterglow_monitor.access.links import signed
from afterglow_monitor.access.people import Person, person_of
from afterglow_monitor.access.seeing import scope_of
from afterglow_monitor.clock import now_ms
from afterglow_monitor.secrets import read_secret
from afterglow_monitor.settings import Settings, load_settings
from afterglow_store import Store, keys
from afterglow_store.visibility import Scope

_COOKIES = "cookies"


def cookie_key(settings: Settings, store: Store) -> str:
    """What the browsers' cookies are signed with: the same on all servers of a store. Raises BadSettings."""
    if settings.sign_in.cookie_secret:
        return read_secret(settings.sign_in.cookie_secret, "sign_in.cookie_secret")
    return keys.key(store, _COOKIES)


def hand_over(settings: Settings, store: Store) -> None:
    """Give Streamlit what it would read from its secrets.toml, without such a file.

    `st.App` takes secrets, too, but reads them after it has made the middleware that keeps the sign-in's state: each
    server would then sign that with a key of its own, and a sign-in that begins at one could not end at another.
    """
    said = settings.sign_in
    auth = {
        "redirect_uri": f"{said.url}/oauth2callback",
        "cookie_secret": cookie_key(settings, store),
        "client_id": said.client_id,
        "client_secret": read_secret(said.client_secret, "sign_in.client_secret"),
        "server_metadata_url": said.provider,
        "client_kwargs": {"scope": said.scopes},
    }
    secrets_singleton.merge_programmatic_secrets({"auth": auth})  # type: ignore[dict-item]


def person() -> Person | None:
    """Who has signed in at the page that is drawn; None where nobody has, or must again."""
    settings = _settings().sign_in
    if not settings.configured or not st.user.is_logged_in:
        return None
    return person_of(st.user.to_dict(), settings, now=now_ms())


def scope() -> Scope | None:
    """What of the store the person at the page may see."""
    settings = _settings()
    return scope_of(person(), settings) if settings.visible else None


def _settings() -> Settings:
    """Each read of the store asks for them: they are read once."""
    return _settings_of(*(os.environ.get(name) for name in ("AFTERGLOW_HOME", "AFTERGLOW_CONFIG")))


@functools.lru_cache(maxsize=4)
def _settings_of(*_where: str | None) -> Settings:
    return load_settings()


def link(address: str) -> str:
    """`address`, a path of ours, as the person at the page may follow it for some minutes."""
    found = person()
    if found is None:
        return address
    key: str = get_cookie_secret()  # as `hand_over` has set it
    return signed(address, found, key, now=now_ms())


def is_in() -> bool:
    """Whether anything may be drawn: nobody need sign in here, or somebody has, not too long ago."""
    return not _settings().sign_in.configured or person() is not None


def let_in() -> bool:
    """Whether the page may be drawn. If not, what to do about it is drawn in its place."""
    if is_in():
        return True
    with st.container(key="sign-in"):
        st.header("Afterglow", anchor=False)
        if st.user.is_logged_in:
            st.text("You have signed in, but too long ago, or you have no role here.")
        if st.button("Sign in", type="primary"):
            st.login()
    return False


def say_who() -> None:
    """Above the page: who is signed in, and the way out."""
    found = person()
    if found is None:
        return
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", key="who"):
        st.caption(f"{fmt.verbatim(fmt.short(found.name, 60))} · {found.role}", width="content")
        if st.button("Sign out", type="tertiary"):
            st.logout()
