"""Monitor's frame, run by Streamlit for each change in each session: what is around every page, then the page."""

from pathlib import Path

import streamlit as st

from afterglow_monitor.access import sign_in
from afterglow_monitor.places import only_page

ASSETS = Path(__file__).parent / "assets"

st.set_page_config(page_title="Afterglow", layout="wide")
if sign_in.let_in():
    st.set_page_config(page_icon=ASSETS / "mark.svg")  # a file that is served to whoever has signed in
    st.html(ASSETS / "monitor.css")
    st.logo(ASSETS / "logo.svg", size="medium")
    sign_in.say_who()
    st.navigation([only_page()], position="hidden").run()
