"""Clues: what a run without a link and an application say for and against each other, one kind at a time.

What is not known says nothing. MLflow itself records a run's user (the login name of the process), its main file and
its time, and no host: that is known only where a team sets a tag for it, as with MLFLOW_RUN_CONTEXT.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

HOST_TAGS = ("spark.driver.host", "host.name", "hostname", "host_name", "host", "driver_host")
_OWN_HOST = re.compile(r"localhost(\.|$)|127\.|0\.0\.0\.0$|::1?$")  # every machine's
_SERVICE = re.compile(r"\.svc(\.|$)")  # Kubernetes' name for the driver's service, not for its machine

# Login names that many people and machines share: containers', clusters', schedulers'.
SHARED_USERS = frozenset(
    {
        *("root", "admin", "administrator", "nobody", "default", "user", "app"),
        *("ubuntu", "debian", "centos", "ec2-user", "jovyan"),
        *("spark", "hadoop", "hdfs", "yarn", "livy", "airflow", "jenkins", "mlflow"),
    }
)
UNKNOWN_USERS = frozenset({"", "unknown"})  # MLflow's own word where the system names nobody

# Main files of a notebook's kernel, and of `python -m`: the same whatever runs in them.
KERNELS = frozenset({"ipykernel_launcher.py", "colab_kernel_launcher.py"})
_ANY_MODULE = "__main__.py"
_FILES = ("spark.yarn.dist.files", "spark.files", "spark.submit.pyFiles")  # on a cluster the main file is among them
_MOSTLY = 0.8  # of an application's time


@dataclass(frozen=True)
class Clue:
    """What speaks for it in words, and how much that weighs; `against`: that rules it out."""

    words: str = ""
    weight: int = 0
    against: bool = False


NOTHING, AGAINST = Clue(), Clue(against=True)


def users_of(row: Mapping[str, Any]) -> set[str]:
    """The names in lower case that the run's user goes by: `Anna@example.com` is anna to Spark."""
    name = (row["user_name"] or "").strip().lower()
    return {name, name.partition("@")[0]} - UNKNOWN_USERS


def is_shared(user: str | None) -> bool:
    return (user or "").strip().lower() in SHARED_USERS


def host(row: Mapping[str, Any], app: Any) -> Clue:
    tags = row["tags"] or {}
    said = next((tags[tag] for tag in HOST_TAGS if _names_machine(tags.get(tag))), None)
    if said is None or not _names_machine(app.driver_host):
        return NOTHING
    mine, its = said.strip().lower(), app.driver_host.strip().lower()
    if _is_address(mine) != _is_address(its):
        return NOTHING  # an address and a name: nothing here knows whether they are the same machine's
    return Clue(f"same host {said}", 2) if _same_machine(mine, its) else AGAINST


def _names_machine(name: str | None) -> bool:
    text = (name or "").strip().lower()
    return bool(text) and not _OWN_HOST.match(text) and not _SERVICE.search(text)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _same_machine(one: str, other: str) -> bool:
    """Also where one of them is given without its domain."""
    if one == other:
        return True
    short = not _is_address(one) and ("." not in one or "." not in other)
    return short and one.partition(".")[0] == other.partition(".")[0]


def script(row: Mapping[str, Any], app: Any, properties: Mapping[str, str]) -> Clue:
    """The run's main file, against what the application was submitted with or named after.

    Without a name of its own an application is called like its main file.
    """
    main, name = _main_file(row["source_name"]), app.name or ""
    if main is None:
        return NOTHING
    if name.endswith(".py"):
        return Clue(f"its script {main} is what the application was submitted with", 3) if name == main else AGAINST
    if main in KERNELS:
        return NOTHING
    if any(main in _file_names(properties.get(key)) for key in _FILES):
        return Clue(f"its script {main} is what the application was submitted with", 3)
    if _letters(main.rpartition(".")[0]) == _letters(name):
        return Clue(f"its script {main} is named like the application", 3)
    return NOTHING


def _main_file(source: str | None) -> str | None:
    """The file without its folders, where it is one that says something."""
    name = re.split(r"[/\\]", source or "")[-1]
    return name if name.endswith((".py", ".ipynb")) and name != _ANY_MODULE else None


def _file_names(files: str | None) -> set[str]:
    return {each.partition("#")[0].rpartition("/")[2] for each in (files or "").split(",")}


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())


def time(row: Mapping[str, Any], app: Any) -> Clue:
    """In words: when within the application's time the run was. Always for it; whether it fits comes before."""
    after = row["start_time"] - app.start_time
    began = f"began {_span(after)} after the application" if after >= 0 else f"began {_span(-after)} before it"
    if row["end_time"] is None or app.end_time is None:
        return Clue(began)
    left = app.end_time - row["end_time"]
    return Clue(f"{began} and ended {_span(abs(left))} {'before' if left >= 0 else 'after'} its end")


def parent(application_id: int, of_parent: Collection[int] | None) -> Clue:
    """`of_parent`: the applications that the run's parent run is linked to; None where it is to none."""
    if of_parent is None:
        return NOTHING
    return Clue("its parent run is of this application", 4) if application_id in of_parent else AGAINST


def jobs(row: Mapping[str, Any], spans: Sequence[tuple[int, int | None]]) -> Clue:
    """`spans`: start and end (ms) of the application's jobs that no other run is known to have caused. One that has
    jobs, but none at that time, was idle."""
    began, ended = row["start_time"], row["end_time"]
    meanwhile = sum((ended is None or start <= ended) and (end is None or end >= began) for start, end in spans)
    if meanwhile:
        return Clue(f"{meanwhile:,} of its Spark jobs ran meanwhile", 1)
    return Clue(weight=-1) if spans else NOTHING


def filling(row: Mapping[str, Any], app: Any) -> Clue:
    """A run that takes most of a finished application's time is hardly there by chance."""
    if row["end_time"] is None or app.end_time is None or app.end_time <= app.start_time:
        return NOTHING
    share = (row["end_time"] - row["start_time"]) / (app.end_time - app.start_time)
    return Clue(f"took {min(share, 1):.0%} of the application's time", 2) if share >= _MOSTLY else NOTHING


def spark(row: Mapping[str, Any]) -> Clue:
    """MLflow's autologging says that the run used Spark, if not which application."""
    tags = row["tags"] or {}
    used = "sparkDatasourceInfo" in tags or tags.get("estimator_class", "").startswith("pyspark.")
    return Clue("it used Spark", 1) if used else NOTHING


def _span(millis: int) -> str:
    seconds = round(millis / 1000)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
