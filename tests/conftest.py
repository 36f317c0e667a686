"""What all tests share, and how they are dealt out to the two processes that run them."""

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

pytest_plugins = [
    "tests.support.browser",
    "tests.support.databases",
    "tests.support.demo",
    "tests.support.environment",
    "tests.support.generated",
    "tests.support.tracking",
    "tests.support.api",  # the last: it imports others of these
]

# Files whose fixtures are dear go to the same process, which then makes them once.
TOGETHER = {
    "tests/test_ingest.py": "tests/test_demo.py",
    "tests/test_journal_size.py": "tests/test_demo.py",
    "tests/test_journal_and_event_log.py": "tests/test_demo.py",
    "tests/test_event_logs.py": "tests/test_demo.py",
    "tests/test_task_lines.py": "tests/test_demo.py",
    "tests/test_small_logs.py": "tests/test_demo.py",
    "tests/test_object_stores.py": "tests/test_demo.py",
    "tests/browser/test_demo.py": "tests/test_demo.py",
    "tests/test_first_load.py": "tests/test_sync.py",
    "tests/test_generate.py": "tests/test_sync.py",
    "tests/test_snapshots.py": "tests/test_sync.py",
    "tests/test_forget.py": "tests/test_sync.py",
    "tests/test_retention.py": "tests/test_sync.py",
    "tests/test_tracking_database.py": "tests/test_sync.py",
    "tests/test_idle.py": "tests/test_sync.py",
    "tests/test_sync_of_old_runs.py": "tests/test_sync.py",
    "tests/test_sync_and_clocks.py": "tests/test_sync.py",
    "tests/test_sync_in_time.py": "tests/test_sync.py",
    "tests/test_sync_of_purged_runs.py": "tests/test_sync.py",
    "tests/test_rest_schema.py": "tests/test_rest.py",
    "tests/test_python_api.py": "tests/test_rest.py",
}

# Those that take minutes each begin first, or else one process would be at work on the last of them alone. The others
# follow by how many tests they have.
LONG = [
    "tests/test_links.py",
    "tests/browser/test_monitor.py",
    "tests/test_demo.py",
    "tests/test_hook.py",
    "tests/browser/test_writing.py",
    "tests/browser/test_pages.py",
    "tests/test_sync.py",
    "tests/test_listener.py",
    "tests/test_notebook.py",
    "tests/test_search_like_mlflow.py",
    "tests/test_status.py",
    "tests/browser/test_server.py",
    "tests/browser/test_files.py",
    "tests/matrix/test_spark_versions.py",
    "tests/matrix/test_killed_drivers.py",
    "tests/matrix/test_status_of_real_processes.py",
    "tests/matrix/test_collector_faults.py",
    "tests/matrix/test_several_servers.py",
    "tests/matrix/test_event_logs_like_the_history_server.py",
    "tests/matrix/test_status_in_the_long_run.py",
    "tests/matrix/test_backfill.py",
]


class Files(LoadFileScheduling):  # type: ignore[misc]  # untyped
    """A file's tests, which share its Spark session, stay in one process."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return TOGETHER.get(file, file)

    def _assign_work_unit(self, node: Any) -> None:
        for file in reversed([each for each in LONG if each in self.workqueue]):
            self.workqueue.move_to_end(file, last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Files:
    return Files(config, log)
