"""No test reads or writes what belongs to the person who runs it, and none leaves the machine."""

import ipaddress
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.shared_classes import kept

# Where a package was fetched once it need not be fetched again, whatever HOME a test has.
REAL_UV_CACHE = os.environ.get("UV_CACHE_DIR") or str(
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv"
)

SETTINGS = {
    "UV_CACHE_DIR": REAL_UV_CACHE,
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else each test server starts seven more processes
    "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
    "STREAMLIT_SERVER_ADDRESS": "127.0.0.1",  # without it Streamlit asks the internet for its own address
    "SPARK_LOCAL_IP": "127.0.0.1",
    "PYSPARK_PYTHON": sys.executable,
    "PYSPARK_DRIVER_PYTHON": sys.executable,
    "TZ": "UTC",
}
REMOVED_PREFIXES = ("AFTERGLOW_", "MLFLOW_", "SPARK_", "PYSPARK_", "STREAMLIT_", "DATABRICKS_")


def _local(address: object) -> bool:
    host = address[0] if isinstance(address, tuple) else None
    if not isinstance(host, str) or host in {"", "localhost"}:
        return True  # a Unix socket, or an address that a name gave
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return False


def refuse_the_network(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect" and not _local(arguments[1]):
        raise PermissionError(f"a test tried to reach {arguments[1]}: tests stay on this machine")


@pytest.fixture(scope="session", autouse=True)
def _clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """For session fixtures and their processes; undone at the end."""
    sys.addaudithook(refuse_the_network)
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(REMOVED_PREFIXES):
                patch.delenv(name)
        for name, value in (SETTINGS | kept()).items():
            patch.setenv(name, value)
        home = tmp_path_factory.mktemp("home")
        patch.setenv("HOME", str(home))
        patch.setenv("AFTERGLOW_HOME", str(home / ".afterglow"))
        yield


@pytest.fixture(autouse=True)
def afterglow_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh AFTERGLOW_HOME and HOME for each test; not made yet, as on a new machine."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AFTERGLOW_HOME", str(home / ".afterglow"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)  # mlflow.set_experiment leaves it to all after it
    return home / ".afterglow"
