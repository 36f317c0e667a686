"""The files that deploy Afterglow: what they name exists, as far as that can be known without running them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from afterglow.spark_conf import JAR, LISTENER
from afterglow_monitor.running import metrics, probes
from tests.support.parts import ROOT

CONF = ROOT / "conf"
DEPLOY = "".join((ROOT / "docs" / f"{page}.md").read_text() for page in ("deploy", "kubernetes", "yarn"))


def test_the_systemd_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is missing; install Debian's package systemd")
    unit = tmp_path / "afterglow.service"
    text = (CONF / "afterglow.service").read_text()
    assert "ExecStart=/opt/afterglow/bin/afterglow up" in text
    unit.write_text(text.replace("/opt/afterglow/bin/afterglow up", "/bin/true"))  # it is not installed here
    environment = {**os.environ, "SYSTEMD_LOG_LEVEL": "warning"}
    done = subprocess.run([program, "verify", unit], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "afterglow.service" in line]) == (0, [])


def test_each_line_of_the_unit_is_a_setting() -> None:
    lines = [line for line in (CONF / "afterglow.service").read_text().splitlines() if line and line[0] not in "#["]
    assert [line for line in lines if not re.match(r"[A-Z][A-Za-z]+=\S", line)] == []


def settings_in_the_code() -> set[str]:
    code = "".join(path.read_text() for part in ("listener", "monitor_app") for path in (ROOT / part).rglob("*.py"))
    return set(re.findall(r'"((?:AFTERGLOW|MLFLOW)_[A-Z_]+)"', code))


def test_the_compose_file_names_what_is_there() -> None:
    said = yaml.safe_load((CONF / "compose.yaml").read_text())
    afterglow = said["services"]["afterglow"]
    known = settings_in_the_code()
    assert {name for name in afterglow["environment"] if name.startswith(("AFTERGLOW_", "MLFLOW_"))} <= known
    assert (CONF / afterglow["build"]["context"] / afterglow["build"]["dockerfile"]).resolve() == CONF / "Containerfile"
    assert set(afterglow["depends_on"]) < set(said["services"])
    mounted = {each.partition(":")[0] for service in said["services"].values() for each in service["volumes"]}
    assert mounted == set(said["volumes"])
    published = [port for service in said["services"].values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)  # without a sign-in nothing is for strangers


def test_the_container_and_the_unit_name_what_is_there() -> None:
    container, unit = ((CONF / name).read_text() for name in ("Containerfile", "afterglow.service"))
    named = set(re.findall(r"\b((?:AFTERGLOW|MLFLOW)_[A-Z_]+)=", container + unit))
    assert named
    assert named <= settings_in_the_code()
    assert probes.HEALTHY in container


def test_the_pages_name_properties_and_files_that_are_there() -> None:
    java = "".join(path.read_text() for path in (ROOT / "listener" / "java").rglob("*.java"))
    named = set(re.findall(r"spark\.afterglow\.[\w.]+\w", DEPLOY))
    assert len(named) > 2
    assert named <= set(re.findall(r'"(spark\.afterglow\.[\w.]+)"', java))
    assert DEPLOY.count(f"spark.extraListeners={LISTENER}") == 2
    assert DEPLOY.count(JAR.name) >= 2
    assert metrics.PATH in DEPLOY
    assert probes.READY in DEPLOY
    for file in re.findall(r"conf/[\w.]+", DEPLOY):
        assert (ROOT / file).exists(), file


def test_the_python_line_of_the_pages_says_where_the_jar_is() -> None:
    line = "from afterglow.spark_conf import JAR; print(JAR)"
    assert DEPLOY.count(line) == 2
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(JAR)
