"""Which address a page is drawn for, when the browser has not heard yet of the last one."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.testing.v1 import AppTest
from websockets import Subprotocol
from websockets.sync.client import ClientConnection, connect

from afterglow_monitor.clock import now_ms
from afterglow_store import ingest_file, open_store
from tests.support.journals import Journal
from tests.support.monitor import running_monitor

RUN = "a" * 32

PAGE = """
import streamlit as st
from afterglow_monitor import browser_address

browser_address.arrive()
if st.button("Open") and browser_address.value("page", "list") == "list":
    browser_address.go({"page": "run", "id": "1"})
    browser_address.enter_part()
st.text(browser_address.value("page", "list") + ":" + browser_address.value("id"))
"""


def test_a_page_that_was_gone_to_is_drawn_though_the_old_one_asked_meanwhile() -> None:
    app = AppTest.from_string(PAGE)
    app.query_params["tab"] = "runs"
    app.run()
    assert app.text[0].value == "list:"
    app.button[0].click().run()
    assert app.text[0].value == "run:1"
    for leaving, shown in ((True, "run:1"), (False, "list:")):  # a moment later, a link to the list is meant
        app.session_state["leaving"] = leaving
        app.query_params.clear()
        app.query_params["tab"] = "runs"
        app.run()
        assert app.text[0].value == shown


PAGES = """
import streamlit as st
from afterglow_monitor import browser_address

browser_address.arrive()
if st.button("Filter"):
    browser_address.write({"tab": "runs", "q": "x"})
if st.button("Open"):
    browser_address.go({"page": "run", "id": "1"})
    st.rerun()
st.text(str(dict(browser_address.address())))
"""


def test_a_link_to_a_list_from_before_its_filter_leads_there_from_another_page() -> None:
    app = AppTest.from_string(PAGES)
    app.query_params["tab"] = "runs"
    app.run()
    listed = app.text[0].value
    app.button[0].click().run()
    app.button[1].click().run()
    assert "'run'" in app.text[0].value
    app.query_params.clear()
    app.query_params["tab"] = "runs"
    app.run()
    assert app.text[0].value == listed


def ask(socket: ClientConnection, query: str, fragment: str = "", tab: tuple[str, str] | None = None) -> None:
    """As the browser does; for a fragment, what a page asks for by itself, with the tab that its widget shows."""
    message = BackMsg()
    message.rerun_script.query_string = query
    message.rerun_script.context_info.timezone = "UTC"
    if fragment:
        message.rerun_script.fragment_id, message.rerun_script.is_auto_rerun = fragment, True
    if tab:
        message.rerun_script.widget_states.widgets.add(id=tab[0], string_value=tab[1])
    socket.send(message.SerializeToString())


def answered(socket: ClientConnection) -> list[ForwardMsg]:
    """Up to the end of a whole page."""
    said = [ForwardMsg()]
    while not (said[-1].HasField("script_finished") and said[-1].script_finished == ForwardMsg.FINISHED_SUCCESSFULLY):
        data = socket.recv(30)
        assert isinstance(data, bytes)
        said.append(ForwardMsg.FromString(data))
    return said


@contextmanager
def listing(sqlite_url: str, tmp_path: Path) -> Iterator[tuple[ClientConnection, list[ForwardMsg]]]:
    """Who looks at a list of runs, and what the browser was told of it."""
    journal = Journal(tmp_path / "journal", "app-1", name="train", start=1_790_000_000_000)
    journal.run_end(journal.run_start(RUN, "the first"))
    with closing(open_store(sqlite_url)) as store:
        ingest_file(store, journal.end(), now=now_ms())
    with running_monitor(sqlite_url, tmp_path) as address:
        stream = f"{address.replace('http', 'ws', 1)}/_stcore/stream"
        with connect(stream, subprotocols=[Subprotocol("streamlit")], max_size=None) as socket:
            ask(socket, "tab=runs&window=all")
            listed = answered(socket)
            assert not is_of_run(listed)
            yield socket, listed


def test_a_list_that_asks_for_itself_on_the_address_of_another_page_becomes_that_page(
    sqlite_url: str, tmp_path: Path
) -> None:
    with listing(sqlite_url, tmp_path) as (socket, listed):
        [fragment] = {each.auto_rerun.fragment_id for each in listed if each.HasField("auto_rerun")}
        ask(socket, f"page=run&id={RUN}", fragment)
        assert is_of_run(answered(socket))


def test_a_list_that_asks_for_itself_once_more_after_a_click_has_left_it_changes_nothing(
    sqlite_url: str, tmp_path: Path
) -> None:
    with listing(sqlite_url, tmp_path) as (socket, listed):
        [fragment] = {each.auto_rerun.fragment_id for each in listed if each.HasField("auto_rerun")}
        blocks = [each.delta.add_block for each in listed]
        [tabs] = {each.tab_container.id for each in blocks if "monitor tab" in each.tab_container.id}
        ask(socket, f"page=run&id={RUN}")
        ask(socket, f"page=run&id={RUN}", fragment, tab=(tabs, "Runs"))  # while the run's page is drawn
        said = answered(socket)
        ask(socket, f"page=run&id={RUN}")
        assert is_of_run(said := said + answered(socket))
        assert not [each for each in said if "tab=runs" in each.page_info_changed.query_string]


def is_of_run(said: list[ForwardMsg]) -> bool:
    return any(each.delta.new_element.heading.body == "the first" for each in said)
