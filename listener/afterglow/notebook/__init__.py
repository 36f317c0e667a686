"""`%load_ext afterglow`: the MLflow runs of each cell of a notebook, under that cell. docs/notebook.md.

Needs `afterglow[notebook]`. No cell waits for MLflow, Spark or Monitor: they are read on threads of their own.
"""

import logging
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from afterglow import hook
from afterglow.notebook_cell import shell
from afterglow.settings import disabled_by_environment

if TYPE_CHECKING:
    from afterglow.notebook.cells import Cells
    from afterglow.notebook.picture import RunPicture

logger = logging.getLogger("afterglow")

SPARK_WAIT_SECONDS = 0.5  # of `display_runs`, for what Spark did

_cells: "Cells | None" = None


def load(ipython: Any) -> None:
    """Show runs under the cells of this shell from now on. Repeatable."""
    if disabled_by_environment():
        logger.warning("Afterglow shows no runs: AFTERGLOW_DISABLED switches it off")
        return
    cells = _cells_of(ipython)
    hook.install()
    if hook.driver.watch is None:
        hook.driver.watch = cells
        cells.watch()


def unload(ipython: Any) -> None:
    """Add nothing to cells any more."""
    if _cells is not None and hook.driver.watch is _cells:
        hook.driver.watch = None
        _cells.unwatch()


def _cells_of(ipython: Any) -> "Cells":
    global _cells  # noqa: PLW0603 - like the hook, once a process
    try:
        from afterglow.notebook.cells import Cells  # noqa: PLC0415 - what it needs may be missing
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"no module named {error.name}: pip install 'afterglow[notebook]' into the kernel's Python", name=error.name
        ) from None
    if _cells is None or _cells.shell is not ipython:
        _cells = Cells(ipython)
    return _cells


def display_runs(
    runs: Any,
    *,
    experiment_names: Sequence[str] | None,
    filter_string: str,
    order_by: Sequence[str] | None,
    max_results: int,
) -> None:
    """See `afterglow.display_runs`."""
    if runs is None:
        found = _searched(experiment_names, filter_string, order_by, max_results)
    elif experiment_names or filter_string or order_by:
        raise ValueError("give either runs, or experiment_names, filter_string and order_by to search by")
    else:
        found = _given(runs)[:max_results]
    if not found:
        raise ValueError("there are no such runs")
    here = shell()
    cells = _cells_of(here)
    pictures = [_read(cells, each) for each in found]
    (spark, number), *_ = cells.reading.wake({each.tracking_uri for each in pictures})
    spark.wait(number, SPARK_WAIT_SECONDS)
    in_this_order = runs is not None or bool(order_by)
    if here is None:
        sys.stdout.write(cells.text(pictures, in_this_order=in_this_order) + "\n")
    else:
        cells.show(pictures, in_this_order=in_this_order)


def _searched(names: Sequence[str] | None, filter_string: str, order_by: Any, max_results: int) -> list[Any]:
    import mlflow  # noqa: PLC0415 - heavy; whoever asks for runs has it

    for name in names or ():
        if mlflow.get_experiment_by_name(name) is None:
            raise ValueError(f"there is no experiment {name!r} on {mlflow.get_tracking_uri()}")
    return list(
        mlflow.search_runs(
            experiment_names=list(names) if names else None,
            filter_string=filter_string,
            order_by=list(order_by) if order_by else None,
            max_results=max_results,
            output_format="list",
        )
    )


def _given(runs: Any) -> list[Any]:
    if hasattr(runs, "columns"):
        if "run_id" not in runs.columns:
            raise ValueError("the DataFrame has no column run_id")
        runs = list(runs["run_id"])
    several = runs if isinstance(runs, Iterable) and not isinstance(runs, str) and not hasattr(runs, "info") else [runs]
    found = list(several)
    for each in found:
        if not isinstance(each, str) and not hasattr(each, "info"):
            raise ValueError(f"{each!r} is neither a run id nor an MLflow run")
    return found


def _read(cells: "Cells", run: Any) -> "RunPicture":
    """The picture of a run that was asked for, by its id or as MLflow gave it: read anew."""
    import mlflow  # noqa: PLC0415 - heavy; whoever asks for runs has it

    run_id = run if isinstance(run, str) else run.info.run_id
    return cells.reading.read_now(run_id, mlflow.get_tracking_uri())
