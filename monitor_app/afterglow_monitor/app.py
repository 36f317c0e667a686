"""The web application: Monitor's pages, served by `afterglow up`, by uvicorn and by `streamlit run` alike."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

app = st.App(Path(__file__).with_name("main.py"))
