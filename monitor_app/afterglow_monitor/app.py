"""The web application for `afterglow up`, uvicorn and `streamlit run` alike: pages, collector, and files of runs."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from streamlit import net_util

from afterglow_monitor import artifacts, collector, export, metrics, probes
from afterglow_monitor.measured import Measured

# A page that is opened by a name that Streamlit does not know makes it ask the internet for its own address, to
# compare. Nothing of ours leaves the machine; such names go into server.corsAllowedOrigins.
net_util.get_external_ip = lambda: None

parts = (collector, artifacts, export, probes, metrics)
app = st.App(
    Path(__file__).with_name("main.py"),
    routes=[route for part in parts for route in part.routes()],
    middleware=[Middleware(Measured)],
)
