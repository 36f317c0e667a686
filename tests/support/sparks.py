"""Other versions of Spark than the locked one, each in a folder of its own under .tools.

Only pyspark and its py4j are in it: on the path before everything else it takes the locked one's place, and all other
packages stay the locked ones. `tests/matrix/sparks` says which versions; after a change there the folder is made anew.
"""

import fcntl
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyspark

from tests.support.parts import ROOT, require

PINNED = ROOT / "tests" / "matrix" / "sparks"
OTHERS = tuple(sorted(file.stem for file in PINNED.glob("*.txt")))


@dataclass(frozen=True)
class Spark:
    """A version of Spark. `folder` holds its packages; None: it is the locked one."""

    name: str
    folder: Path | None = None

    @property
    def programs(self) -> Path:
        """Where spark-submit is."""
        return self.folder / "bin" if self.folder else Path(sys.executable).parent

    @property
    def jars(self) -> Path:
        return Path(self.folder / "pyspark" if self.folder else str(pyspark.__path__[0]), "jars")

    @property
    def environment(self) -> dict[str, str]:
        if self.folder is None:
            return {}
        return {"SPARK_HOME": str(self.folder / "pyspark"), "PYTHONPATH": str(self.folder)}


LOCKED = Spark("locked")


@cache
def spark_of(name: str) -> Spark:
    """The locked Spark, or another one, installed if it is not there yet: half a gigabyte, a minute."""
    from tests.support import shared_classes  # noqa: PLC0415 - which is of a Spark, too

    if name == LOCKED.name:
        return LOCKED
    folder, pinned = ROOT / ".tools" / f"spark-{name}", PINNED / f"{name}.txt"
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process of these tests may be about to install it, too
        _install(folder, pinned)
    spark = Spark(name, folder)
    shared_classes.keep(spark)
    return spark


def _install(folder: Path, pinned: Path) -> None:
    installed = folder / pinned.name
    if not installed.exists() or installed.read_text() != pinned.read_text():
        shutil.rmtree(folder, ignore_errors=True)
        install = [str(require("uv")), "pip", "install", "--quiet", "--compile-bytecode", "--require-hashes"]
        subprocess.run(
            [*install, "--python", sys.executable, "--target", str(folder), "--requirements", str(pinned)],
            check=True,
            timeout=600,
        )
        shutil.copy(pinned, installed)  # last: a folder without it is not whole
