"""`afterglow ship`, as somebody runs it on a driver's host."""

import subprocess
import sys
from pathlib import Path


def ship_folder(
    folder: Path, url: str | None = None, *arguments: str, environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    to = ["--collector", url] if url else []
    command = [sys.executable, "-m", "afterglow_monitor.cli", "ship", str(folder), *to, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
