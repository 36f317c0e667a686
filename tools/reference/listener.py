"""The Spark properties of the driver's side: what conf/spark-defaults.conf says of each."""

from __future__ import annotations

import re
from pathlib import Path

from reference.markdown import code, page, prose

FILE = Path(__file__).parents[2] / "conf" / "spark-defaults.conf"


def listener() -> str:
    about, *blocks = FILE.read_text(encoding="utf-8").strip().split("\n\n")
    return page("Spark properties", prose(_comment(about)), *(_definition(block) for block in blocks))


def _definition(block: str) -> str:
    """The properties of a block, which its comment is about."""
    properties = re.findall(r"^(# )?(spark\.[\w.]+) +(\S+)$", block, re.MULTILINE)
    terms = [
        f"{code(name)} · {'not set; such as ' if comment else ''}{code(value)}" for comment, name, value in properties
    ]
    return "\n".join(terms) + f"\n:   {prose(_comment(block))}"


def _comment(block: str) -> str:
    return " ".join(re.findall(r"^# (?!spark\.)(.*)$", block, re.MULTILINE))
