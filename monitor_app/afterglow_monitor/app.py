"""The web application for `afterglow up`, uvicorn and `streamlit run` alike: pages, collector, API, files of runs."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from streamlit import net_util

from afterglow_monitor import artifacts, collector, export
from afterglow_monitor.rest import serving

# A page that is opened by a name that Streamlit does not know makes it ask the internet for its own address, to
# compare. Nothing of ours leaves the machine; such names go into server.corsAllowedOrigins.
net_util.get_external_ip = lambda: None

routes = [*collector.routes(), *artifacts.routes(), *export.routes(), *serving.routes(), *serving.no_other_routes()]
app = st.App(Path(__file__).with_name("main.py"), routes=routes)
