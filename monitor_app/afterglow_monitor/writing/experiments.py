"""New experiments."""

from __future__ import annotations

from collections.abc import Mapping

from afterglow_monitor.errors import CannotWrite
from afterglow_monitor.settings import MlflowServer
from afterglow_monitor.syncing.tracking_server import plain_experiment
from afterglow_monitor.writing import Row, Writer, client_of_server
from afterglow_store import audit
from afterglow_store.items import experiment_by_id
from afterglow_store.runs import take_in_experiment

MOST_NAME = 256  # characters: what MLflow's database takes


def wrong_name(name: str) -> str | None:
    """What is wrong with it as the name of an experiment."""
    if not name.strip():
        return "Give the experiment a name."
    if len(name) > MOST_NAME:
        return f"A name has at most {MOST_NAME} characters; this one has {len(name):,}."
    return None


def create(writer: Writer, server: MlflowServer, name: str, tags: Mapping[str, str], *, now: int) -> Row:
    """A new, empty experiment on this server; its row.

    Raises CannotWrite for a name that breaks the rules, or when MLflow does not take it.
    """
    if wrong := wrong_name(name):
        raise CannotWrite(wrong)
    client, what = client_of_server(server), f"experiment {name}"
    # Its name is kept in the experiment's own row alone, where `afterglow forget` finds it.
    with writer.audited(audit.CREATE, audit.NO_RUN, {"server": server.name}, now) as entry:
        experiment_id = writer.ask(what, lambda: client.create_experiment(name, tags=dict(tags)))
        made = writer.ask(what, lambda: client.get_experiment(experiment_id))
    with writer.store.write() as conn:
        take_in_experiment(conn, dict(plain_experiment(made)), server=server.name)
        after = {"server": server.name, "experiment_id": experiment_id}
        audit.finish(conn, entry, action=audit.CREATE, before={}, after=after)
        return experiment_by_id(conn, server.name, experiment_id)
