"""Parts of a page that draw themselves again, and what is there in their place while the store does not answer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

import streamlit as st

from afterglow_monitor import browser_address, data
from afterglow_monitor import format as fmt
from afterglow_monitor.access import sign_in
from afterglow_monitor.clock import now_ms
from afterglow_store.errors import NotFound, StoreTooNew, StoreUnreachable, TooSlow

ASKED_AGAIN_SECONDS = 2.0
_SINCE = "store away since"
Said = ParamSpec("Said")


def part(every: float | None) -> Callable[[Callable[Said, None]], Callable[Said, None]]:
    """Draws a part of a page, and again by itself each `every` seconds, None: only when somebody acts in it.

    It leaves for the page that a click has gone to. Where what it is about is no longer there, or who looks at it has
    signed in too long ago, the page is drawn anew.
    """

    def of(draw: Callable[Said, None]) -> Callable[Said, None]:
        @functools.wraps(draw)
        def drawn(*said: Said.args, **named: Said.kwargs) -> None:
            _enter()
            with told():
                try:
                    draw(*said, **named)
                except NotFound:
                    if not browser_address.by_itself():
                        raise
                    st.rerun()

        return st.fragment(drawn, run_every=every)

    return of


def _enter() -> None:
    browser_address.enter_part()
    if not sign_in.is_in():
        st.rerun()  # the page asks to sign in again


@contextmanager
def told() -> Iterator[None]:
    """What is drawn meanwhile; where the store keeps it from that, why."""
    try:
        yield
    except StoreUnreachable as exc:
        _away(exc)
    except StoreTooNew as exc:
        _instead("The store cannot be read", str(exc))
    except TooSlow as exc:
        _instead("This page took too long", str(exc))
    else:
        st.session_state.pop(_SINCE, None)


def _away(exc: StoreUnreachable) -> None:
    since = fmt.clock(st.session_state.setdefault(_SINCE, now_ms()), fmt.zone(st.context.timezone))
    _instead(
        "The store does not answer",
        f"Not since {since}. It is asked again every {ASKED_AGAIN_SECONDS:g} seconds, and the page comes back by "
        "itself. Jobs go on meanwhile: what they write waits in their journals.",
        str(exc),
    )
    _ask_again()


def _instead(headline: str, text: str, why: str = "") -> None:
    with st.container(border=True, width=700):
        st.subheader(headline, anchor=False)
        st.text(text)
        if why:
            st.caption(fmt.verbatim(fmt.short(why, 300)))


@st.fragment(run_every=ASKED_AGAIN_SECONDS)
def _ask_again() -> None:
    _enter()
    if not browser_address.part_was_asked_for():
        return  # what failed may be another read than this one: drawn anew at once, the page would never rest
    try:
        data.anything()
    except StoreUnreachable:
        return
    st.rerun()
