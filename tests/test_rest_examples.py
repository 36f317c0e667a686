"""Each route of the API has an example in its page, and each of these runs as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import requests

from afterglow import sources
from afterglow_monitor.rest.declared import Operation
from afterglow_monitor.rest.elsewhere import ELSEWHERE
from afterglow_monitor.rest.operations import OPERATIONS
from tests.support import world
from tests.support.api import Served, curl_examples
from tests.support.journals import Journal

OF_A_FILE = "get_run_file"  # which takes an MLflow that has one: browser/test_files.py


def test_each_route_has_an_example() -> None:
    examples = curl_examples()
    for operation in (*OPERATIONS, *ELSEWHERE):
        assert [each for each in examples if is_of(operation, each)], f"docs/rest.md: no example of {operation.path}"


@pytest.mark.parametrize("example", curl_examples(), ids=str)
def test_an_example_runs(example: str, served: Served, tmp_path: Path) -> None:
    [operation] = [each for each in (*OPERATIONS, *ELSEWHERE) if is_of(each, example)]
    if operation.name == OF_A_FILE:
        return
    done = run(example, served, tmp_path)
    assert done.returncode == 0, done.stderr
    said = (tmp_path / "runs.csv").read_text() if "runs.csv" in example else done.stdout
    assert len(said) > 10


def is_of(operation: Operation, example: str) -> bool:
    """Whether this route is asked, and not one below it."""
    path = re.sub(r"\{\w+\}", r"\\$[A-Z_]+", operation.path.replace("{path}", ".+"))
    puts = " -T " in example
    return puts == (operation.method == "put") and bool(re.search(rf'/api/v1{path}["?]', example))


def run(example: str, served: Served, folder: Path) -> subprocess.CompletedProcess[str]:
    found = requests.get(f"{served.address}/api/v1/snapshots?max_results=1", timeout=60).json()["snapshots"]
    journal = Journal(folder, "app-of-curl", name="x", start=1_790_000_000_000).end()
    environment = {
        **os.environ, sources.ADDRESS: served.address, "APP_ID": world.CV_APP, "RUN_ID": world.CV_PARENT,
        "EXPERIMENT_ID": "3", "SNAPSHOT_ID": str(found[0]["id"]), "JOURNAL": journal.stem,
    }  # fmt: skip
    script = "set -euo pipefail\n" + example.replace("curl ", "curl -sS --fail ")
    script = script.replace("jq -r .next_page_token", "cat")  # jq is on no list of what a machine must have
    return subprocess.run(
        ["bash", "-c", script], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
