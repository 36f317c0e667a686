"""All of MLflow's internals that Afterglow touches.

- `mlflow.tracking.fluent._active_run_stack` (2.14: one list; later: a list a thread): shows each run become
  active and end, in its thread, however `start_run` was imported. Without it jobs are not tagged and
  resumed runs not linked.
- `TrackingServiceClient.create_run`: the one place where every run is made. Without it runs made through
  MlflowClient are not linked.
- `TrackingServiceClient.set_terminated` and `.update_run`: the end of any run. Without them run ends are not
  recorded; the server's sync still finds them.
- `TrackingServiceClient.log_metric`, `.log_param` and `.log_batch`: logging by id to a run that was made
  elsewhere. Without them such a run is not linked.
- `TrackingServiceClient.set_tag`, `.delete_tag`, `.log_artifact` and `.log_artifacts`: what else a notebook's cell does
  to a run. It links no run: whoever tags those of last year has not made them. Without them it is not shown there.
- `mlflow.tracking.fluent._safe_end_run`: MLflow's exit handler, to come after it, and to tell the runs that it ends
  from those that the program ended. Without it a run that is left open ends after the driver's end.

Each is looked for before it is touched, and done without, with one line in the log, where it is not there.
"""

import atexit
import functools
import logging
import sys
from types import ModuleType
from typing import Any

from afterglow.boundary import never_raises
from afterglow.driver import Driver, LogCall

logger = logging.getLogger("afterglow")

FLUENT = "mlflow.tracking.fluent"
CLIENT = "mlflow.tracking._tracking_service.client"
EXIT_HANDLER = "_safe_end_run"
FINAL_STATUSES = ("FINISHED", "FAILED", "KILLED")


def loaded_module(name: str) -> ModuleType | None:
    """The module, if it is imported completely; a half imported one would be patched in vain."""
    module = sys.modules.get(name)
    if module is None or getattr(module.__spec__, "_initializing", False):
        return None
    return module


def install(driver: Driver, *, replace_stack: bool) -> bool:
    """Put the patches on, once MLflow is imported; True when they are on.

    `replace_stack` swaps the calling thread's stack of runs as well, if MLflow has given it one already. Not
    to be done from within `start_run`, which holds on to the stack it began with and would lose its run.
    """
    fluent, client = loaded_module(FLUENT), loaded_module(CLIENT)
    if fluent is None or client is None:
        return False
    _patch_stack(fluent, driver, replace_stack)
    client_class = getattr(client, "TrackingServiceClient", None)
    _patch_method(client_class, "create_run", driver, _create_run)
    _patch_method(client_class, "set_terminated", driver, _set_terminated)
    _patch_method(client_class, "update_run", driver, _update_run)
    for name in ("log_metric", "log_param", "log_batch"):
        _patch_method(client_class, name, driver, _log)
    for name in ("set_tag", "delete_tag", "log_artifact", "log_artifacts"):
        _patch_method(client_class, name, driver, _touch)
    return True


def innermost_run_id() -> str | None:
    """The innermost active run of the calling thread, without starting one."""
    stack = _stack_of_this_thread(loaded_module(FLUENT))
    return stack[-1].info.run_id if stack else None


def run_last_at_exit(callback: Any) -> None:
    """Have `callback` called at exit after MLflow has ended its active run.

    Handlers run in reverse order. Registered before MLflow's, ours is last anyway; where MLflow was
    imported first its own is registered anew.
    """
    atexit.register(callback)
    end_run = getattr(sys.modules.get(FLUENT), EXIT_HANDLER, None)
    if end_run is not None:
        atexit.unregister(end_run)
        atexit.register(end_run)


class RunStack(list[Any]):
    """MLflow's stack of active runs, which tells the driver of each run that comes and goes."""

    driver: Driver

    def append(self, run: Any) -> None:
        super().append(run)
        self._activated(run)

    def pop(self, *index: Any) -> Any:
        run = super().pop(*index)
        self._deactivated(run)
        return run

    @never_raises
    def _activated(self, run: Any) -> None:
        import mlflow  # noqa: PLC0415 - loaded already: it owns this list

        self.driver.run_activated(run, mlflow.get_tracking_uri())

    @never_raises
    def _deactivated(self, run: Any) -> None:
        self.driver.run_deactivated(run, self[-1].info.run_id if self else None)


