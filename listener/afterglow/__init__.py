"""Afterglow, the driver side: ties MLflow runs to the Spark application, and the Spark jobs, that made them.

Installed, it works by itself: MLflow loads it through the entry point `mlflow.run_context_provider`.
`afterglow.autolog()` says the same explicitly, and is needed where the package is on the path but not
installed. `AFTERGLOW_DISABLED=1` in the environment, or `spark.afterglow.enabled=false`, switches it off.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from afterglow.search import diff, search_applications, search_experiments, search_runs, snapshots, usage

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "autolog",
    "diff",
    "display_runs",
    "load_ipython_extension",
    "search_applications",
    "search_experiments",
    "search_runs",
    "snapshots",
    "unload_ipython_extension",
    "usage",
]
_OF_SEARCH = {"diff", "search_applications", "search_experiments", "search_runs", "snapshots", "usage"}


def autolog() -> None:
    """Link every MLflow run of this process to its Spark application, from now on.

    May be called any number of times, before or after MLflow and pyspark are imported, and while a run is
    active in the calling thread. It imports neither, creates no SparkSession and raises nothing.
    """
    from afterglow.hook import install  # noqa: PLC0415 - `import afterglow` stays free of side effects

    install()


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext afterglow`: the runs of each cell under that cell, from now on. Needs `afterglow[notebook]`."""
    from afterglow.notebook import load  # noqa: PLC0415 - most drivers are no notebooks

    load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """`%unload_ext afterglow`: what is shown stays, and nothing is added."""
    from afterglow.notebook import unload  # noqa: PLC0415 - most drivers are no notebooks

    unload(ipython)


def display_runs(
    runs: Any = None,
    *,
    experiment_names: Sequence[str] | None = None,
    filter_string: str = "",
    order_by: Sequence[str] | None = None,
    max_results: int = 20,
) -> None:
    """Show MLflow runs in a notebook, side by side and as a chart; elsewhere print them. Needs `afterglow[notebook]`.

    `runs` is a run id, an `mlflow.entities.Run`, a list of either, or a DataFrame with a column `run_id`. Without it
    they are searched for, as by `mlflow.search_runs`: the newest runs of `experiment_names`, or of the active
    experiment. At most `max_results` are shown, 100 of them at the most.

    Raises ValueError where that names no runs, and whatever MLflow raises when it is asked for them.
    """
    from afterglow.notebook import display_runs as display  # noqa: PLC0415 - most drivers are no notebooks

    display(
        runs,
        experiment_names=experiment_names,
        filter_string=filter_string,
        order_by=order_by,
        max_results=max_results,
    )


def __getattr__(name: str) -> Any:
    """The search functions, of which a driver that never searches need not know."""
    if name not in _OF_SEARCH:
        raise AttributeError(f"module 'afterglow' has no attribute {name!r}")
    from afterglow import search  # noqa: PLC0415

    return getattr(search, name)
