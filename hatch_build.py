"""Build hook: a wheel without the listener's jar, or with an old one, is never built."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class AfterglowHook(BuildHookInterface[Any]):
    """Checks the jar and compiles nothing: pyspark, which javac needs, would be rebuilt in each isolated build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        # `uv sync` comes before `make jar`: the jar is compiled with what it installs. It also finds conf/ where it is.
        if version == "editable":
            return
        root = Path(self.root)
        if not _build_jar(root).jar_is_current():
            self.app.abort("The listener's jar is missing or older than its sources: run `make jar`, then build again.")
        for file in (root / "conf").glob("*"):
            build_data["force_include"][str(file)] = f"afterglow_monitor/conf/{file.name}"


def _build_jar(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_jar", root / "listener" / "build_jar.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"no listener/build_jar.py in {root}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
