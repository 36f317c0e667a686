"""The hook beside mlflow-skinny alone, of the oldest and the newest MLflow that we say it works with.

Each has an environment of its own, kept in .tools; pyspark is this environment's.
"""

import json
import re
import subprocess
import sys
from importlib.metadata import distribution
from itertools import groupby
from pathlib import Path
from typing import Any

import py4j
import pyspark
import pytest

import afterglow
from tests.support.journals import in_spark_s_words
from tests.support.parts import ROOT, require
from tests.support.spark import SparkJob, spark_submit

pytestmark = pytest.mark.matrix

VERSIONS = {
    "2.14": ["mlflow-skinny==2.14.*", "setuptools<81"],  # it imports pkg_resources, which went with 81
    "newest": ["mlflow-skinny>=3,<4"],
}

PROGRAM = """
import mlflow, sys
from pyspark.sql import SparkSession

assert "sqlalchemy" not in sys.modules
spark = SparkSession.builder.getOrCreate()
with mlflow.start_run(run_name="parent") as parent:
    spark.range(4).count()
    with mlflow.start_run(run_name="child", nested=True):
        spark.range(4).count()
    mlflow.log_param("depth", 5)
client = mlflow.MlflowClient()
client.set_terminated(client.create_run("0", run_name="by the client").info.run_id, "KILLED")
elsewhere = client._tracking_client.store.create_run("0", "someone", 0, [], "elsewhere")
with mlflow.start_run(run_id=elsewhere.info.run_id):
    spark.range(4).count()
spark.range(4).count()
print("ON MLFLOW", mlflow.__version__, flush=True)
with mlflow.start_run(run_name="doomed"):
    spark.range(4).count()
    raise ValueError("boom")
"""


@pytest.fixture(scope="module", params=VERSIONS)
def skinny(request: pytest.FixtureRequest) -> Path:
    """The Python of an environment with mlflow-skinny and nothing else."""
    environment = Path(ROOT, ".tools", "mlflow-skinny", request.param)
    uv, python = str(require("uv")), Path(environment, "bin", "python")
    if not python.exists():
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(environment)], check=True)
    install = [uv, "pip", "install", "--quiet", "--upgrade", "--python", str(python), *VERSIONS[request.param]]
    subprocess.run(install, check=True, timeout=240)
    return python


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the path: pyspark, and Afterglow as it is installed here, with its entry point."""
    folder = tmp_path_factory.mktemp("packages")
    for package in (pyspark, py4j, afterglow):
        source = Path(str(package.__file__)).parent
        (folder / source.name).symlink_to(source)
    metadata = Path(str(distribution("afterglow").locate_file(f"afterglow-{afterglow.__version__}.dist-info")))
    (folder / metadata.name).symlink_to(metadata)
    return folder


@pytest.mark.parametrize("store", ["file", "http"])
def test_runs_and_jobs_are_linked_with_mlflow_skinny(
    skinny: Path, packages: Path, store: str, mlflow_server: str, tmp_path: Path
) -> None:
    environment = {
        "PYSPARK_PYTHON": str(skinny),
        "PYSPARK_DRIVER_PYTHON": str(skinny),
        "PYTHONPATH": str(packages),
        "MLFLOW_TRACKING_URI": mlflow_server if store == "http" else (tmp_path / "mlruns").as_uri(),
        "MLFLOW_ALLOW_FILE_STORE": "true",  # the newest asks for it
    }
    job = spark_submit(PROGRAM, home=tmp_path, environment=environment)
    output = job.stdout + job.stderr
    assert "ON MLFLOW" in output, output
    assert "ValueError: boom" in output
    assert re.findall("Afterglow[ :].*", output) == []  # it has nothing to complain of
    events = read_journal(job)
    starts = {each["Run"]["run_name"]: each for each in events if each["Event"] == "AfterglowRunStart"}
    assert {name: start["Source"] for name, start in starts.items()} == {
        "parent": "tag",
        "child": "tag",
        "by the client": "client",
        "elsewhere": "resumed",
        "doomed": "tag",
    }
    ids = {name: start["Run ID"] for name, start in starts.items()}
    assert tags_of_jobs(events) == [
        *(f"mlflow.run_id={ids[name]}" for name in ("parent", "child", "elsewhere")),
        None,
        f"mlflow.run_id={ids['doomed']}",
    ]
    ends = {each["Run ID"]: each for each in events if each["Event"] == "AfterglowRunEnd"}
    statuses = {name: ends[run_id]["Run"]["status"] for name, run_id in ids.items()}
    assert statuses == {**dict.fromkeys(ids, "FINISHED"), "by the client": "KILLED", "doomed": "FAILED"}
    assert ends[ids["parent"]]["Run"]["params"] == {"depth": "5"}
    app_ids = {end["Run"]["tags"]["spark.app.id"] for end in ends.values()}
    assert app_ids == {each["App ID"] for each in events if each["Event"] == "SparkListenerApplicationStart"}
    [driver_end] = [each for each in events if each["Event"] == "AfterglowDriverEnd"]
    assert (driver_end["Outcome"], driver_end["Error"]) == ("exception", "ValueError: boom")


def read_journal(job: SparkJob) -> list[dict[str, Any]]:
    [journal] = job.journals
    return list(in_spark_s_words(json.loads(line) for line in journal.read_text().splitlines()))


def tags_of_jobs(events: list[dict[str, Any]]) -> list[str | None]:
    """The tags that name a run, of one Spark job after the other; jobs in a row with the same tag count once."""
    jobs = [each["Properties"] for each in events if each["Event"] == "SparkListenerJobStart"]
    tags = [job.get("spark.job.tags", "").split(",") for job in jobs]
    runs = [next((tag for tag in each if tag.startswith("mlflow.run_id=")), None) for each in tags]
    return [run for run, _ in groupby(runs)]
