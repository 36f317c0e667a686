"""A store with a bit of everything, and the server's own process on it: made once a session, and only read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from afterglow_monitor.clock import now_ms
from afterglow_monitor.rest.schemas import SCHEMAS
from afterglow_store import open_store
from tests.support import world
from tests.support.databases import PostgresCluster
from tests.support.monitor import running_monitor
from tests.support.parts import ROOT


@dataclass(frozen=True)
class Served:
    """The same runs, by the address of a server and by the URL of its store."""

    address: str
    store_url: str


@pytest.fixture(scope="session")
def filled_sqlite(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _fill(f"sqlite:///{tmp_path_factory.mktemp('filled') / 'store.db'}", tmp_path_factory.mktemp("journals"))


@pytest.fixture(scope="session")
def filled_postgres(postgres_cluster: PostgresCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres_cluster.fresh_database() as url:
        yield _fill(url, tmp_path_factory.mktemp("journals"))


def _fill(url: str, journals: Path) -> str:
    with closing(open_store(url)) as store:
        world.fill(store, journals, now=now_ms())
    return url


@pytest.fixture(scope="session")
def served(filled_sqlite: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with running_monitor(filled_sqlite, tmp_path_factory.mktemp("server")) as address:
        yield Served(address, filled_sqlite)


@pytest.fixture(scope="session")
def served_by_postgres(filled_postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with running_monitor(filled_postgres, tmp_path_factory.mktemp("server")) as address:
        yield Served(address, filled_postgres)


def fields_that_differ(schema: dict[str, Any], value: Any, where: str = "") -> list[str]:
    """Where a value has other fields than its schema says, though a schema would let more of them pass."""
    if "$ref" in schema:
        return fields_that_differ(SCHEMAS[schema["$ref"].rpartition("/")[2]], value, where)
    found: list[str] = []
    if isinstance(value, list):
        for each in value:
            found += fields_that_differ(schema.get("items", {}), each, f"{where}[]")
    if isinstance(value, dict) and "properties" in schema:
        known = schema["properties"]
        extra = set() if schema.get("additionalProperties") else value.keys() - known.keys()
        found += [f"{where}.{name}" for name in (known.keys() - value.keys()) | extra]
        for name in known.keys() & value.keys():
            found += fields_that_differ(known[name], value[name], f"{where}.{name}")
    return found


def curl_examples() -> list[str]:
    """The commands with curl that the README and the page about the API show, each with its other lines."""
    pages = (ROOT / "README.md").read_text() + (ROOT / "docs" / "rest.md").read_text()
    return re.findall(r"^curl (?:.*\\\n)*.*$", pages, re.MULTILINE)
