"""The notebook's cell that is being executed: what each run that it makes is tagged with.

Asks Jupyter's kernel of this process, if it is one, and imports nothing for it.
"""

import os
import sys
from pathlib import PurePath
from typing import Any

from afterglow.boundary import never_raises

# The words of the notebook's own format: `id` and `execution_count` of a cell.
PATH_TAG, CELL_TAG, COUNT_TAG = "jupyter.notebook.path", "jupyter.cell.id", "jupyter.cell.execution_count"
MAX_CHARACTERS = 5_000  # of a tag's value, by MLflow


def shell() -> Any | None:
    """IPython's shell of this process, or None."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return None if get_ipython is None else get_ipython()


def cell_tags() -> dict[str, str]:
    """The tags of a run that is made now; empty where this is no kernel of a notebook."""
    return _cell_tags() or {}


@never_raises
def _cell_tags() -> dict[str, str]:
    here = shell()
    if here is None or getattr(here, "kernel", None) is None:
        return {}
    tags = {PATH_TAG: notebook_path(here), CELL_TAG: _cell_id(here.kernel), COUNT_TAG: _execution_count(here)}
    return {key: value[:MAX_CHARACTERS] for key, value in tags.items() if value}


def notebook_path(here: Any) -> str:
    """The notebook's file: by VS Code, by Jupyter's server when it started the kernel, or by whoever set IPYNB_FILE."""
    told = (here.user_ns.get("__vsc_ipynb_file__"), os.environ.get("JPY_SESSION_NAME"), os.environ.get("IPYNB_FILE"))
    # A console of JupyterLab is a session with a name that is no file's.
    return next((each for each in told if isinstance(each, str) and PurePath(each).suffix), "")


def _cell_id(kernel: Any) -> str:
    """Of the request that is being executed, or was the last: front ends name their cell in it."""
    return str((kernel.get_parent().get("metadata") or {}).get("cellId") or "")


def _execution_count(here: Any) -> str:
    """The number in brackets beside the cell. The shell's own count may be one ahead, by IPython's version."""
    count = len(here.history_manager.input_hist_parsed) - 1
    return str(count) if count > 0 else ""
