"""The tests' own tools: a fixture that lies makes every test that uses it lie."""

import os
import socket
from pathlib import Path

import pytest
from mlflow import MlflowClient
from playwright.sync_api import Browser, Page
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import OperationalError

from tests.support.browser import Complaints
from tests.support.databases import PostgresCluster
from tests.support.parts import PARTS, require


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

    def test_goes_away_even_while_somebody_is_connected(self, postgres_cluster: PostgresCluster) -> None:
        with postgres_cluster.fresh_database() as url:
            engine = create_engine(url)
            connection = engine.connect()
        with pytest.raises(OperationalError, match="terminating connection"):
            connection.execute(text("SELECT 1"))
        connection.close()
        engine.dispose()


class TestTheEnvironment:
    def test_has_a_home_of_its_own(self, afterglow_home: Path, tmp_path: Path) -> None:
        assert Path("~").expanduser().is_relative_to(tmp_path)
        assert os.environ["AFTERGLOW_HOME"] == str(afterglow_home)
        assert not afterglow_home.exists()

    def test_keeps_a_test_on_this_machine(self) -> None:
        with socket.socket() as client, pytest.raises(PermissionError, match="stay on this machine"):
            client.connect(("192.0.2.1", 80))


class TestAMissingPart:
    def test_skips_by_name_on_a_persons_machine(self, no_such_part: str) -> None:
        os.environ.pop("CI", None)
        with pytest.raises(pytest.skip.Exception, match=r"warp-drive is missing; install .*dilithium"):
            require(no_such_part)

    def test_fails_in_ci(self, no_such_part: str) -> None:
        os.environ["CI"] = "true"
        with pytest.raises(pytest.fail.Exception, match="warp-drive is missing"):
            require(no_such_part)

    @pytest.fixture
    def no_such_part(self, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setitem(PARTS, "warp-drive", (lambda: None, "dilithium"))
        monkeypatch.setenv("CI", "")
        return "warp-drive"


class TestThePage:
    def test_shows_what_a_person_would_see(self, page: Page) -> None:
        page.set_content("<h1>Afterglow</h1><script>document.title = 'Monitor'</script>")
        assert page.get_by_role("heading").inner_text() == "Afterglow"
        assert page.title() == "Monitor"

    @pytest.mark.parametrize(
        ("body", "complaint"),
        [
            ("<script>console.error('no such run')</script>", "console error: no such run"),
            ("<script>throw new Error('no such run')</script>", "page error: no such run"),
            ("<img src='http://192.0.2.1/pixel.png'>", "leaves the machine: http://192.0.2.1/pixel.png"),
        ],
        ids=["console", "page", "elsewhere"],
    )
    def test_complains_about_an_error(self, browser: Browser, body: str, complaint: str) -> None:
        complaints = Complaints()
        page = browser.new_page()
        complaints.watch(page)
        page.set_content(body, wait_until="commit")
        page.evaluate("new Promise(resolve => setTimeout(resolve, 50))")
        page.close()
        assert complaint in complaints.lines[0]


def test_the_mlflow_server_keeps_runs_and_artifacts(mlflow_server: str) -> None:
    client = MlflowClient(mlflow_server)
    run = client.create_run(client.create_experiment("workshop"))
    client.log_text(run.info.run_id, "0.71", "rmse.txt")
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["rmse.txt"]
