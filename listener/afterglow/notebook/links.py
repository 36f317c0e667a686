"""Where a run is to be seen: the addresses that the widget and the static table lead to."""

import os
from urllib.parse import quote, urlsplit

from afterglow.events import public_tracking_uri

MONITOR_VARIABLE = "AFTERGLOW_MONITOR_URL"


def web_address(text: str | None) -> str:
    """`text` if it is an address of the web, without a slash at its end; else nothing: it becomes a link."""
    address = (text or "").strip().rstrip("/")
    try:
        fits = urlsplit(address).scheme in ("http", "https") and bool(urlsplit(address).hostname)
    except ValueError:
        fits = False
    return address if fits else ""


def mlflow_page(tracking_uri: str, experiment_id: str, run_id: str) -> str:
    """The run in MLflow's own UI, where its server has one."""
    server = web_address(public_tracking_uri(tracking_uri))
    if not server or not experiment_id:
        return ""
    return f"{server}/#/experiments/{quote(experiment_id, safe='')}/runs/{quote(run_id, safe='')}"


def monitor_address() -> str:
    """Where Monitor is, by the environment; nothing if it is not told."""
    return web_address(os.environ.get(MONITOR_VARIABLE))


def monitor_page(monitor: str, run_id: str) -> str:
    """The run in Monitor."""
    return f"{monitor}/?page=run&id={quote(run_id, safe='')}" if monitor else ""
