"""The real spark-submit, with the listener loaded, the way a user's job runs."""

import os
import subprocess
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.parts import require
from tests.support.shared_classes import kept
from tests.support.sparks import LOCKED, Spark

LISTENER = "io.afterglow.AfterglowListener"
# Two cores and a small heap: what these jobs do is small, and tests share the machine. Much of a short driver's time
# goes into compiling well what it runs a few times: JITTED takes that back, for benchmarks.
SMALL = {
    "spark.master": "local[2]",
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "2",
    "spark.default.parallelism": "2",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
JITTED = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=4"}


@dataclass(frozen=True)
class SparkJob:
    """A spark-submit that has ended. `home` was its AFTERGLOW_HOME."""

    returncode: int
    stdout: str
    stderr: str
    home: Path

    @property
    def journals(self) -> list[Path]:
        return sorted((self.home / "journal").glob("*.jsonl"))

    def succeeded(self) -> "SparkJob":
        """This job, or an AssertionError that shows what the driver printed."""
        assert self.returncode == 0, f"exit code {self.returncode}\n{self.stdout}\n{self.stderr}"
        return self


def spark_command(
    script: Path,
    *arguments: str,
    conf: Mapping[str, str] | None = None,
    listener: bool = True,
    spark: Spark = LOCKED,
) -> list[str]:
    """The command line, for a test that starts, watches or kills the process itself."""
    require("java")
    settings = {**SMALL, **(conf or {})}
    words = [str(spark.programs / "spark-submit")]
    if listener:
        jar = str(require("jar"))
        words += ["--driver-class-path", jar, "--jars", jar]
        settings = {"spark.extraListeners": LISTENER, **settings}
    for key, value in settings.items():
        words += ["--conf", f"{key}={value}"]
    return [*words, str(script), *arguments]


def spark_environment(home: Path, extra: Mapping[str, str] | None = None, *, spark: Spark = LOCKED) -> dict[str, str]:
    return {**os.environ, "AFTERGLOW_HOME": str(home), **kept(spark), **spark.environment, **(extra or {})}


def spark_submit(
    script: Path | str,
    *arguments: str,
    home: Path,
    conf: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    listener: bool = True,
    timeout: float = 180,
    spark: Spark = LOCKED,
) -> SparkJob:
    """Run `script` (a file, or the text of a program) to its end in an AFTERGLOW_HOME of its own.

    `home` is made if need be and is the working folder too, so that `mlruns`, `spark-warehouse` and the like
    stay there. `conf` adds to the small settings and wins over them. The exit code is for the caller to judge.
    """
    home.mkdir(parents=True, exist_ok=True)
    if isinstance(script, str):
        program = home / "job.py"
        program.write_text(textwrap.dedent(script))
    else:
        program = script.resolve()
    ended = subprocess.run(
        spark_command(program, *arguments, conf=conf, listener=listener, spark=spark),
        cwd=home,
        env=spark_environment(home, environment, spark=spark),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return SparkJob(ended.returncode, ended.stdout, ended.stderr, home)
