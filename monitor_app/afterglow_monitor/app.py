"""The web application for `afterglow up`, uvicorn and `streamlit run` alike: pages, collector, API, files of runs,
all of it behind the gate."""

from __future__ import annotations

import gc
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from streamlit import net_util

from afterglow_monitor import artifacts, export, places
from afterglow_monitor.access import sign_in
from afterglow_monitor.access.browser import Browser
from afterglow_monitor.access.gate import Gate
from afterglow_monitor.access.rules import Rules
from afterglow_monitor.collecting import collector
from afterglow_monitor.rest import serving
from afterglow_monitor.running import metrics, probes
from afterglow_monitor.running.measured import Measured
from afterglow_monitor.running.preloading import Preloading
from afterglow_monitor.settings import load_settings

# A page that is opened by a name that Streamlit does not know makes it ask the internet for its own address, to
# compare. Nothing of ours leaves the machine; such names go into server.corsAllowedOrigins.
net_util.get_external_ip = lambda: None

settings = load_settings()
if settings.sign_in.configured:
    sign_in.hand_over(settings, artifacts.whole_store())


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[None]:
    threading.Thread(target=_warm_up, name="afterglow-import-pages", daemon=True).start()
    yield


def _warm_up() -> None:
    """The first person to come should not wait for imports of a second or two; what they leave stays for good, and the
    garbage collector need not go through it again."""
    places.import_pages()
    gc.collect()
    gc.freeze()


parts = (collector, artifacts, export, probes, metrics, serving)
gate = Middleware(Gate, rules=Rules(settings, artifacts.whole_store))
app = st.App(
    Path(__file__).with_name("main.py"),
    routes=[*(route for part in parts for route in part.routes()), *serving.no_other_routes()],
    # Before Streamlit's own.
    middleware=[Middleware(Measured), gate, Middleware(Preloading), Middleware(Browser)],
    lifespan=lifespan,
)