def _patch_stack(fluent: ModuleType, driver: Driver, replace: bool) -> None:
    RunStack.driver = driver
    stack: Any = getattr(fluent, "_active_run_stack", None)
    if isinstance(stack, RunStack):
        return
    if isinstance(stack, list):  # 2.14, whose start_run looks it up each time
        fluent._active_run_stack = _replaced(stack)  # type: ignore[attr-defined]
    elif hasattr(stack, "default_factory") and hasattr(stack, "set"):
        stack.default_factory = RunStack
        if replace and not isinstance(stack.get(), RunStack):
            stack.set(_replaced(stack.get()))
    else:
        logger.warning("Afterglow tags no Spark jobs: this MLflow has no %s._active_run_stack", FLUENT)


def _replaced(runs: list[Any]) -> RunStack:
    stack = RunStack()
    for run in runs:
        stack.append(run)
    return stack


def _stack_of_this_thread(fluent: ModuleType | None) -> list[Any]:
    stack = getattr(fluent, "_active_run_stack", None)
    if stack is not None and hasattr(stack, "get"):
        stack = stack.get()
    return stack if isinstance(stack, list) else []


def _patch_method(owner: Any, name: str, driver: Driver, patch: Any) -> None:
    original = getattr(owner, name, None)
    if original is None:
        logger.warning("Afterglow misses some runs: this MLflow has no TrackingServiceClient.%s", name)
    elif not hasattr(original, "_afterglow"):
        patched: Any = functools.wraps(original)(patch(original, driver))
        patched._afterglow = True
        setattr(owner, name, patched)


def _create_run(original: Any, driver: Driver) -> Any:
    def create_run(
        self: Any, experiment_id: Any, start_time: Any = None, tags: Any = None, run_name: Any = None, **more: Any
    ) -> Any:
        ours = driver.tags_for_new_run() or {}
        # MLflow's fluent API and its autologging have asked our context provider already.
        source = "tag" if "spark.app.id" in (tags or {}) else "client"
        if ours:
            tags = {**ours, **(tags or {})}
        run = original(self, experiment_id, start_time=start_time, tags=tags, run_name=run_name, **more)
        driver.run_created(run, self.tracking_uri, source)
        return run

    return create_run


def _set_terminated(original: Any, driver: Driver) -> Any:
    def set_terminated(self: Any, run_id: str, status: str | None = None, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(self, run_id, status, *args, **kwargs)
        finally:  # the run is over for this driver, whether or not MLflow could be told
            driver.run_terminated(run_id, self.tracking_uri, status or "FINISHED", at_exit=_in_exit_handler())

    return set_terminated


@never_raises
def _in_exit_handler() -> bool:
    """Whether MLflow's exit handler is among the callers: the program left the run open."""
    handler = getattr(getattr(sys.modules.get(FLUENT), EXIT_HANDLER, None), "__code__", None)
    frame = sys._getframe()
    while handler is not None and frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code is handler:
            return True
    return False


def _update_run(original: Any, driver: Driver) -> Any:
    def update_run(self: Any, run_id: str, status: str | None = None, *args: Any, **kwargs: Any) -> Any:
        result = original(self, run_id, status, *args, **kwargs)
        if status in FINAL_STATUSES:
            driver.run_terminated(run_id, self.tracking_uri, status)
        return result

    return update_run


def _log(original: Any, driver: Driver) -> Any:
    def log(self: Any, run_id: str, *args: Any, **kwargs: Any) -> Any:
        result = original(self, run_id, *args, **kwargs)
        driver.run_logged_to(run_id, self.tracking_uri, LogCall(original.__name__, args, kwargs))
        return result

    return log


def _touch(original: Any, driver: Driver) -> Any:
    def touch(self: Any, run_id: str, *args: Any, **kwargs: Any) -> Any:
        result = original(self, run_id, *args, **kwargs)
        driver.run_touched(run_id, self.tracking_uri, LogCall(original.__name__, args, kwargs))
        return result

    return touch
