"""Filters of a list that are looked up before they are chosen: users, masters, an experiment, an application."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from afterglow_monitor import data
from afterglow_monitor import format as fmt
from afterglow_monitor.address import View, change, follow
from afterglow_store.errors import BadFilter, TooSlow

MOST = 20  # users, or masters, at once
CHOSEN_BY = ("user", "master", "of", "app")  # what an address calls them

Labels = dict[str, str]  # by value: the value, and how many of the list have it


def button(view: View, what: str, of_experiment: tuple[str, str] | None) -> None:
    """For a list of `what`: runs or applications; `of_experiment`: where it is of one."""
    chosen = len(view.users) + len(view.masters) + bool(view.experiment) + bool(view.app)
    label = f"Filters · {chosen}" if chosen else "Filters"
    # What there is to choose is counted only once it is open.
    with st.popover(label, icon=":material/tune:", key="more filters", on_change="rerun") as shown:
        if not shown.open:
            return
        found = _labels(view, what, of_experiment)
        _several("Submitted by", "user", view.users, found["user"], nothing="anybody")
        if what == "applications":
            _several("Master", "master", view.masters, found["master"], nothing="any")
        if of_experiment is None:
            _one("Experiment", "of", view.experiment, found["experiment"])
        if what == "runs":
            _one("Application", "app", view.app, found["application"])
        if chosen:
            st.button("Clear these", on_click=lambda: change(**dict.fromkeys(CHOSEN_BY)))


def _labels(view: View, what: str, of_experiment: tuple[str, str] | None) -> dict[str, Labels]:
    """Of each facet its values, with how many of the list have it."""
    found: dict[str, list[data.Row]] = {}
    try:
        found = data.facets(view, what, *(of_experiment or (None, None)))
    except BadFilter:
        st.caption("The filter line cannot be read, so nothing is counted: type what you look for.")
    except TooSlow:
        st.caption("What there is could not be counted in time: type what you look for.")
    return {
        name: {
            row["value"]: f"{fmt.short(row['value'], 60)}  ({fmt.counted(row[what], what.removesuffix('s'))})"
            for row in found.get(name, ())
            if row["value"]
        }
        for name in ("user", "master", "experiment", "application")
    }


def _several(label: str, name: str, chosen: Sequence[str], labels: Labels, *, nothing: str) -> None:
    key = f"only {name}"
    follow(key, list(chosen))
    st.multiselect(
        label,
        list(dict.fromkeys([*chosen, *labels])),
        key=key,
        format_func=lambda each: labels.get(each, fmt.short(each, 60)),
        max_selections=MOST,
        accept_new_options=True,
        placeholder=nothing,
        on_change=lambda: change(**{name: list(st.session_state[key])}),
    )


def _one(label: str, name: str, chosen: str, labels: Labels) -> None:
    key = f"only {name}"
    follow(key, chosen or None)
    st.selectbox(
        label,
        list(dict.fromkeys([*([chosen] if chosen else []), *labels])),
        index=None,
        key=key,
        format_func=lambda each: labels.get(each, fmt.short(each, 60)),
        accept_new_options=True,
        placeholder="any",
        on_change=lambda: change(**{name: st.session_state[key]}),
    )
