"""Saving a run's model as a version of a registered model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from afterglow_monitor import acting, data
from afterglow_monitor import format as fmt
from afterglow_monitor.clock import now_ms
from afterglow_monitor.data import Row
from afterglow_monitor.errors import CannotWrite
from afterglow_store.errors import StoreUnreachable

if TYPE_CHECKING:
    from afterglow_monitor.writing.models import Model


def button(row: Row) -> None:
    # Of a run that is still going, the page draws itself again and again, which would close the dialog.
    ended = row["status"] != "RUNNING"
    if ended and acting.may_write() and st.button("Save as model …", icon=":material/deployed_code:", type="tertiary"):
        _dialog(row)
    if said := st.session_state.pop("saved as", None):
        st.toast(fmt.verbatim(said), icon=":material/check_circle:")


@st.dialog("Save as a registered model")
def _dialog(row: Row) -> None:
    with st.spinner("Asking MLflow which models the run has …"):
        try:
            models, names = _asked(row["run_id"])
        except (CannotWrite, StoreUnreachable) as exc:
            st.error(fmt.verbatim(acting.plainly(exc)), icon=":material/error:")
            return
    if not models:
        st.text("This run has logged no model, so there is nothing to save.")
        st.caption("Models are logged by autologging, or by log_model of MLflow's flavours.")
        return
    model = st.selectbox("Model of this run", models, format_func=lambda each: fmt.short(each.name, 100))
    name = st.selectbox(
        "Registered model",
        names,
        index=None,
        accept_new_options=True,
        placeholder="Choose one for its next version, or type a new name",
    )
    at_name = st.empty()
    if st.button("Save", type="primary", icon=":material/deployed_code:"):
        _save(row["run_id"], model, name or "", at_name)
    acting.refused("model")


@data.kept(ttl=60, max_entries=50)
def _asked(run_id: str) -> tuple[list[Model], list[str]]:
    """The run's models, and the registered ones: asked once while the dialog is open. Raises CannotWrite."""
    from afterglow_monitor.writing.models import Registrar  # noqa: PLC0415 - MLflow takes a second to import

    registrar = acting.writer(Registrar)
    return registrar.models_of(run_id), registrar.names(run_id)


def _save(run_id: str, model: Model, name: str, at_name: DeltaGenerator) -> None:
    from afterglow_monitor.writing.models import Registrar, wrong_name  # noqa: PLC0415

    if wrong := wrong_name(name):
        at_name.error(fmt.verbatim(wrong))
        return

    def save() -> None:
        version = acting.writer(Registrar).save(run_id, model, name, now=now_ms())
        st.session_state["saved as"] = f"Saved as version {version} of {fmt.short(name, 80)}"

    if acting.attempt("model", save):
        st.rerun()
