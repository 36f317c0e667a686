"""Compiles the Spark listener into `listener/afterglow/jars/afterglow-listener.jar`. `make jar` calls it.

The jar is made from the pyspark of the running Python and the JDK that is found; the same sources and JDK give
the same bytes. Its manifest holds a hash of the sources, so that a wheel is never built with an old jar:
`python listener/build_jar.py --check` says whether it would be.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

SOURCES = Path(__file__).parent / "java"
JAR = Path(__file__).parent / "afterglow" / "jars" / "afterglow-listener.jar"

# Java 8, since a Spark 3.5 driver may be one. `options` would complain of its age, `classfile` of Scala's classes.
JAVAC_OPTIONS = ["--release", "8", "-encoding", "UTF-8", "-Xlint:all,-options,-classfile,-path", "-Werror", "-g"]

_HASH_KEY = "Sources-SHA256"
_MANIFEST = "META-INF/MANIFEST.MF"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the first date that a zip file can hold


def main(arguments: list[str]) -> int:
    """Build, or only check; 0 when the jar is there and current."""
    if jar_is_current():
        return 0
    if "--check" in arguments:
        return _fail(f"{JAR} is {'older than its sources' if JAR.exists() else 'missing'}; run: make jar")
    javac, spark_jars = find_javac(), find_spark_jars()
    if javac is None:
        return _fail("no Java compiler was found; install one: apt-get install openjdk-17-jdk-headless")
    if spark_jars is None:
        return _fail(f"{sys.executable} has no pyspark to compile against; run: make jar")
    with tempfile.TemporaryDirectory() as classes:
        compiled = subprocess.run(_command(javac, spark_jars, Path(classes)), check=False)  # noqa: S603 - no input
        if compiled.returncode != 0:
            return _fail("the listener does not compile; javac says above why")
        write_jar(Path(classes))
    return 0


def jar_is_current() -> bool:
    """Whether the jar is there and was made from the sources as they are now."""
    if not JAR.exists():
        return False
    with zipfile.ZipFile(JAR) as jar:
        return f"{_HASH_KEY}: {sources_hash()}" in jar.read(_MANIFEST).decode().splitlines()


def sources_hash() -> str:
    """SHA-256 over names and contents of the Java sources and the options they are compiled with, shortened to
    fit a line of a manifest."""
    digest = hashlib.sha256(" ".join(JAVAC_OPTIONS).encode())
    for source in java_sources():
        digest.update(f"\n{source.relative_to(SOURCES).as_posix()}\n".encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:48]


def java_sources() -> list[Path]:
    """All Java files, in a fixed order."""
    return sorted(SOURCES.rglob("*.java"))


def find_javac() -> str | None:
    """JAVA_HOME's compiler, else the first on PATH, else the newest under /usr/lib/jvm."""
    home = os.environ.get("JAVA_HOME")
    installed = sorted(Path("/usr/lib/jvm").glob("*/bin/javac"))
    candidates = [Path(home) / "bin" / "javac"] if home else []
    on_path = shutil.which("javac")
    candidates += [Path(on_path)] if on_path else []
    return next((str(javac) for javac in [*candidates, *installed] if javac.is_file()), None)


def find_spark_jars() -> Path | None:
    """The folder of jars in the running environment's pyspark."""
    spec = importlib.util.find_spec("pyspark")
    jars = Path(spec.origin).parent / "jars" if spec and spec.origin else None
    return jars if jars and jars.is_dir() else None


def write_jar(classes: Path) -> None:
    """Pack the classes, with fixed order and times; the jar appears whole or not at all."""
    JAR.parent.mkdir(parents=True, exist_ok=True)
    unfinished = JAR.with_suffix(f".{os.getpid()}.tmp")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as jar:
        _add(jar, _MANIFEST, f"Manifest-Version: 1.0\n{_HASH_KEY}: {sources_hash()}\n\n".encode())
        for path in sorted(classes.rglob("*.class")):
            _add(jar, path.relative_to(classes).as_posix(), path.read_bytes())
    unfinished.replace(JAR)


def _add(jar: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _LONG_AGO)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    jar.writestr(entry, content)


def _command(javac: str, spark_jars: Path, classes: Path) -> list[str]:
    sources = [str(source) for source in java_sources()]
    return [javac, *JAVAC_OPTIONS, "-cp", f"{spark_jars}/*", "-d", str(classes), *sources]


def _fail(sentence: str) -> int:
    print(sentence, file=sys.stderr)  # noqa: T201 - a command that speaks to whoever typed it
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
