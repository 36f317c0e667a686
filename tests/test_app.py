"""The web application before any page: its configuration, and what it may not do."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.support.parts import ROOT

ASK = """
import json
from afterglow_monitor.app import app
from streamlit import config, net_util
names = ["server.address", "browser.gatherUsageStats", "client.toolbarMode", "theme.baseFontSize"]
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
        "client.toolbarMode": "minimal",
        "theme.baseFontSize": 14,
        "external": None,  # Streamlit would ask the internet
    }


def test_the_file_that_streamlit_finds_beside_the_app_is_the_one_in_conf() -> None:
    found = ROOT / "monitor_app" / "afterglow_monitor" / ".streamlit" / "config.toml"
    assert found.samefile(ROOT / "conf" / "streamlit.toml")
    assert tomllib.loads(found.read_text())["server"]["address"] == "127.0.0.1"
