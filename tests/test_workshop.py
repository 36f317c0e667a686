"""The tests' own tools: a fixture that lies makes every test that uses it lie."""

import os
import socket
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text


class TestAStoreUrl:
    def test_is_a_fresh_database_for_the_first_test(self, store_url: str) -> None:
        self._holds_nothing_and_takes_a_table(store_url)

    def test_and_for_the_second(self, store_url: str) -> None:
        self._holds_nothing_and_takes_a_table(store_url)

    def _holds_nothing_and_takes_a_table(self, url: str) -> None:
        engine = create_engine(url)
        with engine.begin() as connection:
            assert inspect(connection).get_table_names() == []
            connection.execute(text("CREATE TABLE run (id TEXT)"))
        engine.dispose()

    def test_may_be_left_with_an_open_connection(self, postgres_url: str) -> None:
        engine = create_engine(postgres_url)
        request_connection = engine.connect()
        request_connection.execute(text("SELECT 1"))
        request_connection.detach()


class TestTheEnvironment:
    def test_has_a_home_of_its_own(self, afterglow_home: Path, tmp_path: Path) -> None:
        assert Path("~").expanduser().is_relative_to(tmp_path)
        assert os.environ["AFTERGLOW_HOME"] == str(afterglow_home)
        assert not afterglow_home.exists()

    def test_keeps_a_test_on_this_machine(self) -> None:
        with socket.socket() as client, pytest.raises(PermissionError, match="stay on this machine"):
            client.connect(("192.0.2.1", 80))
