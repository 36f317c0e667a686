"""How the Python interpreter ends: cleanly, or by an exception that nobody caught.

Python tells no exit handler why it runs. An uncaught exception is left in `sys.last_value`. SystemExit is not,
so `sys.exit` is wrapped to keep the last failure that it was asked for; whether that really ended the program,
rather than being caught on its way, is seen in the program's outermost frame, which then never returned.
"""

import dis
import functools
import sys
import threading
from dataclasses import dataclass
from types import FrameType
from typing import Any

from afterglow.redaction import redact_text

MAX_ERROR_CHARACTERS = 500


@dataclass(frozen=True)
class FailureExit:
    """A call of `sys.exit` in the main thread with a status other than success."""

    error: str
    program: FrameType  # the outermost frame: the main module's, or runpy's

    def ended_the_program(self) -> bool:
        """Whether nobody caught it. For use once the program is over: a frame that was left by an
        exception stands somewhere else than at a return."""
        instruction = dis.opname[self.program.f_code.co_code[self.program.f_lasti]]
        return not instruction.startswith("RETURN")


_last_failure: FailureExit | None = None


def watch_sys_exit() -> None:
    """Keep the latest failure that `sys.exit` is asked for in the main thread. Repeatable."""
    if hasattr(sys.exit, "_afterglow"):
        return
    original = sys.exit

    @functools.wraps(original)
    def exit_(status: Any = None, /) -> Any:
        _remember(status)
        return original(status)

    exit_._afterglow = True  # type: ignore[attr-defined]
    sys.exit = exit_


def _remember(status: Any) -> None:
    global _last_failure  # noqa: PLW0603 - like the function that it watches, once a process
    if threading.current_thread() is not threading.main_thread():
        return
    if status is None or status == 0:
        _last_failure = None
        return
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
    _last_failure = FailureExit(_shortened(f"SystemExit: {status}"), frame)


def outcome() -> tuple[str, str | None]:
    """("clean", None) or ("exception", what it was). For use in an exit handler only.

    A shell or a notebook kernel keeps the exception of a failed cell in `sys.last_value` and goes on: there
    every end is clean.
    """
    if is_interactive():
        return "clean", None
    error: BaseException | None = getattr(sys, "last_value", None)
    if error is not None:
        return "exception", _shortened(f"{type(error).__name__}: {error}")
    if _last_failure is not None and _last_failure.ended_the_program():
        return "exception", _last_failure.error
    return "clean", None


def is_interactive() -> bool:
    """Whether people type into this interpreter: `python -i`, a REPL, IPython, a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    get_ipython = getattr(ipython, "get_ipython", None)
    return bool(hasattr(sys, "ps1") or sys.flags.interactive or (get_ipython is not None and get_ipython() is not None))


def _shortened(error: str) -> str:
    """Its start and its end: a Python worker's traceback, which may be in it, says last what it was. Redacted before it
    is cut: of a secret that the cut goes through, one half would look like none."""
    error = redact_text(_ends_of(error, 40 * MAX_ERROR_CHARACTERS))
    return _ends_of(error, MAX_ERROR_CHARACTERS)


def _ends_of(text: str, characters: int) -> str:
    half = characters // 2 - 1
    return text if len(text) <= characters else text[:half] + "…" + text[-half:]
