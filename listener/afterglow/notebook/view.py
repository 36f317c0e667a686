"""The runs that are shown together, under one cell or by one `display_runs`."""

import logging
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from IPython.display import display

from afterglow.journal import now_ms
from afterglow.notebook.links import monitor_address, monitor_page
from afterglow.notebook.picture import RunPicture, lock
from afterglow.notebook.reading import Reading
from afterglow.notebook.widget import RunsWidget

logger = logging.getLogger("afterglow")

MAX_RUNS = 100  # of one output; the latest
MAX_HISTORIES = 40  # series of one output: a run's metric over its steps


class RunsView:
    """One output: the runs in it, in the order in which they came, and the widget that shows them."""

    def __init__(
        self, reading: Reading, *, cell: str = "", cell_id: str | None = None, in_this_order: bool = False
    ) -> None:
        self._reading, self._cell, self.cell_id = reading, cell, cell_id
        self._in_this_order = in_this_order  # of somebody's own; else runs are behind those that they are nested in
        self._runs: dict[str, RunPicture] = {}
        self._dropped = 0
        self._widget: RunsWidget | None = None
        self._handle: Any = None  # IPython's, of the output
        self._static: tuple[Any, ...] = ()  # what the output's static table was made of
        self._publishing = threading.Lock()
        self.changed = False  # since it was last published

    @property
    def is_shown(self) -> bool:
        """Whether there is an output."""
        return self._widget is not None

    @property
    def run_ids(self) -> list[str]:
        """Of the runs in it."""
        return list(self._runs)

    def has(self, run_id: str) -> bool:
        """Whether a run is in it."""
        return run_id in self._runs

    @property
    def tracking_uris(self) -> set[str]:
        """Of the servers that its runs are on."""
        with lock:
            return {each.tracking_uri for each in self._runs.values()}

    def add(self, picture: RunPicture) -> bool:
        """Show this run, too; whether it was not shown before."""
        with lock:
            if picture.run_id in self._runs:
                return False
            self._runs[picture.run_id] = picture
            if len(self._runs) > MAX_RUNS:
                self._runs.pop(next(iter(self._runs)))
                self._dropped += 1
            return True

    def show(self) -> None:
        """Put the output under the cell that is being executed. To be called once."""
        state = self.state()
        self._widget = RunsWidget(state=state, history=self.history())
        self._widget.on_msg(lambda _widget, content, _buffers: self._asked(content))
        self._static = worth_saving(state)
        self._handle = display(self._widget, display_id=True)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Its cell is executed again: the front end has thrown the output away."""
        if self._widget is not None:
            self._widget.close()
        self._widget = self._handle = None

    def publish(self, *, static: bool = False) -> None:
        """Show how it is now. `static`: have the notebook's own copy, the table, say so, too: the front end then draws
        the output anew."""
        with self._publishing:
            widget = self._widget
            if widget is None:
                return
            self.changed = False
            state, history = self.state(), self.history()
            # While runs are not over it is told that somebody still looks: the front end's clock goes by it.
            if not self.is_settled or {**state, "now": 0} != {**widget.state, "now": 0}:
                widget.state = state
            if history != widget.history:
                widget.history = history
            if (static or self.is_settled) and self._static != (worth := worth_saving(state)):
                self._static = worth
                self._handle.update(widget)

    def state(self) -> dict[str, Any]:
        """All that is shown, as JSON."""
        monitor = monitor_address()
        with lock:
            runs = [each.to_json() for each in self._runs.values()]
        for run in runs:
            run["monitor"], run["depth"] = monitor_page(monitor, run["id"]), 0
        return {
            "runs": runs if self._in_this_order else nested(runs),
            "more": self._dropped,
            "cell": self._cell,
            "now": now_ms(),
            "spark_ui": self._reading.spark_page if any(run["spark"] for run in runs) else "",
            "notes": self._reading.complaints(self.tracking_uris),
        }

    def history(self) -> dict[str, dict[str, list[list[float]]]]:
        """Of each metric that has more than one step, its values by run."""
        found: dict[str, dict[str, list[list[float]]]] = {}
        with lock:
            series = [(key, each) for each in self._runs.values() for key in each.points]
            for key, each in series[:MAX_HISTORIES]:
                points = [[step, value] for step, value in each.points[key]]
                if len({step for step, _ in points}) > 1:
                    found.setdefault(key, {})[each.run_id] = points
        return found

    @property
    def is_settled(self) -> bool:
        """Whether all runs are over, and read since then."""
        with lock:
            return all(each.is_over and each.is_read for each in self._runs.values())

    def _asked(self, content: Any) -> None:
        """The front end wants the history of a metric that this process did not log itself."""
        if isinstance(content, dict) and isinstance(content.get("history"), str):
            self._reading.read_history(self.run_ids, content["history"])


def nested(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each run behind the one that it is nested in, where that is there, with how deep it is in them."""
    ids = {run["id"] for run in runs}
    below: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        below.setdefault(run["parent"] if run["parent"] in ids else "", []).append(run)

    def from_here(parent: str, depth: int) -> Iterator[dict[str, Any]]:
        for run in below.pop(parent, ()):
            yield {**run, "depth": depth}
            yield from from_here(run["id"], depth + 1)

    # A tag can be anybody's: runs that name each other are below nothing.
    return [*from_here("", 0), *(run for rest in list(below.values()) for run in rest)]


def worth_saving(state: dict[str, Any]) -> tuple[Any, ...]:
    """What has to be other for the notebook's own copy to be written anew."""
    return tuple((run["id"], run["status"], str(run["metrics"]), str(run["spark"])) for run in state["runs"])
