"""`afterglow spark-conf` and `submit`: adding the listener to what a job has, and never breaking the job."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from afterglow import spark_conf as module
from afterglow.spark_conf import JAR, LISTENER, SparkConfError, parse_properties, readable_jar, spark_conf
from afterglow_monitor.cli import cli
from afterglow_monitor.cli.spark import split_arguments
from tests.support.parts import require

MINE = "org.example.Mine"


@pytest.fixture(autouse=True)
def jar() -> None:
    require("jar")


def test_without_spark_defaults_it_is_the_listener_and_its_jar() -> None:
    assert spark_conf(defaults={}) == {
        "spark.extraListeners": LISTENER,
        "spark.jars": str(JAR),
        "spark.driver.extraClassPath": str(JAR),
    }


def test_what_is_configured_already_stays_and_ours_comes_after_it(tmp_path: Path) -> None:
    (tmp_path / "spark-defaults.conf").write_text(f"spark.extraListeners  {MINE}\nspark.jars=/a.jar,/b.jar\n")
    conf = spark_conf({"SPARK_CONF_DIR": str(tmp_path)})
    assert conf["spark.extraListeners"] == f"{MINE},{LISTENER}"
    assert conf["spark.jars"] == f"/a.jar,/b.jar,{JAR}"


def test_a_listener_that_is_configured_already_is_not_added_twice() -> None:
    assert spark_conf(defaults={"spark.extraListeners": LISTENER})["spark.extraListeners"] == LISTENER


def test_properties_are_read_as_spark_reads_them() -> None:
    text = "# a comment\n\nspark.a  1\nspark.b=2\n spark.c : x=y z \nspark.d\n"
    assert parse_properties(text) == {"spark.a": "1", "spark.b": "2", "spark.c": "x=y z", "spark.d": ""}


def test_a_collector_is_named_when_asked_for_and_one_that_cannot_be_is_refused() -> None:
    to = ("--collector", "https://afterglow.example.com", "--secret-file", "/etc/afterglow/secret")
    shown = CliRunner().invoke(cli, ["spark-conf", *to])
    assert shown.output.rstrip().endswith(
        "--conf spark.afterglow.collector.url=https://afterglow.example.com "
        "--conf spark.afterglow.collector.secretFile=/etc/afterglow/secret"
    )
    refused = CliRunner().invoke(cli, ["spark-conf", "--collector", "http://me:hush@host"])
    assert (refused.exit_code, "without a password" in refused.output, "hush" in refused.output) == (1, True, False)
    assert CliRunner().invoke(cli, ["spark-conf", *to[2:]]).exit_code == 2


def test_a_missing_jar_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SparkConfError, match=r"is not readable: install the afterglow wheel, or run `make jar`"):
        readable_jar(tmp_path / "gone.jar")


@pytest.mark.parametrize("folder", ["with space", "with,comma"])
def test_a_path_that_spark_submit_would_split_is_refused(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    copy = shutil.copy(JAR, tmp_path / folder)
    with pytest.raises(SparkConfError, match="install afterglow into a folder without one"):
        readable_jar(Path(copy))


def afterglow(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "afterglow_monitor.cli", *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_prints_only_arguments() -> None:
    printed = afterglow("spark-conf")
    assert printed.returncode == 0
    assert printed.stdout.split() == [
        word for key, value in spark_conf().items() for word in ("--conf", f"{key}={value}")
    ]


def test_the_command_prints_nothing_but_an_error_where_it_would_break_the_job(tmp_path: Path) -> None:
    (tmp_path / "spark-defaults.conf").write_text("spark.jars  /my folder/a.jar\n")
    printed = afterglow("spark-conf", SPARK_CONF_DIR=str(tmp_path))
    assert printed.returncode == 1
    assert printed.stdout == ""
    assert "use `afterglow submit` instead" in printed.stderr


def test_submit_merges_what_the_job_passes_itself() -> None:
    own = ["--master", "yarn", "--jars", "a.jar", "--conf", f"spark.extraListeners={MINE}", "--conf=spark.x=1"]
    kept, given = split_arguments([*own, "--verbose", "job.py", "--jars", "the job's own"])
    assert kept == ["--master", "yarn", "--conf=spark.x=1", "--verbose", "job.py", "--jars", "the job's own"]
    assert given == {"spark.jars": "a.jar", "spark.extraListeners": MINE}


def test_submit_runs_the_job_with_the_listener_beside_its_own_jars_and_returns_its_exit_code(
    tmp_path: Path, afterglow_home: Path
) -> None:
    require("java")
    other = tmp_path / "other.jar"
    shutil.copy(JAR, other)
    job = tmp_path / "job.py"
    job.write_text(
        "import sys\n"
        "from pyspark.sql import SparkSession\n"
        "spark = SparkSession.builder.getOrCreate()\n"
        "spark.range(10).count()\n"
        "spark.stop()\n"
        "sys.exit(int(sys.argv[1]))\n"
    )
    options = ["--master", "local[1]", "--conf", "spark.ui.enabled=false", "--jars", str(other)]
    done = afterglow("submit", *options, str(job), "7")
    assert done.returncode == 7, done.stderr
    journal = next((afterglow_home / "journal").glob("*.jsonl")).read_text()
    assert '"SparkListenerApplicationEnd"' in journal
    assert str(other) in journal  # the job's own jar is still there, beside ours


def test_a_driver_finds_the_active_spark_defaults() -> None:
    pyspark = Path(module._conf_folders({})[0])
    assert pyspark.parts[-2:] == ("pyspark", "conf")
    assert module._conf_folders({"SPARK_HOME": "/opt/spark"}) == [Path("/opt/spark/conf")]
