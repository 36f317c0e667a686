"""Which runs each cell of the notebook made or touched: told by IPython of cells, by the hook of runs."""

import functools
import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, TypeVar

from afterglow.driver import LogCall
from afterglow.notebook.background import SLOW_SECONDS, Background
from afterglow.notebook.picture import RunPicture, lock
from afterglow.notebook.reading import Reading
from afterglow.notebook.static import as_text
from afterglow.notebook.view import RunsView
from afterglow.notebook_cell import CELL_TAG, COUNT_TAG, cell_tags

logger = logging.getLogger("afterglow")

# That a cell is kept busy by us and then waits, at its end, for what is being read. To show that comes on top, and all
# of it is to be less than 50 ms.
END_SECONDS = 0.03
PUBLISH_SECONDS = 0.25  # between two messages to the front end

_Method = TypeVar("_Method", bound=Callable[..., Any])


def quietly(method: _Method) -> _Method:
    """Log what `method` raises, where nobody sees it who did not ask for it: a cell's output is the user's. And add up
    how long it takes."""

    @functools.wraps(method)
    def guarded(self: "Cells", *args: Any, **kwargs: Any) -> Any:
        began = time.monotonic()
        try:
            return method(self, *args, **kwargs)
        except Exception:
            logger.info("Afterglow: %s failed", method.__qualname__, exc_info=True)
            return None
        finally:
            self.spent += time.monotonic() - began

    return guarded  # type: ignore[return-value]


def cell_that_runs(shell: Any) -> dict[str, str] | None:
    """The tags of the cell that is being executed by this thread; None where none is, as while a kernel starts."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code is not type(shell).run_cell_async.__code__:
        frame = frame.f_back
    return None if frame is None else cell_tags()


class Cells:
    """The cells of one kernel, the outputs under them, and all other outputs. Told of runs on the job's thread."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.reading = Reading(self._changed)
        self._publisher = Background("notebook", self._publish)
        self._running: list[RunsView] = []  # of the cell that is executed, and of those that it executes
        self._last: RunsView | None = None
        self._views: list[RunsView] = []  # that are shown
        self._dirty = False  # one of them is to be published
        self.spent = 0.0  # seconds that the present cell was kept by all of this
        self._lock = threading.RLock()

    def watch(self) -> None:
        """Be told of cells from now on, of the one that says so, too."""
        if (tags := cell_that_runs(self.shell)) is not None:
            self._running.append(RunsView(self.reading, cell=tags.get(COUNT_TAG, ""), cell_id=tags.get(CELL_TAG)))
        self.shell.events.register("pre_run_cell", self.cell_begins)
        self.shell.events.register("post_run_cell", self.cell_ends)

    def unwatch(self) -> None:
        """Be told of no more cells."""
        self.shell.events.unregister("pre_run_cell", self.cell_begins)
        self.shell.events.unregister("post_run_cell", self.cell_ends)

    # -- told by IPython -----------------------------------------------------------------------------------

    @quietly
    def cell_begins(self, info: Any) -> None:
        """IPython is about to execute a cell."""
        self.spent = 0.0
        # It is the next in the history; IPython's own count is one ahead by now, or not, by its version.
        number = str(len(self.shell.history_manager.input_hist_parsed)) if info.store_history else ""
        for view in [each for each in self._views if info.cell_id and each.cell_id == info.cell_id]:
            self._close(view)
        self._running.append(RunsView(self.reading, cell=number, cell_id=info.cell_id))

    @quietly
    def cell_ends(self, result: Any) -> None:
        """IPython has executed a cell."""
        if not self._running:
            return
        self._last = view = self._running.pop()
        if not view.run_ids:
            return
        self._show(view)
        until = time.monotonic() + END_SECONDS - self.spent
        for reader, number in self.reading.wake(view.tracking_uris):
            reader.wait(number, until - time.monotonic())
        view.publish(static=True)

    # -- told by the hook ----------------------------------------------------------------------------------

    @quietly
    def touched(self, run_id: str, tracking_uri: str, run: Any = None) -> None:
        """A run was made or became active, or was logged to."""
        with lock:
            picture = self.reading.picture(run_id, tracking_uri)
            picture.touch(run)
        self._shown_by_cell(picture)

    @quietly
    def logged(self, run_id: str, tracking_uri: str, call: LogCall) -> None:
        """Something was logged to a run."""
        with lock:
            picture = self.reading.picture(run_id, tracking_uri)
            picture.log(call)
        self._shown_by_cell(picture)

    @quietly
    def ended(self, run_id: str, tracking_uri: str, status: str) -> None:
        """A run was given a final status."""
        with lock:
            picture = self.reading.picture(run_id, tracking_uri)
            picture.end(status)
        self._shown_by_cell(picture)
        self.reading.wake([tracking_uri])

    def _shown_by_cell(self, picture: RunPicture) -> None:
        view = self._view_for(picture)
        if view is not None and view.add(picture):
            self.reading.wake([picture.tracking_uri])
            if self._is_live:
                self._show(view)
        self._changed(picture.run_id)

    def _view_for(self, picture: RunPicture) -> RunsView | None:
        """The output of the cell that is executed. What a thread does to a run of an earlier cell belongs there, and
        what it does between two cells to the first of them, if it has an output."""
        in_thread = threading.current_thread() is not threading.main_thread()
        shown = any(each.has(picture.run_id) for each in list(self._views))
        if self._running:
            return None if in_thread and shown else self._running[-1]
        return None if shown or self._last is None or not self._last.is_shown else self._last

    # -- outputs ---------------------------------------------------------------------------------------------

    @property
    def _is_live(self) -> bool:
        """Whether an output can change once it is there: not in a terminal."""
        return getattr(self.shell, "kernel", None) is not None

    def _show(self, view: RunsView) -> None:
        with self._lock:
            if not view.is_shown:
                self._views.append(view)
                view.show()

    def _close(self, view: RunsView) -> None:
        """Its cell is executed again: the front end has thrown the output away."""
        self._views.remove(view)
        view.close()
        self.reading.forget(each for each in view.run_ids if not any(other.has(each) for other in self._views))

    def text(self, pictures: Sequence[RunPicture], *, in_this_order: bool) -> str:
        """Runs that somebody asked for where there is no notebook."""
        return as_text(self._asked_for(pictures, in_this_order).state())

    def show(self, pictures: Sequence[RunPicture], *, in_this_order: bool) -> None:
        """Show runs that somebody asked for."""
        self._show(self._asked_for(pictures, in_this_order))
        self._publisher.wake()

    def _asked_for(self, pictures: Sequence[RunPicture], in_this_order: bool) -> RunsView:
        cell_id = self._running[-1].cell_id if self._running else None
        view = RunsView(self.reading, cell_id=cell_id, in_this_order=in_this_order)
        for each in pictures:
            view.add(each)
        return view

    def _changed(self, run_id: str) -> None:
        for view in list(self._views):
            if view.has(run_id):
                view.changed = True
                if not self._dirty:
                    self._dirty = True
                    self._publisher.wake()

    def _publish(self) -> float | None:
        self._dirty = False
        open_views = [each for each in list(self._views) if each.changed or not each.is_settled]
        for view in open_views:
            view.publish()
        time.sleep(PUBLISH_SECONDS)
        # What does not answer is found out by looking again.
        return SLOW_SECONDS if open_views else None
