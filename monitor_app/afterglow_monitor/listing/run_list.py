"""A list of runs to choose from: what can be done with the chosen ones stands over it."""

from __future__ import annotations

from datetime import tzinfo
from functools import partial

import streamlit as st

from afterglow_monitor import acting, data, export, places
from afterglow_monitor import format as fmt
from afterglow_monitor.address import ALL, View
from afterglow_monitor.listing import bulk_tags, lists, selection, toolbar
from afterglow_store import Page

MOST_COMPARED = 100


def show(
    key: str,
    page: Page,
    view: View,
    zone: tzinfo,
    *,
    now: int,
    of_experiment: tuple[str, str] | None = None,
) -> None:
    """`page` is what the list has now; as long as any run of it is chosen, it goes on showing those that it had.
    `of_experiment`: its server and id, where the list is of one."""
    key = lists.key_of(key, view)
    ids = [row["run_id"] for row in page.rows]
    shown = selection.frozen(key, view, ids)
    rows = page.rows if shown == ids else data.runs_named(tuple(shown))
    chosen = selection.of(key)
    everything = partial(data.run_ids, view, of_experiment) if page.total > len(chosen) else None
    bar = partial(_bar, key, chosen, everything, page.total_text, new=len(set(ids) - set(shown)))
    toolbar.counted(page, view, "runs", zone, now=now, instead=bar if chosen else None)
    lists.runs(key, rows, view, zone, now=now, without=("Experiment",) if of_experiment else (), choose=True)


def _bar(key: str, chosen: list[str], everything: bulk_tags.AllIds | None, total: str, *, new: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="selected"):
        st.markdown(f"**{fmt.counted(len(chosen), 'run')} selected**", width="content")
        few = not 2 <= len(chosen) <= MOST_COMPARED
        st.button(
            "Compare",
            key=f"compare {key}",
            type="tertiary",
            icon=":material/compare_arrows:",
            disabled=few,
            help=f"Takes 2 to {MOST_COMPARED} runs" if few else None,
            on_click=lambda: places.go(places.compare(chosen)),
        )
        if acting.may_write() and st.button("Tag …", key=f"tag {key}", icon=":material/sell:", type="tertiary"):
            bulk_tags.ask(chosen, everything, total)
        _download(key, chosen)
        clear = partial(selection.clear, key)
        st.button("Clear", key=f"clear {key}", type="tertiary", icon=":material/close:", on_click=clear)
        if new:
            st.button(
                f"{fmt.counted(new, 'new run')}: show",
                key=f"new {key}",
                type="tertiary",
                icon=":material/arrow_upward:",
                on_click=lambda: selection.thaw(key),
            )


def _download(key: str, chosen: list[str]) -> None:
    few = len(chosen) <= MOST_COMPARED
    with st.popover("Download", key=f"download {key}", icon=":material/download:", type="tertiary", disabled=not few):
        these = ", ".join(f"'{run_id}'" for run_id in chosen)
        asked = {"filter": [f"run_id IN ({these})"], "window": [ALL]}
        for kind, label in (("csv", "CSV"), ("parquet", "Parquet"), ("json", "JSON")):
            st.link_button(label, places.here(export.address("runs", kind, asked)))
