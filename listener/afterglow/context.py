"""MLflow's run context provider: the entry point by which an installed package is enough."""

from afterglow import hook
from afterglow.settings import disabled_by_environment


class AfterglowRunContext:
    """Tags each new run with the Spark application that it is made in.

    Not a subclass of MLflow's abstract class, which asks for the two methods only: MLflow is still being
    imported when it loads this module.
    """

    def in_context(self) -> bool:
        """Whether a SparkContext runs in this process. Creates none."""
        if disabled_by_environment():
            return False
        hook.install_within_start_run()
        return hook.driver.tags_for_new_run() is not None

    def tags(self) -> dict[str, str]:
        """`spark.app.id` and its companions; empty without Spark."""
        return hook.driver.tags_for_new_run() or {}


hook.install()
