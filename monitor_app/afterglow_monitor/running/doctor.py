"""Whether all that Afterglow needs is here: on a driver's machine, and on the server's. Each finding says what to do.

What is of the driver needs the light part of the package only; what is of the server is left out where that is all.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from uuid import uuid4

from afterglow.collector import BadCollector, Collector, read_collector
from afterglow.settings import read_settings
from afterglow.spark_conf import JAR, LISTENER, SparkConfError, readable_jar, spark_defaults

OK, WARNING, WRONG = "ok", "warning", "wrong"
TRIED_SPARKS = ("3.5", "4.2", "4.3")
ASK_SECONDS = 10.0
JAVA_8 = 52  # the version of class files


@dataclass(frozen=True)
class Finding:
    """`todo`: what to do about it, where something is to be done."""

    what: str
    state: str
    said: str
    todo: str = ""


def examine() -> Iterator[Finding]:
    """One after the other: all of the driver's, then all of the server's."""
    properties = spark_defaults()
    yield java()
    yield spark()
    yield mlflow()
    yield jar()
    yield listener(properties)
    yield journal(properties)
    yield from collector(properties)
    try:
        from afterglow_monitor.running import doctor_server  # noqa: PLC0415 - drivers have not installed what it needs
    except ModuleNotFoundError as exc:
        yield Finding("server", OK, f"its part is not installed here: there is no {exc.name}")
        return
    yield from doctor_server.examine()


def java() -> Finding:
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home, "bin", "java")) if home else shutil.which("java")
    todo = "install a Java that your Spark knows, such as 17, and set JAVA_HOME or put it on the PATH"
    if program is None or not Path(program).exists():
        return Finding("Java", WRONG, f"there is none{f' in JAVA_HOME={home}' if home else ''}", todo)
    done = subprocess.run([program, "-version"], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr)
    if done.returncode != 0 or found is None:
        return Finding("Java", WRONG, f"{program} does not start", todo)
    return Finding("Java", OK, f"{found[1]}, {program}")


def spark() -> Finding:
    found = _spark_version()
    if found is None:
        todo = "set SPARK_HOME, or pip install pyspark, where jobs start"
        return Finding("Spark", WARNING, "there is none here", todo)
    version, where = found
    if not version.startswith(TRIED_SPARKS):
        tried = ", ".join(TRIED_SPARKS)
        return Finding("Spark", WARNING, f"{version}, {where}", f"the listener was tried with {tried}: try a small job")
    return Finding("Spark", OK, f"{version}, {where}")


def _spark_version() -> tuple[str, str] | None:
    home = os.environ.get("SPARK_HOME")
    if home:
        release = Path(home, "RELEASE")
        text = release.read_text(encoding="utf-8") if release.is_file() else ""
        jars = " ".join(each.name for each in Path(home, "jars").glob("spark-core_*"))
        found = re.search(r"Spark (\d[\w.]*)", text) or re.search(r"spark-core_[\d.]+-(\d[\w.]*?)\.jar", jars)
        return (found[1], home) if found else None
    try:
        return metadata.version("pyspark"), "the installed pyspark"
    except metadata.PackageNotFoundError:
        return None


def mlflow() -> Finding:
    for name in ("mlflow", "mlflow-skinny"):
        try:
            return Finding("MLflow", OK, f"{metadata.version(name)} ({name})")
        except metadata.PackageNotFoundError:
            continue
    return Finding("MLflow", WARNING, "it is not installed", "pip install mlflow where jobs log to it")


def jar() -> Finding:
    try:
        path = readable_jar()
        with zipfile.ZipFile(path) as found:
            version = int.from_bytes(found.read(LISTENER.replace(".", "/") + ".class")[6:8], "big")
    except SparkConfError as exc:
        return Finding("jar", WRONG, str(exc), "install Afterglow from its wheel, or run make jar")
    except (OSError, KeyError, zipfile.BadZipFile) as exc:
        return Finding("jar", WRONG, f"{JAR} is damaged: {exc}", "install Afterglow again")
    if version != JAVA_8:
        return Finding("jar", WRONG, f"{JAR} is not for Java 8 and later", "install Afterglow again")
    return Finding("jar", OK, f"{path}, for Java 8 and later, Spark {', '.join(TRIED_SPARKS)}")


def listener(properties: dict[str, str]) -> Finding:
    """That spark-defaults.conf loads it, and its jar is where that says: a listener without its jar stops the job."""
    if LISTENER not in _split(properties.get("spark.extraListeners"), ","):
        todo = "start jobs with $(afterglow spark-conf) or `afterglow submit`, or put what that prints there"
        return Finding("listener", WARNING, "spark-defaults.conf does not load it", todo)
    named = [*_split(properties.get("spark.jars"), ","), *_split(properties.get("spark.driver.extraClassPath"), ":")]
    ours = [each.removeprefix("file://").removeprefix("file:") for each in named if Path(each).name == JAR.name]
    missing = [each for each in ours if not Path(each).is_file()]
    if missing or not ours:
        said = f"{missing[0]} is not there" if missing else "no spark.jars nor spark.driver.extraClassPath has its jar"
        return Finding("listener", WRONG, f"spark-defaults.conf loads it, but {said}",
                       f"jobs do not start so: name {JAR} in both, or take the listener out")  # fmt: skip
    if JAR.is_file() and any(Path(each).read_bytes() != JAR.read_bytes() for each in ours):
        todo = f"put {JAR} there: both are to be of one version"
        return Finding("listener", WARNING, f"spark-defaults.conf loads it from another jar: {', '.join(ours)}", todo)
    return Finding("listener", OK, f"spark-defaults.conf loads it from {ours[0]}")


def _split(said: str | None, separator: str) -> list[str]:
    return [each.strip() for each in (said or "").split(separator) if each.strip()]


def journal(properties: dict[str, str]) -> Finding:
    settings = read_settings(properties.get)
    if not settings.enabled:
        return Finding("journal", WARNING, "Afterglow is switched off here, or a property of it cannot be read",
                       "look at AFTERGLOW_DISABLED, and at the spark.afterglow.… of spark-defaults.conf")  # fmt: skip
    folder = settings.journal_dir
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Finding("journal", WRONG, f"{folder} cannot be written to",
                       "give jobs the right to write there, or set spark.afterglow.journal.dir")  # fmt: skip
    return Finding("journal", OK, str(folder))


def collector(properties: dict[str, str]) -> Iterator[Finding]:
    try:
        found = read_collector(properties.get)
    except BadCollector as exc:
        yield Finding("collector", WRONG, str(exc), "docs/collector.md says how to set it")
        return
    if found is not None:
        yield reachable(found)


def reachable(found: Collector) -> Finding:
    """Asked for a journal that nobody has."""
    request = urllib.request.Request(f"{found.url}/api/v1/journals/{uuid4()}")  # noqa: S310 - http or https, see there
    if found.secret:
        request.add_unredirected_header("Authorization", f"Bearer {found.secret}")
    try:
        with urllib.request.urlopen(request, timeout=ASK_SECONDS) as answer:  # noqa: S310
            ours = "Afterglow-Offset" in answer.headers
    except urllib.error.HTTPError as exc:
        with exc:
            return _refused(found.url, exc.code)
    except OSError as exc:
        said = f"{found.url} does not answer: {getattr(exc, 'reason', '') or exc}"
        return Finding("collector", WRONG, said, "is `afterglow up` running there, and may this machine reach it?")
    if not ours:
        return Finding("collector", WRONG, f"{found.url} is no Afterglow", "name the address of Monitor itself")
    return Finding("collector", OK, f"{found.url} answers and takes the secret")


def _refused(url: str, status: int) -> Finding:
    todo = {
        401: "give this driver one of the server's collector.secrets, in spark.afterglow.collector.secretFile",
        403: "give it a secret or token for journals of this cluster (`afterglow tokens`: scope `ingest`); a server "
        "without collector.secrets takes those of its own machine only",
    }.get(status, "look into the server's log")
    return Finding("collector", WRONG, f"{url} answers {status}", todo)


def worst(findings: list[Finding]) -> str:
    order: Callable[[Finding], int] = lambda each: (OK, WARNING, WRONG).index(each.state)  # noqa: E731
    return max(findings, key=order).state if findings else OK
