"""A real Jupyter server, with JupyterLab and Notebook 7 on it, and notebooks that are executed headless."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import nbformat

from tests.support.tracking import free_port

STARTUP_SECONDS = 120.0
TOKEN = "for-the-tests-of-this-machine"


def write_notebook(file: Path, cells: Sequence[str]) -> Path:
    """A notebook with these cells of code, whose ids are cell-1, cell-2, …"""
    book = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for number, source in enumerate(cells, start=1):
        book.cells.append(nbformat.v4.new_code_cell(source, id=f"cell-{number}"))  # type: ignore[no-untyped-call]
    nbformat.write(book, file)  # type: ignore[no-untyped-call]
    return file


@contextmanager
def running_jupyter(folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """JupyterLab on the notebooks of `folder`; gives its address, with whose `?token=` one is in."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [
        *(
            sys.executable,
            "-m",
            "jupyterlab",
            "--no-browser",
            "--allow-root",
            f"--port={port}",
            "--ServerApp.ip=127.0.0.1",
        ),
        *(f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={folder}"),
    ]
    # Its settings, its trust of notebooks and its running servers are in a home of its own.
    home = folder / ".home"
    places = {name: str(home / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    extra = {**os.environ, "HOME": str(home), "IPYTHONDIR": str(home / "ipython"), **places, **environment}
    _configure(Path(places["JUPYTER_CONFIG_DIR"]))
    log = folder / "jupyter.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd=folder, env=extra, stdout=output, stderr=output) as server,
    ):
        try:
            _await(address, server, log)
            yield address
        finally:
            server.terminate()  # and it ends its kernels
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


def _configure(folder: Path) -> None:
    """Without what JupyterLab would ask the internet for: its news, newer versions of it, and extensions."""
    settings = {"LabApp": {"news_url": None, "check_for_updates_class": "jupyterlab.NeverCheckForUpdate"}}
    settings["LabApp"]["extension_manager"] = "readonly"
    (folder / "labconfig").mkdir(parents=True)
    (folder / "jupyter_server_config.json").write_text(json.dumps(settings))
    disabled = {"@jupyterlab/apputils-extension:announcements": True}
    (folder / "labconfig" / "page_config.json").write_text(json.dumps({"disabledExtensions": disabled}))


def _await(address: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{address}/api?token={TOKEN}", timeout=5):
                return
        except OSError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Jupyter did not start: {log.read_text()}") from error
            time.sleep(0.1)
