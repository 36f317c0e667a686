"""Puts the hook in place, now or as soon as MLflow and pyspark are imported."""

import importlib.abc
import logging
import os
import sys
from typing import Any

from afterglow import interpreter_exit, mlflow_patches, spark_patches
from afterglow.boundary import never_raises
from afterglow.driver import Driver
from afterglow.settings import disabled_by_environment

logger = logging.getLogger("afterglow")

driver = Driver()


class ImportWatch(importlib.abc.MetaPathFinder):
    """Finds no module ever; is asked at each import, and so notices when MLflow and pyspark are there.

    MLflow loads our entry point while it is itself half imported, too early for any patch.
    """

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        # Somewhere up the call stack may be a start_run.
        if _install_patches(replace_stack=False):
            # A new list: the import system is walking along the old one.
            sys.meta_path = [finder for finder in sys.meta_path if finder is not self]


_watch = ImportWatch()
_installing = False
_registered = False


@never_raises
def install() -> None:
    """Put all patches on that can be put on now, and watch imports for the others. Repeatable."""
    global _registered  # noqa: PLW0603 - once a process, like the patches
    if disabled_by_environment():
        return
    if not _registered:
        _registered = True
        mlflow_patches.run_last_at_exit(_at_exit)
        interpreter_exit.watch_sys_exit()
        os.register_at_fork(after_in_child=driver.forget_parent)
    if not _install_patches(replace_stack=True) and _watch not in sys.meta_path:
        sys.meta_path.insert(0, _watch)


@never_raises
def install_within_start_run() -> None:
    """The second chance: MLflow is making a run."""
    if not disabled_by_environment():
        _install_patches(replace_stack=False)


def _install_patches(*, replace_stack: bool) -> bool:
    global _installing  # noqa: PLW0603 - patching imports modules, which asks ImportWatch again
    if _installing:
        return False
    _installing = True
    try:
        with_mlflow = mlflow_patches.install(driver, replace_stack=replace_stack)
        with_spark = spark_patches.install(driver, mlflow_patches.innermost_run_id)
        return with_mlflow and with_spark
    finally:
        _installing = False


def _at_exit() -> None:
    driver.interpreter_exits(*interpreter_exit.outcome())
