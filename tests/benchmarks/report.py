"""Where all benchmarks keep their figures: a table in docs/benchmarks.md, all samples in docs/benchmarks/NAME.json."""

import json
import os
import platform
import re
from importlib.metadata import version
from typing import Any

from tests.support.parts import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
RAW = ROOT / "docs" / "benchmarks"


def machine() -> str:
    versions = ", ".join(f"{name} {version(package)}" for name, package in (("Spark", "pyspark"), ("MLflow", "mlflow")))
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {versions}"


def kept(name: str) -> Any:
    """What was kept under `name`, None if nothing was."""
    file = RAW / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else None


def keep(name: str, table: str, raw: Any) -> None:
    """Put `table` between the marks of `name` in the page, and `raw` into its file."""
    RAW.mkdir(exist_ok=True)
    (RAW / f"{name}.json").write_text(json.dumps(raw) + "\n")
    put(name, table)


def put(name: str, table: str) -> None:
    page = PAGE.read_text()
    PAGE.write_text(re.sub(rf"(?s)(?<=<!-- {name} -->\n).*(?=\n<!-- /{name} -->)", lambda _: table, page))
