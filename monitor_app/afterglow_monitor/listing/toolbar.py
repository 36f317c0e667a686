"""What stands over a list: search, window, statuses, and how much of the result is shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo

import streamlit as st

from afterglow_monitor import browser_address
from afterglow_monitor import format as fmt
from afterglow_monitor.address import (
    ALL,
    CUSTOM,
    PAGE_ROWS,
    SHORT_WINDOWS,
    View,
    address_time,
    change,
    follow,
    local_time,
)
from afterglow_monitor.listing import download, list_columns, lists, more_filters, run_columns, saved
from afterglow_monitor.parts import experiment_form, freshness, status
from afterglow_store import Page

# What may be typed into the filter line of each list.
EXAMPLES = {
    "runs": "metrics.rmse < 0.8 AND tags.team = 'a' AND (duration > 10m OR spark.core_seconds > 100)",
    "applications": "user = 'ada' AND core_seconds > 100 AND idle_share > 0.5",
    "experiments": "failed_runs > 0 AND tags.team = 'a'",
}


def filters(
    view: View,
    statuses: Sequence[str],
    zone: tzinfo,
    *,
    hint: str,
    default_window: str,
    what: str,
    of_experiment: tuple[str, str] | None = None,
) -> None:
    """For a list of `what`: one of EXAMPLES; `of_experiment`: its server and id, where the list is of one."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="toolbar"):
        search(view, hint)
        if what in ("runs", "applications"):
            _started_or_active(view)
        window_control(view, default_window)
        _statuses(view, statuses)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="choices"):
        _filter(view, what)
        if what == "runs":
            _unlinked(view)
        if what in ("runs", "applications"):
            more_filters.button(view, what, of_experiment)
        elif what == "experiments":
            experiment_form.button()
        if what == "runs":
            run_columns.picker(view, of_experiment)
        elif what == "applications":
            list_columns.picker(view, lists.APPLICATIONS, lists.MORE_OF_APPLICATIONS)
        elif what == "experiments":
            list_columns.picker(view, *lists.columns_of_experiments())
        download.of_list(what, of_experiment)
        if of_experiment is None:
            saved.button()
    custom_window(view, zone)


def counted(
    page: Page, view: View, what: str, zone: tzinfo, *, now: int, instead: Callable[[], None] | None = None
) -> None:
    """How many there are, which of them these are, and when that was read. `instead` draws something in the place of
    that, no higher: nothing below may move."""
    pages = max(1, math.ceil(page.total / PAGE_ROWS))
    with st.container(horizontal=True, vertical_alignment="center", key="counted"):
        if instead is not None:
            instead()
        else:
            _count(page, view, what, zone, pages, now=now)
        if pages > 1:
            follow("p", min(view.page, pages))
            st.pagination(pages, key="p", on_change=lambda: _turn_to(st.session_state["p"], view))


def _count(page: Page, view: View, what: str, zone: tzinfo, pages: int, *, now: int) -> None:
    first = (view.page - 1) * PAGE_ROWS + 1
    noun = what.removesuffix("s") if page.total == 1 else what
    shown = f"{first:,}–{first + len(page.rows) - 1:,} of " if pages > 1 and page.rows else ""
    parts = [f"{shown}{page.total_text} {noun}", f"as of {fmt.clock(now, zone)}", freshness.said(zone, now=now)]
    st.caption("  ·  ".join(filter(None, parts)), width="stretch")


def _turn_to(page: int, view: View) -> None:
    if page != view.page:
        change(p=None if page == 1 else str(page))


def search(view: View, hint: str) -> None:
    follow("q", view.text)
    st.text_input(
        "Search",
        key="q",
        type="search",
        icon=":material/search:",
        placeholder=hint,
        label_visibility="collapsed",
        width=260,  # so that all filters of the runs fit on one line of a laptop's screen
        on_change=lambda: change(q=st.session_state["q"].strip()),
    )


