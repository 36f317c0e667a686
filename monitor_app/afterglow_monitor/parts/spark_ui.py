"""Where Spark itself shows an application."""

from __future__ import annotations

from urllib.parse import quote

import streamlit as st

from afterglow_monitor.data import Row
from afterglow_monitor.settings import load_settings

# What YARN has Spark's own UI behind, and a standalone master where it is told so.
_YARN = "spark.org.apache.hadoop.yarn.server.webproxy.amfilter.AmIpFilter.param.PROXY_URI_BASES"
_STANDALONE = "spark.ui.reverseProxyUrl"


def link(row: Row, properties: dict[str, str]) -> None:
    """To its UI while it runs, where its configuration, `properties`, tells its address; else to the History Server of
    the settings. `row`: with `app_id`, `attempt` and `status`."""
    url = address(row, properties, load_settings().monitor.history_server)
    if url is not None:
        st.link_button("Open in Spark UI", url, icon=":material/open_in_new:", type="tertiary")


def address(row: Row, properties: dict[str, str], history_server: str) -> str | None:
    app_id = quote(row["app_id"], safe="")
    if row["status"] == "RUNNING":
        if (at := properties.get(_YARN, "").split(",")[0]).startswith(("http://", "https://")):
            return at
        if (at := properties.get(_STANDALONE, "")).startswith(("http://", "https://")):
            return f"{at.rstrip('/')}/proxy/{app_id}/"
    if not history_server:
        return None
    attempt = f"/{quote(row['attempt'], safe='')}" if row["attempt"] else ""
    return f"{history_server.rstrip('/')}/history/{app_id}{attempt}/jobs/"
