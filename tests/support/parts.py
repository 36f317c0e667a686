"""The parts of a machine that some tests need, and what a test does when one is missing.

Locally its tests are skipped, naming the part; under CI=true they fail, because a skipped test is no evidence.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from ctypes.util import find_library
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
JAR = ROOT / "listener" / "afterglow" / "jars" / "afterglow-listener.jar"


def _postgresql() -> Path | None:
    """Debian keeps the server's programs off the PATH; the newest version wins."""
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(versions, key=lambda path: int(path.parts[-3]), default=None)
    if newest:
        return newest.parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _program(*names: str) -> Path | None:
    found = next(filter(None, map(shutil.which, names)), None)
    return Path(found) if found else None


def _faketime() -> Path | None:
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


def _library(name: str) -> Path | None:
    found = find_library(name)
    return Path(found) if found else None


def _java() -> Path | None:
    home = os.environ.get("JAVA_HOME")
    java = Path(home, "bin", "java") if home else None
    return java if java and java.exists() else _program("java")


def _jar() -> Path | None:
    """Only the jar of today's sources counts: an old one would test yesterday's listener."""
    check = subprocess.run(
        [sys.executable, ROOT / "listener" / "build_jar.py", "--check"], capture_output=True, check=False
    )
    return JAR if check.returncode == 0 and JAR.exists() else None


def _uv() -> Path | None:
    private = ROOT / ".tools" / "uv" / "bin" / "uv"
    return private if private.exists() else _program("uv")


PARTS: dict[str, tuple[Callable[[], Path | None], str]] = {
    "postgresql": (_postgresql, "Debian's package postgresql"),
    "chromium": (
        lambda: _program("chromium", "google-chrome"),
        "Debian's package chromium",
    ),
    "libatomic": (lambda: _library("atomic"), "Debian's package libatomic1, which Playwright needs"),
    "java": (_java, "a JRE 17 or newer, such as Debian's package default-jre-headless"),
    "javac": (lambda: _program("javac"), "a JDK 17 or newer, such as Debian's package default-jdk-headless"),
    "jar": (_jar, "the listener's jar of these sources: make jar"),
    "faketime": (_faketime, "Debian's package libfaketime"),
    "uv": (_uv, "uv: make .tools/uv"),
}


@cache
def find(part: str) -> Path | None:
    """Where `part` is on this machine: a program, the jar, or PostgreSQL's folder of programs."""
    return PARTS[part][0]()


def require(part: str) -> Path:
    """The path of `part`; without it the calling test is skipped, or fails under CI=true."""
    path = find(part)
    if path is None:
        missing = f"{part} is missing; install {PARTS[part][1]}"
        if os.environ.get("CI") == "true":
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    return path
