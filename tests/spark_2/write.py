"""Writes the event logs that lie here: `python tests/spark_2/write.py JARS`, the folder of the jars of a Spark 2.

See README.md. They are kept because no Spark 2 can be installed beside the tests.
"""

import gzip
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
CODECS = ("Lz4", "Lzf", "Snappy", "Zstd")

# What Spark 2 looks into, and Java 17 closes.
OPENED = (
    "java.io", "java.lang", "java.lang.invoke", "java.lang.ref", "java.lang.reflect", "java.net", "java.nio",
    "java.util", "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks",
    "jdk.internal.loader", "jdk.internal.misc", "jdk.internal.ref", "sun.nio.ch", "sun.nio.cs",
)  # fmt: skip

# What the logs tell of the machine is the same on each.
SAID = {
    "user.name": "ada",
    "user.home": "/home/ada",
    "os.version": "6.1",
    "spark.master": "local[2,3]",
    "spark.driver.host": "localhost",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "3",
    "spark.sql.warehouse.dir": "file:/tmp/warehouse",
    "spark.eventLog.enabled": "true",
}
ENVIRONMENT = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_HOSTNAME": "localhost", "SPARK_USER": "ada"}


def main(jars: Path) -> None:
    [core] = jars.glob("spark-core_*.jar")
    version = core.stem.rpartition("-")[2]
    folder = Path("/tmp", f"spark-{version}")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "logs").mkdir(parents=True)
    (folder / "jars").symlink_to(jars.resolve())
    sources = [HERE / "Job.java", HERE / "EachCodec.java"]
    subprocess.run(
        ["javac", "--release", "8", "-Xlint:-options", "-cp", f"{jars}/*", "-d", folder, *sources], check=True
    )
    read_newer_classes(jars, folder)
    codecs = CODECS if any(jars.glob("zstd-jni-*.jar")) else CODECS[:3]
    run(folder, codecs)
    keep(folder / "logs", HERE / version)
    shutil.rmtree(folder)


def read_newer_classes(jars: Path, folder: Path) -> None:
    """Spark 2.4 looks into java.lang.Object, and its ASM refuses the version that this has in Java 17, although it
    could read it: where it compares the version with that of Java 10 (bipush 54, if_icmple), let it compare with 99."""
    for jar in jars.glob("xbean-asm6-*.jar"):
        with zipfile.ZipFile(jar) as packed:
            reader = folder / packed.extract("org/apache/xbean/asm6/ClassReader.class", folder)
        code = reader.read_bytes()
        assert code.count(b"\x10\x36\xa4") == 1
        reader.write_bytes(code.replace(b"\x10\x36\xa4", b"\x10\x63\xa4"))


def run(folder: Path, codecs: tuple[str, ...]) -> None:
    listeners = ",".join(f"EachCodec${codec}" for codec in codecs)
    said = SAID | {"spark.extraListeners": listeners, "spark.eventLog.dir": (folder / "logs").as_uri()}
    words = [word for package in OPENED for word in ("--add-opens", f"java.base/{package}=ALL-UNNAMED")]
    words += ["-cp", ".:jars/*", *(f"-D{key}={value}" for key, value in said.items())]
    subprocess.run(["java", *words, "Job"], cwd=folder, env=os.environ | ENVIRONMENT, check=True)


def keep(logs: Path, there: Path) -> None:
    """The plain one gzipped."""
    shutil.rmtree(there, ignore_errors=True)
    there.mkdir()
    for log in logs.iterdir():
        if re.fullmatch(r"local-\d+", log.name):
            (there / f"{log.name}.gz").write_bytes(gzip.compress(log.read_bytes(), mtime=0))
        elif log.name.startswith("local-"):
            shutil.copyfile(log, there / log.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
