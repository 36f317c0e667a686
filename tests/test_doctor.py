"""`afterglow doctor`: each part of a machine that is as it should be, and each that is not, with what to do."""

import json
import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from afterglow.collector import Collector
from afterglow.spark_conf import JAR, LISTENER
from afterglow_monitor.clock import now_ms
from afterglow_monitor.running import doctor, doctor_server
from afterglow_monitor.running.doctor import OK, WARNING, WRONG, Finding
from afterglow_monitor.settings import MlflowServer
from afterglow_store import ingest_file, leases, open_store
from tests.support.journals import Journal, run_id_of
from tests.support.monitor import running_monitor
from tests.support.parts import require
from tests.support.tracking import free_port


@pytest.fixture(autouse=True)
def jar() -> None:
    require("jar")


def run_doctor(home: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "afterglow_monitor.cli", "doctor", *arguments],
        env={**os.environ, "AFTERGLOW_HOME": str(home), **environ},
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip


def test_a_machine_where_all_is_well_has_nothing_wrong(tmp_path: Path, mlflow_server: str) -> None:
    require("java")
    (tmp_path / "afterglow.toml").write_text(f"[[mlflow]]\nname = 'team'\nuri = '{mlflow_server}'")
    (tmp_path / "spark-defaults.conf").write_text(
        f"spark.extraListeners {LISTENER}\nspark.jars {JAR}\nspark.afterglow.journal.dir {tmp_path}/journal\n"
    )
    with closing(open_store(f"sqlite:///{tmp_path}/store.db")) as store:
        journal = Journal(tmp_path / "old", "app-1", name="train", start=now_ms() - 60_000)
        journal.run_start(run_id_of("x"), "x")
        ingest_file(store, journal.path, now=now_ms())
        leases.renew(store, {"judge": leases.Note("judge")}, holder="one", host="h", lease_ms=600_000)
    done = run_doctor(tmp_path, "--json", SPARK_CONF_DIR=str(tmp_path))
    found = {each["what"]: each for each in json.loads(done.stdout)}
    assert done.returncode == 0
    assert {what: each["state"] for what, each in found.items() if each["state"] != "ok"} == {}
    expected = "Java Spark MLflow jar listener journal settings store worker tags"
    assert list(found) == [*expected.split(), "tracking server team"]
    assert found["tags"]["said"] == "1 of the newest 1 runs have spark.app.id"


def test_what_is_wrong_is_a_line_with_what_to_do_and_the_exit_code(tmp_path: Path) -> None:
    uri = f"http://me:hush@127.0.0.1:{free_port()}".replace("me:hush@", "")
    (tmp_path / "afterglow.toml").write_text(f"[[mlflow]]\nname = 'team'\nuri = '{uri}'")
    done = run_doctor(tmp_path, JAVA_HOME="/nowhere", SPARK_CONF_DIR=str(tmp_path))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert "wrong    Java: there is none in JAVA_HOME=/nowhere" in lines
    assert lines[lines.index("wrong    Java: there is none in JAVA_HOME=/nowhere") + 1].strip().startswith("install")
    assert any(line.startswith("wrong    tracking server team: ") for line in lines)
    assert any(line.startswith("warning  listener: spark-defaults.conf does not load it") for line in lines)
    assert any(line.startswith("warning  store: ") and "has schema none" in line for line in lines)
    assert "Traceback" not in done.stderr


def test_a_listener_without_its_jar_is_wrong_since_jobs_would_not_start(tmp_path: Path) -> None:
    other = tmp_path / JAR.name
    loads = {"spark.extraListeners": f"org.example.Mine,{LISTENER}"}
    assert doctor.listener(loads).state == WRONG
    assert "is not there" in doctor.listener(loads | {"spark.jars": f"/a.jar,{other}"}).said
    other.write_bytes(b"another version")
    assert doctor.listener(loads | {"spark.jars": str(other)}).state == WARNING
    assert doctor.listener(loads | {"spark.driver.extraClassPath": f"/a.jar:{JAR}"}).state == OK


def test_a_jar_that_is_damaged_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.jar").write_bytes(b"no jar")
    monkeypatch.setattr(doctor, "readable_jar", lambda: str(tmp_path / "x.jar"))
    assert (doctor.jar().state, "is damaged" in doctor.jar().said) == (WRONG, True)


def test_a_spark_of_which_nothing_is_known_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.spark() == Finding("Spark", OK, "4.2.0, the installed pyspark")
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    assert doctor.spark().said == "there is none here"
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "spark-core_2.13-3.5.9.jar").touch()
    assert doctor.spark() == Finding("Spark", OK, f"3.5.9, {tmp_path}")
    (tmp_path / "RELEASE").write_text("Spark 2.4.8 built for Hadoop")
    assert (doctor.spark().state, doctor.spark().said) == (WARNING, f"2.4.8, {tmp_path}")


def test_a_journal_folder_that_is_a_file_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert doctor.journal({"spark.afterglow.journal.dir": f"{tmp_path}/new/deep"}).state == OK
    assert doctor.journal({"spark.afterglow.journal.dir": f"{tmp_path}/file/x"}).state == WRONG
    assert doctor.journal({"spark.afterglow.journal.dir": "s3://bucket/x"}).state == WARNING


def test_a_collector_is_reachable_and_takes_the_secret_or_it_is_said_why_not(
    sqlite_url: str, tmp_path: Path, afterglow_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    afterglow_home.mkdir()
    (afterglow_home / "afterglow.toml").write_text("[collector]\nsecrets = ['env:DRIVERS']")
    monkeypatch.setenv("DRIVERS", "the-secret-of-drivers")
    open_store(sqlite_url).close()
    with running_monitor(sqlite_url, tmp_path) as address:
        assert doctor.reachable(Collector(address, "the-secret-of-drivers")).state == OK
        refused = doctor.reachable(Collector(address, "another-secret-of-drivers"))
    assert (refused.state, "answers 401" in refused.said) == (WRONG, True)
    assert "secret-of" not in refused.said + refused.todo
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    assert "does not answer" in doctor.reachable(Collector(f"http://127.0.0.1:{port}")).said
    [finding] = doctor.collector({"spark.afterglow.collector.url": "ftp://me:hush@h"})
    assert (finding.state, "hush" in finding.said) == (WRONG, False)


def test_runs_without_their_tag_are_a_warning(sqlite_url: str, tmp_path: Path) -> None:
    with closing(open_store(sqlite_url)) as store:
        assert doctor_server.tags(store) == Finding("tags", OK, "no run started within 7 days")
        journal = Journal(tmp_path, "app-1", name="train", start=now_ms() - 60_000)
        run = journal.run_start(run_id_of("x"), "x")
        journal.run_end(run, tags={})
        ingest_file(store, journal.path, now=now_ms())
        assert doctor_server.tags(store).state == WARNING


def test_a_tracking_server_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        finding = doctor_server.tracking_server(MlflowServer(name="hung", uri=uri))
    assert finding.state == WRONG


def test_on_a_driver_without_the_servers_part_the_drivers_part_is_examined(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "class Gone:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.split('.')[0] in ('pydantic', 'sqlalchemy', 'afterglow_store'):\n"
        "            raise ModuleNotFoundError(f'No module named {name}', name=name)\n"
        "sys.meta_path.insert(0, Gone())\n"
        "from afterglow_monitor.cli import main\n"
        "sys.argv = ['afterglow', 'doctor']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert "ok       jar: " in done.stdout
    assert done.stdout.splitlines()[-1].startswith("ok       server: its part is not installed here")
