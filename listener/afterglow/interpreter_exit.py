"""How the Python interpreter ends: cleanly, or by an exception that nobody caught.

Python tells no exit handler why it runs. An uncaught exception is left in `sys.last_value`. SystemExit is not,
so `sys.exit` is wrapped to keep the last one that said failure; whether it really ended the program, rather
than being caught on its way, is read off its traceback.
"""

import functools
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

MAX_ERROR_CHARACTERS = 500

_last_exit: list[SystemExit] = []


def watch_sys_exit() -> None:
    """Keep the latest SystemExit by which `sys.exit` was asked for a status other than success."""
    if hasattr(sys.exit, "_afterglow"):
        return
    original = sys.exit

    @functools.wraps(original)
    def exit_(status: Any = None, /) -> Any:
        try:
            original(status)
        except SystemExit as error:
            if is_failure(error.code) and threading.current_thread() is threading.main_thread():
                _last_exit[:] = [error]
            raise

    exit_._afterglow = True  # type: ignore[attr-defined]
    sys.exit = exit_


def outcome() -> tuple[str, str | None]:
    """("clean", None) or ("exception", what it was). For use in an exit handler only.

    A shell or a notebook kernel keeps the exception of a failed cell in `sys.last_value` and goes on: there
    every end is clean.
    """
    if is_interactive():
        return "clean", None
    error: BaseException | None = getattr(sys, "last_value", None)
    if error is None and _last_exit and ended_the_program(_last_exit[0]):
        error = _last_exit[0]
    if error is None:
        return "clean", None
    return "exception", f"{type(error).__name__}: {error}"[:MAX_ERROR_CHARACTERS]


def is_interactive() -> bool:
    """Whether people type into this interpreter: `python -i`, a REPL, IPython, a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    get_ipython = getattr(ipython, "get_ipython", None)
    return bool(hasattr(sys, "ps1") or sys.flags.interactive or (get_ipython is not None and get_ipython() is not None))


def is_failure(code: object) -> bool:
    """Whether an exit code means failure: None and 0 do not; a message does, as does any other number."""
    return code is not None and code != 0


def ended_the_program(error: BaseException) -> bool:
    """Whether nobody caught `error`: it passed the outermost frame, which did nothing more after that."""
    traceback: TracebackType | None = error.__traceback__
    if traceback is None:
        return False
    frame: FrameType = traceback.tb_frame
    return frame.f_back is None and frame.f_lasti == traceback.tb_lasti
