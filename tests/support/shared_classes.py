"""What a driver's JVM knows of Spark's classes, kept from one driver to the next.

To find, check and set up some ten thousand classes takes the JVM a third of a small driver's processor time. Its own
"class data sharing" keeps the result in a file, which it takes only for the very same JDK and jars: so all there can be
to a wrong one is that a driver takes longer. `python -m tests.support.shared_classes` makes the locked Spark's.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from tests.support.parts import ROOT, find, require
from tests.support.sparks import LOCKED, Spark

FOLDER = ROOT / ".tools" / "shared-classes"
# It would say on standard output that a file is of other jars, which tests read.
QUIET = "-Xlog:disable"
JOB = """
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
frame = spark.range(100).selectExpr("id % 3 AS k", "id AS v")
frame.groupBy("k").sum("v").write.mode("overwrite").parquet(sys.argv[1])
spark.read.parquet(sys.argv[1]).collect()
spark.sparkContext.parallelize(range(4), 2).map(str).collect()
spark.stop()
"""


def kept(spark: Spark = LOCKED) -> dict[str, str]:
    """What makes spark-submit use the file; nothing where it was not made."""
    file = _file(spark)
    return {"SPARK_SUBMIT_OPTS": f"-XX:SharedArchiveFile={file} {QUIET}"} if file is not None and file.exists() else {}


def keep(spark: Spark = LOCKED) -> None:
    """Make it, if it is not there yet: half a minute, 150 MB."""
    file = _file(spark)
    if file is None:
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / f"{spark.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process of these tests may be about to make it, too
        if not file.exists():
            for old in FOLDER.glob(f"{spark.name}-*"):
                shutil.rmtree(old) if old.is_dir() else old.unlink()
            _make(spark, file)


def _make(spark: Spark, file: Path) -> None:
    from tests.support.spark import spark_command, spark_environment  # noqa: PLC0415 - it uses what is made here

    work = Path(f"{file}.work")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    job, made = work / "job.py", work / file.name
    job.write_text(JOB)
    options = {"SPARK_SUBMIT_OPTS": f"-XX:ArchiveClassesAtExit={made} {QUIET}"}
    try:
        subprocess.run(
            spark_command(job, str(work / "written"), spark=spark),
            env=spark_environment(work, options, spark=spark),
            cwd=work,
            capture_output=True,
            timeout=300,
            check=True,
        )
    except (
        subprocess.SubprocessError
    ) as exc:  # what is wrong with Spark the tests say; without the file they take longer
        print(f"shared classes of Spark were not kept: {exc}", file=sys.stderr)
    if made.exists():  # a JVM that has no such thing leaves none
        made.rename(file)
    shutil.rmtree(work)


@cache
def _file(spark: Spark) -> Path | None:
    """Named after all that it is of: the JDK, Spark's jars, and ours."""
    java, jar = find("java"), find("jar")
    if java is None or jar is None:
        return None
    files = [Path(os.path.realpath(java)), jar, *sorted(spark.jars.glob("*.jar"))]
    said = [f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files]
    return FOLDER / f"{spark.name}-{hashlib.sha256(chr(10).join(said).encode()).hexdigest()[:12]}.jsa"


def main() -> None:
    from tests.support.environment import SETTINGS  # noqa: PLC0415 - which has what is made here, too

    require("jar")
    os.environ.update(SETTINGS)
    keep()


if __name__ == "__main__":
    main()
