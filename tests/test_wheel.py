"""The built wheel, the way a user gets it: everything in it, and working with nothing else installed."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.parts import ROOT, require

SOURCES = ["conf", "listener", "monitor_app", "store", "hatch_build.py", "pyproject.toml", "README.md", "LICENSE"]


def build(root: Path, into: Path) -> "subprocess.CompletedProcess[str]":
    """With the hatchling of this environment: an isolated build would fetch it again, and build the same."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("jar")
    folder = tmp_path_factory.mktemp("dist")
    built = build(ROOT, folder)
    assert built.returncode == 0, built.stderr
    return next(folder.glob("*.whl"))


def install(environment: Path, *arguments: str) -> Path:
    """The folder of programs of a new environment that has what `arguments` ask for and nothing else."""
    uv, python = str(require("uv")), str(environment / "bin" / "python")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(environment)], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *arguments], check=True)
    return environment / "bin"


@pytest.fixture(scope="module")
def alone(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("alone"), "--no-deps", str(wheel))


@pytest.fixture(scope="module")
def on_a_driver(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("driver"), str(wheel))


def run(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


class TestTheWheel:
    @pytest.mark.parametrize(
        ("folder", "package"),
        [
            ("listener/afterglow", "afterglow"),
            ("store/afterglow_store", "afterglow_store"),
            ("monitor_app/afterglow_monitor", "afterglow_monitor"),
            ("conf", "afterglow_monitor/conf"),
        ],
    )
    def test_has_every_file_of(self, wheel: Path, folder: str, package: str) -> None:
        """The jar, the pages, the migrations, the settings, py.typed: nothing that is here is left out."""
        files = (path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*") if path.is_file())
        expected = {f"{package}/{path.as_posix()}" for path in files if path.suffix != ".pyc"}
        assert expected - set(zipfile.ZipFile(wheel).namelist()) == set()

    def test_has_the_jar(self, wheel: Path) -> None:
        assert "afterglow/jars/afterglow-listener.jar" in zipfile.ZipFile(wheel).namelist()

    def test_has_no_tests_and_no_java_sources(self, wheel: Path) -> None:
        names = zipfile.ZipFile(wheel).namelist()
        assert [name for name in names if name.startswith("tests/") or name.endswith((".java", ".class"))] == []


class TestInstalledAlone:
    def test_imports_without_a_warning(self, alone: Path) -> None:
        imported = run(alone / "python", "-W", "error", "-c", "import afterglow; afterglow.autolog()")
        assert (imported.returncode, imported.stderr) == (0, "")

    def test_carries_the_jar_that_was_compiled_here(self, alone: Path) -> None:
        (jar,) = alone.parent.glob("lib/python*/site-packages/afterglow/jars/afterglow-listener.jar")
        assert jar.read_bytes() == require("jar").read_bytes()


class TestInstalledOnADriver:
    """There is no Monitor there: of the command line a driver gets what it can use, and help with the rest."""

    def test_spark_conf_names_the_jar_of_the_wheel(self, on_a_driver: Path) -> None:
        shown = run(on_a_driver / "afterglow", "spark-conf")
        assert (shown.returncode, shown.stderr) == (0, "")
        assert f"spark.jars={on_a_driver.parent.resolve()}" in shown.stdout

    def test_ship_needs_nothing_more(self, on_a_driver: Path, tmp_path: Path) -> None:
        shown = run(on_a_driver / "afterglow", "ship", str(tmp_path), "--collector", "http://127.0.0.1:1")
        assert (shown.returncode, shown.stderr, shown.stdout) == (0, "", "0 journals sent (0 bytes)\n")

    def test_help_reads_well(self, on_a_driver: Path) -> None:
        shown = run(on_a_driver / "afterglow", "--help")
        assert (shown.returncode, shown.stderr) == (0, "")
        assert "spark-conf" in shown.stdout


class TestABuildWithoutTheJar:
    @pytest.fixture
    def copy(self, tmp_path: Path) -> Path:
        for name in SOURCES:
            source, target = ROOT / name, tmp_path / "copy" / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy(source, target)
        return tmp_path / "copy"

    def test_fails_with_one_sentence_when_there_is_none(self, copy: Path) -> None:
        shutil.rmtree(copy / "listener" / "afterglow" / "jars", ignore_errors=True)
        self._fails_with_one_sentence(copy)

    def test_fails_with_one_sentence_when_the_sources_are_newer(self, copy: Path) -> None:
        require("jar")
        source = next((copy / "listener" / "java").rglob("*.java"))
        source.write_text(source.read_text() + "// changed\n")
        self._fails_with_one_sentence(copy)

    def _fails_with_one_sentence(self, copy: Path) -> None:
        built = build(copy, copy / "dist")
        assert built.returncode != 0
        assert built.stderr.strip() == (
            "The listener's jar is missing or older than its sources: run `make jar`, then build again."
        )
        assert not list(copy.glob("dist/*.whl"))
