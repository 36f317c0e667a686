"""Afterglow, the driver side: ties MLflow runs to the Spark application, and the Spark jobs, that made them.

Installed, it works by itself: MLflow loads it through the entry point `mlflow.run_context_provider`.
`afterglow.autolog()` says the same explicitly, and is needed where the package is on the path but not
installed. `AFTERGLOW_DISABLED=1` in the environment, or `spark.afterglow.enabled=false`, switches it off.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from afterglow.search import diff, search_applications, search_experiments, search_runs, snapshots, usage

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "autolog",
    "diff",
    "search_applications",
    "search_experiments",
    "search_runs",
    "snapshots",
    "usage",
]


def autolog() -> None:
    """Link every MLflow run of this process to its Spark application, from now on.

    May be called any number of times, before or after MLflow and pyspark are imported, and while a run is
    active in the calling thread. It imports neither, creates no SparkSession and raises nothing.
    """
    from afterglow.hook import install  # noqa: PLC0415 - `import afterglow` stays free of side effects

    install()


def __getattr__(name: str) -> Any:
    """The search functions, of which a driver that never searches need not know."""
    if name not in __all__:
        raise AttributeError(f"module 'afterglow' has no attribute {name!r}")
    from afterglow import search  # noqa: PLC0415

    return getattr(search, name)
