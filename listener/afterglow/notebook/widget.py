"""What the front end draws: an anywidget, whose output carries a static table for wherever there is none."""

from pathlib import Path
from typing import Any

import anywidget
import traitlets

from afterglow.notebook.static import as_html, as_text

FRONT = Path(__file__).parent / "front"
PARTS = ("elements", "values", "runs", "chart", "comparison", "saved", "widget")  # of one module


def script() -> str:
    """What the front end runs: one text without imports, since it comes out of the kernel and not from a server."""
    return "\n".join((FRONT / f"{name}.js").read_text(encoding="utf-8") for name in PARTS)


class RunsWidget(anywidget.AnyWidget):
    """Runs as a table and as a chart. `state` is all that it shows, by `RunsView.state`; the other traits are what the
    person who looks at it has chosen, so that it is the same after the output is drawn anew."""

    _esm = script()
    _css = (FRONT / "widget.css").read_text(encoding="utf-8")

    state = traitlets.Dict().tag(sync=True)
    history = traitlets.Dict().tag(sync=True)  # [step, value] pairs by metric and run id
    tab = traitlets.Unicode("runs").tag(sync=True)  # or "comparison"
    chart = traitlets.Dict().tag(sync=True)  # type, x, y; whatever is not there is chosen by the front end
    open_runs: traitlets.List[str] = traitlets.List().tag(sync=True)  # ids of the runs whose details are unfolded

    own_id = traitlets.Unicode().tag(sync=True)  # by which the output names it

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.own_id = self.model_id

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_() or ({}, {})
        return {**data, "text/html": as_html(self.state), "text/plain": as_text(self.state)}, metadata