def _filter(view: View, what: str) -> None:
    follow("filter", view.filter)
    st.text_input(
        "Filter",
        key="filter",
        icon=":material/filter_alt:",
        placeholder=EXAMPLES[what],
        label_visibility="collapsed",
        help="MLflow's filters, with OR, brackets, IN, durations and what Spark did. Enter applies it.",
        width="stretch",
        on_change=lambda: change(filter=st.session_state["filter"].strip()),
    )


def choice(name: str, labels: Mapping[str, str], chosen: str) -> None:
    """One of several, kept in the address under this name."""
    follow(name, chosen)
    st.segmented_control(
        name.capitalize(),
        list(labels),
        key=name,
        required=True,
        format_func=labels.__getitem__,
        label_visibility="collapsed",
        wrap=True,
        on_change=lambda: change(**{name: st.session_state[name]}),
    )


def pick(name: str, names: Sequence[str], *, key: str, also: Mapping[str, None] | None = None) -> str:
    """One of many, kept in the address under this name: the first where it says none of them, '' where there are none.
    `also`: what a change takes out of the address."""
    if not names:
        return ""
    said = browser_address.value(name)
    chosen = said if said in names else names[0]
    follow(key, chosen)
    st.selectbox(
        name.capitalize(),
        names,
        key=key,
        label_visibility="collapsed",
        width=260,
        on_change=lambda: change(**{name: st.session_state[key]}, **(also or {})),
    )
    return chosen


def _started_or_active(view: View) -> None:
    """Of what the window is, which stands beside it: of when things started, or of when they were there."""
    labels = {False: "Started in", True: "Active in"}
    follow("active", view.active)
    st.selectbox(
        "Started or active",
        list(labels),
        key="active",
        format_func=labels.__getitem__,
        label_visibility="collapsed",
        filter_mode=None,  # two are not searched in
        width=118,
        disabled=view.window == ALL,
        on_change=lambda: change(active="yes" if st.session_state["active"] else None),
    )


def window_control(view: View, default_window: str) -> None:
    """Which time is shown; `custom_window` goes with it."""
    follow("window", view.window)
    st.segmented_control(
        "Window",
        list(SHORT_WINDOWS),
        key="window",
        required=True,
        format_func=SHORT_WINDOWS.__getitem__,
        label_visibility="collapsed",
        wrap=True,
        on_change=lambda: _change_window(default_window),
    )


def _change_window(default_window: str) -> None:
    chosen = st.session_state["window"]
    nothing = {} if chosen == CUSTOM else {"from": None, "to": None}
    change(window=None if chosen == default_window else chosen, **nothing)


def _statuses(view: View, statuses: Sequence[str]) -> None:
    follow("status", [each for each in statuses if each in view.statuses])
    st.pills(
        "Status",
        list(statuses),
        key="status",
        selection_mode="multi",
        format_func=status.with_icon,
        label_visibility="collapsed",
        wrap=True,
        on_change=lambda: change(status=sorted(st.session_state["status"])),
    )


def _unlinked(view: View) -> None:
    follow("unlinked", ["yes"] if view.unlinked else [])
    st.pills(
        "Link",
        ["yes"],
        key="unlinked",
        selection_mode="multi",
        format_func=lambda _: ":material/add_link: Unlinked",
        label_visibility="collapsed",
        help="Runs that are tied to no Spark application, with the one that they are probably of",
        on_change=lambda: change(unlinked=[*st.session_state["unlinked"]]),
    )


def custom_window(view: View, zone: tzinfo) -> None:
    """From when and to when, where that is what `window_control` has been set to: for the line below it."""
    if view.window != CUSTOM:
        return
    follow("from", local_time(view.since, zone))
    follow("to", local_time(view.until, zone))
    with st.container(horizontal=True, vertical_alignment="bottom", key="span"):
        for key, label in (("from", "From"), ("to", "To")):
            st.datetime_input(
                label,
                value=None,
                key=key,
                width=200,
                on_change=lambda key=key: change(**{key: address_time(st.session_state[key], zone)}),
            )
