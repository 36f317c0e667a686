"""Real jobs whose listener's jar is not there, though our own helpers were asked for its configuration: `make matrix`.

The job's result and exit code are its own, what to do is said once, and its runs are linked all the same.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import afterglow
from afterglow.spark_conf import JAR, spark_conf
from afterglow_monitor.clock import now_ms
from afterglow_monitor.collecting.journals import Tail
from afterglow_store import Query, Store, open_store, search_applications
from tests.support.spark import SMALL, spark_environment, spark_submit
from tests.support.sparks import LOCKED, OTHERS, spark_of

pytestmark = [pytest.mark.matrix, pytest.mark.filterwarnings("default")]

LEFT_OUT = "Afterglow's listener is left out of this application"
ANOTHER = "org.apache.spark.scheduler.StatsReportListener"
GET_SPARK = "spark = SparkSession.builder.getOrCreate()\n"
JOB = f"""
import sys
import mlflow
from pyspark.sql import SparkSession
{GET_SPARK}with mlflow.start_run():
    context = spark.sparkContext
    listeners = context.getConf().get("spark.extraListeners", "none")
    print("COUNT", context.parallelize(range(7), 2).count(), listeners)
spark.stop()
sys.exit(3)
"""
CONFIGURE_SPARK = f"""
from afterglow.spark_conf import spark_conf
builder = SparkSession.builder
for key, value in [*{SMALL}.items(), *spark_conf().items()]:
    builder = builder.config(key, value)
spark = builder.getOrCreate()
"""


@pytest.fixture
def without_jar(tmp_path: Path) -> Path:
    """A folder with the driver's side of Afterglow, as it is where nobody made the jar."""
    folder = tmp_path / "packages"
    package = Path(afterglow.__file__).parent
    shutil.copytree(package, folder / "afterglow", ignore=shutil.ignore_patterns("jars", "__pycache__"))
    return folder


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    with closing(open_store(sqlite_url)) as opened:
        yield opened


def applications(store: Store, home: Path) -> list[dict[str, Any]]:
    Tail(store, [home / "journal"]).poll(now_ms())
    with store.read() as conn:
        return search_applications(conn, Query()).rows


@pytest.mark.parametrize("name", [LOCKED.name, *OTHERS])
def test_a_jar_that_is_gone_since_it_was_configured_costs_the_job_nothing_but_its_listener(
    name: str, store: Store, mlflow_server: str, tmp_path: Path
) -> None:
    conf = {key: value.replace(str(JAR), str(tmp_path / "gone.jar")) for key, value in spark_conf(defaults={}).items()}
    conf["spark.extraListeners"] += f",{ANOTHER}"
    environment = {"MLFLOW_TRACKING_URI": mlflow_server}
    job = spark_submit(JOB, home=tmp_path, conf=conf, environment=environment, listener=False, spark=spark_of(name))
    assert (job.returncode, f"COUNT 7 {ANOTHER}\n" in job.stdout) == (3, True), job.stdout + job.stderr
    said = job.stdout + job.stderr  # spark-submit has what Python says among the first
    assert said.count(LEFT_OUT) == 1, said
    assert f"Name {JAR} in spark.jars" in said
    [row] = applications(store, tmp_path)
    assert (row["status"], row["runs"], row["lost_events"]) == ("FAILED", 1, 0)  # by its exit code


@pytest.mark.parametrize("how", ["afterglow submit", "$(afterglow spark-conf)", "spark_conf()"])
def test_where_no_jar_was_ever_made_each_way_to_start_a_job_starts_it_without(
    how: str, without_jar: Path, mlflow_server: str, tmp_path: Path
) -> None:
    job_s = JOB.replace(GET_SPARK, CONFIGURE_SPARK) if how == "spark_conf()" else JOB
    (tmp_path / "job.py").write_text(job_s)
    settings = " ".join(f"--conf {key}={value}" for key, value in SMALL.items())
    cli = f"{sys.executable} -m afterglow_monitor.cli"
    command = {
        "afterglow submit": f"exec {cli} submit {settings} job.py",
        "$(afterglow spark-conf)": f"exec spark-submit $({cli} spark-conf) {settings} job.py",
        "spark_conf()": f"exec {sys.executable} -W ignore job.py",
    }
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    others = {"PYTHONPATH": str(without_jar), "PATH": path, "MLFLOW_TRACKING_URI": mlflow_server}
    job = subprocess.run(
        ["/bin/sh", "-c", command[how]], cwd=tmp_path, env=spark_environment(tmp_path, others), capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (job.returncode, "COUNT 7 none\n" in job.stdout) == (3, True), job.stderr
    assert "is not readable: install the afterglow wheel, or run `make jar`" in job.stderr
    assert job.stderr.count("Traceback") == 0, job.stderr
