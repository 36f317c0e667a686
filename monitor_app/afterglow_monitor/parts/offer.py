"""On the page of a run without a link: which application it is probably of and why, and a button that links it."""

from __future__ import annotations

import streamlit as st

from afterglow_monitor import acting, data, places
from afterglow_monitor import format as fmt
from afterglow_monitor.clock import now_ms
from afterglow_monitor.data import Row
from afterglow_store.suggest import Suggestion


def offer(row: Row) -> None:
    """Says why there is no link; with a suggestion, draws it. Nothing is written before a person confirms it."""
    found = data.suggestion(row["run_id"])
    if row["app_id_tag"] is not None:
        st.caption(f"Its tags name {fmt.verbatim(row['app_id_tag'])}, which the store does not have.")
    elif found is None:
        st.caption("Not linked to an application: it was made outside of Spark, or where Afterglow was not.")
    else:
        _suggested(row, found)
    acting.refused("link")


def _suggested(row: Row, found: Suggestion) -> None:
    with st.container(border=True, key="suggestion"):
        st.caption("Not linked to an application. Probably it is of")
        app = {"app_id": found.app_id, "start_time": found.start_time}
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            places.link(found.name, places.application(app), icon=":material/bolt:")
            st.caption(fmt.verbatim(found.app_id))
        st.text("Because: " + found.why)
        if acting.may_write():
            _confirm(row, found)


def _confirm(row: Row, found: Suggestion) -> None:
    with st.popover("Link …", icon=":material/add_link:"):
        st.text(f"Link this run to {fmt.named(found.name)}?")
        st.caption("This writes spark.app.id and its companions onto the run in MLflow.")
        st.caption("To take it back: `afterglow link --undo` with the run's id.")
        if st.button("Link", type="primary", key="accept"):
            acting.attempt("link", lambda: _accept(row["run_id"], found))
            st.rerun()


def _accept(run_id: str, found: Suggestion) -> None:
    from afterglow_monitor.writing.linking import Linker  # noqa: PLC0415 - MLflow takes a second to import

    acting.writer(Linker).link(run_id, found.application_id, why=found.why, now=now_ms())
