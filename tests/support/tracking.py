"""A real MLflow tracking server over HTTP, one for the test session."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mlflow import MlflowClient

STARTUP_SECONDS = 120.0  # about 5 on an idle machine; migrations of a new database are the most of it


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_mlflow(folder: Path, *options: str) -> Iterator[str]:
    """An MLflow server that keeps everything under `folder`; gives its URI."""
    uri = f"http://127.0.0.1:{(port := free_port())}"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
        *("--artifacts-destination", str(folder / "artifacts"), *options),
    ]
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd=folder, stdout=output, stderr=output) as server,
    ):
        try:
            _await(uri, server, log)
            yield uri
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()


def _await(uri: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{uri}/health", timeout=5):
                return
        except OSError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the MLflow server did not start: {log.read_text()}") from error
            time.sleep(0.1)


@pytest.fixture(scope="session")
def mlflow_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the session's tracking server keeps its database, mlflow.db."""
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture(scope="session")
def mlflow_server(mlflow_folder: Path) -> Iterator[str]:
    """The URI of a tracking server that the whole session shares: a test makes its own experiments."""
    with running_mlflow(mlflow_folder) as uri:
        yield uri


@pytest.fixture
def client(mlflow_server: str) -> "MlflowClient":
    from mlflow import MlflowClient  # noqa: PLC0415 - takes seconds, which most tests do without

    return MlflowClient(tracking_uri=mlflow_server, registry_uri=mlflow_server)
