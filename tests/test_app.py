"""The web application before any page: its configuration, and what it may not do."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from afterglow.collector import Collector, NotSent
from afterglow_monitor.clock import now_ms
from afterglow_monitor.collecting.journals import ReceivedTail
from afterglow_store import Query, open_store, search_applications
from tests.support.journals import Journal
from tests.support.monitor import running_monitor
from tests.support.parts import ROOT

ASK = """
import json
from afterglow_monitor.app import app
from streamlit import config, net_util
names = ["server.address", "browser.gatherUsageStats", "runner.postScriptGC", "theme.baseFontSize"]
print(json.dumps({name: config.get_option(name) for name in names} | {"external": net_util.get_external_ip()}))
"""


def test_its_configuration_holds_wherever_it_is_started(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIT_")}
    said = subprocess.run(
        [sys.executable, "-c", ASK], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(said.stdout) == {
        "server.address": "127.0.0.1",
        "browser.gatherUsageStats": False,
        "theme.baseFontSize": 14,
        "runner.postScriptGC": False,
        "external": None,  # Streamlit would ask the internet
    }


def test_the_file_that_streamlit_finds_beside_the_app_is_the_one_in_conf() -> None:
    found = ROOT / "monitor_app" / "afterglow_monitor" / ".streamlit" / "config.toml"
    assert found.samefile(ROOT / "conf" / "streamlit.toml")
    assert tomllib.loads(found.read_text())["server"]["address"] == "127.0.0.1"


def test_it_takes_journals_on_the_port_of_its_pages(sqlite_url: str, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", "app-1", name="train", start=1_790_000_000_000).job().end()
    store = open_store(sqlite_url)
    with running_monitor(sqlite_url, tmp_path) as address:
        data = journal.read_bytes()
        assert Collector(address).put(journal.stem, 0, data[:900]) == 900
        assert Collector(address).put(journal.stem, 0, data[:900]) == 900
        assert Collector(address).put(journal.stem, 900, data[900:]) == len(data)
        with pytest.raises(NotSent, match="400"):
            Collector(address).put("..%2f..%2fstore.db", 0, data)
        too_long = os.urandom(9 << 20)
        with pytest.raises(NotSent):
            Collector(address).put(journal.stem, len(data), too_long)
        assert Collector(address).put(journal.stem, len(data), b"\n") == len(data) + 1
    ReceivedTail(store).poll(now_ms())
    with store.read() as conn:
        assert search_applications(conn, Query()).rows[0]["jobs"] == 1
    store.close()
