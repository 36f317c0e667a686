"""A list of runs to choose from: what can be done with the chosen ones stands over it."""

from __future__ import annotations

from dataclasses import replace
from datetime import tzinfo
from functools import partial

import streamlit as st

from afterglow_monitor import acting, data, downloads, places
from afterglow_monitor import format as fmt
from afterglow_monitor.address import ALL, View
from afterglow_monitor.listing import bulk_tags, download, lists, selection, toolbar
from afterglow_store import Page
from afterglow_store.filters.tokens import quoted

MOST_COMPARED = 100
MOST_NAMED = 100  # runs in the address of a download, so that proxies take it


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
    ids = [row["run_id"] for row in page.rows]
    shown = selection.frozen(key, replace(view, columns=()), ids)
    rows = page.rows if shown == ids else data.runs_named(tuple(shown))
    chosen = selection.of(key)
    everything = partial(data.run_ids, view, of_experiment) if page.total > len(chosen) else None
    bar = partial(_bar, key, chosen, everything, page.total, new=len(set(ids) - set(shown)))
    toolbar.counted(page, view, "runs", zone, now=now, instead=bar if chosen else None)
    lists.runs(key, rows, view, zone, now=now, without=("Experiment",) if of_experiment else (), choose=True)


def _bar(key: str, chosen: list[str], everything: bulk_tags.AllIds | None, total: int, *, new: int) -> None:
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
    with st.popover("Download", key=f"download {key}", icon=":material/download:", type="tertiary"):
        download.links("runs", {"window": [ALL]} | _these(chosen), {})


def _these(chosen: list[str]) -> dict[str, list[str]]:
    """What an address says of them; of more than it has room for, only which selection of this server it is."""
    if len(chosen) <= MOST_NAMED:
        return {"filter": [f"run_id IN ({', '.join(quoted(each) for each in chosen)})"]}
    return {"selection": [downloads.keep_selection(chosen)]}
