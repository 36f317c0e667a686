"""Monitor's frame, run by Streamlit for each change in each session: what is around every page, then the page."""

from pathlib import Path

import streamlit as st

from afterglow_monitor.places import only_page

ASSETS = Path(__file__).parent / "assets"

st.set_page_config(page_title="Afterglow", page_icon=ASSETS / "mark.svg", layout="wide")
st.html(ASSETS / "monitor.css")
st.logo(ASSETS / "logo.svg", size="medium")
st.navigation([only_page()], position="hidden").run()
