"""Creating an experiment."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from afterglow_monitor import acting, places
from afterglow_monitor import format as fmt
from afterglow_monitor.clock import now_ms
from afterglow_monitor.settings import MlflowServer, load_settings


def button() -> None:
    if acting.may_write() and st.button("New experiment …", icon=":material/add:"):
        _dialog()


@st.dialog("New experiment")
def _dialog() -> None:
    servers = load_settings().mlflow
    if not servers:
        st.text("No MLflow server is configured: name one in afterglow.toml, under [[mlflow]].")
        return
    server = servers[0]
    if len(servers) > 1:
        server = st.selectbox("MLflow server", servers, format_func=lambda each: f"{each.name}  ({each.uri})")
    name = st.text_input("Name", key="experiment name")
    at_name = st.empty()
    team = st.text_input("Tags", key="experiment tags", placeholder="team=cellar, cost=42", help="Optional")
    at_tags = st.empty()
    if st.button("Create", type="primary"):
        _create(server, name, team, at_name, at_tags)
    acting.refused("experiment")


def _create(
    server: MlflowServer,
    name: str,
    said: str,
    at_name: DeltaGenerator,
    at_tags: DeltaGenerator,
) -> None:
    from afterglow_monitor.writing import Writer, experiments, tags  # noqa: PLC0415 - MLflow takes a second to import

    wanted = read_tags(said)
    wrong = experiments.wrong_name(name)
    wrong_tags = next(filter(None, (tags.wrong_name(k) or tags.wrong_value(v) for k, v in wanted.items())), None)
    if wrong:
        at_name.error(fmt.verbatim(wrong))
    if wrong_tags:
        at_tags.error(fmt.verbatim(wrong_tags))
    if wrong or wrong_tags:
        return

    def create() -> None:
        row = experiments.create(acting.writer(Writer), server, name.strip(), wanted, now=now_ms())
        places.go(places.experiment(row["server"], row["experiment_id"]))

    if acting.attempt("experiment", create):
        st.rerun()


def read_tags(said: str) -> dict[str, str]:
    """`team=cellar, cost=42` as pairs."""
    pairs = (each.partition("=") for each in said.split(",") if each.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}
