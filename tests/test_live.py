"""Parts of a page that draw themselves again, and what is there in their place."""

import pytest
from streamlit.testing.v1 import AppTest

from afterglow_monitor import data
from afterglow_monitor.access import sign_in

AWAY = """
import streamlit as st
from afterglow_monitor import browser_address, live
from afterglow_store.errors import StoreUnreachable

browser_address.arrive()
st.session_state["drawn"] = st.session_state.get("drawn", 0) + 1
with live.told():
    raise StoreUnreachable("of this read only")
"""

SIGNED_IN = """
import streamlit as st
from afterglow_monitor import browser_address, live

browser_address.arrive()
live.part(1.0)(lambda: st.text("drawn"))()
"""


def test_a_page_whose_own_read_fails_is_not_drawn_without_end_where_a_smaller_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(data, "anything", lambda: True)
    app = AppTest.from_string(AWAY, default_timeout=20).run()
    assert app.subheader[0].value == "The store does not answer"
    assert app.session_state["drawn"] == 1


def test_a_part_of_a_page_is_not_drawn_for_who_must_sign_in_again(monkeypatch: pytest.MonkeyPatch) -> None:
    said = iter([False, True])
    monkeypatch.setattr(sign_in, "is_in", lambda: next(said))
    app = AppTest.from_string(SIGNED_IN, default_timeout=20).run()
    assert [each.value for each in app.text] == ["drawn"]
    assert next(said, "no more") == "no more"  # the whole page was drawn anew


REFUSED = """
from psycopg.errors import AdminShutdown
from sqlalchemy.exc import OperationalError
import streamlit as st
from afterglow_monitor import acting

def write():
    raise OperationalError("UPDATE run", {}, AdminShutdown("terminating connection"))

st.text(str(acting.attempt("tags", write)))
acting.refused("tags")
"""


def test_a_change_while_the_store_is_away_is_refused_in_plain_words() -> None:
    app = AppTest.from_string(REFUSED, default_timeout=20).run()
    assert not app.exception
    assert app.text[0].value == "False"
    said = app.error[0].value.replace("\\", "")
    assert said.startswith("The store does not answer (terminating connection), so it is not known whether")
