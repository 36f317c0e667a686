"""Filters of a list that are looked up before they are chosen: users, an experiment, an application."""

from __future__ import annotations

import streamlit as st

from afterglow_monitor import data
from afterglow_monitor import format as fmt
from afterglow_monitor.address import View, change, follow
from afterglow_store.errors import BadFilter, TooSlow

MOST_USERS = 20


def button(view: View, what: str, of_experiment: tuple[str, str] | None) -> None:
    """For a list of `what`: runs or applications; `of_experiment`: where it is of one."""
    chosen = len(view.users) + bool(view.experiment) + bool(view.app)
    label = f"Filters · {chosen}" if chosen else "Filters"
    # What there is to choose is counted only once it is open.
    with st.popover(label, icon=":material/tune:", key="more filters", on_change="rerun") as shown:
        if not shown.open:
            return
        found = _values(view, of_experiment)
        _users(view, found["user"])
        if of_experiment is None:
            _one("Experiment", "of", view.experiment, found["experiment"])
        if what == "runs":
            _one("Application", "app", view.app, found["application"])
        if chosen:
            st.button("Clear these", on_click=lambda: change(user=None, of=None, app=None))


def _values(view: View, of_experiment: tuple[str, str] | None) -> dict[str, dict[str, int]]:
    """Of each facet its values, with how many runs of the list have it."""
    try:
        found = data.facets(view, *(of_experiment or (None, None)))
    except (BadFilter, TooSlow):
        st.caption("What there is could not be counted in time: type what you look for.")
        found = {}
    return {
        name: {row["value"]: row["runs"] for row in found.get(name, ()) if row["value"]}
        for name in ("user", "experiment", "application")
    }


def _users(view: View, counts: dict[str, int]) -> None:
    follow("users", list(view.users))
    st.multiselect(
        "Submitted by",
        list(dict.fromkeys([*view.users, *counts])),
        key="users",
        format_func=lambda name: _label(name, counts),
        max_selections=MOST_USERS,
        accept_new_options=True,
        placeholder="anybody",
        on_change=lambda: change(user=list(st.session_state["users"])),
    )


def _one(label: str, name: str, chosen: str, counts: dict[str, int]) -> None:
    key = f"only {name}"
    follow(key, chosen or None)
    st.selectbox(
        label,
        list(dict.fromkeys([*([chosen] if chosen else []), *counts])),
        index=None,
        key=key,
        format_func=lambda each: _label(each, counts),
        accept_new_options=True,
        placeholder="any",
        on_change=lambda: change(**{name: st.session_state[key]}),
    )


def _label(value: str, counts: dict[str, int]) -> str:
    number = counts.get(value)
    return fmt.short(value, 60) + (f"  ({fmt.counted(number, 'run')})" if number is not None else "")
