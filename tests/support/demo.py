"""`afterglow demo --no-serve`, run for real once a session, with Spark's own event log switched on beside it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from afterglow_store import Store, open_store
from tests.support.parts import require

EVENT_LOG = """\
spark.eventLog.enabled true
spark.eventLog.dir {folder}
spark.eventLog.compress false
spark.eventLog.rolling.enabled false
"""


@dataclass(frozen=True)
class Demo:
    """What the demo left: its home with store and journals, what it printed, Spark's event logs."""

    home: Path
    output: str
    event_logs: Path

    @property
    def store_url(self) -> str:
        return f"sqlite:///{self.home / 'store.db'}"

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.home / 'demo' / 'mlflow.db'}"

    @property
    def journals(self) -> list[Path]:
        return sorted((self.home / "journal").glob("*.jsonl"))

    def events(self, app_id: str) -> list[dict[str, object]]:
        """Spark's own event log of an application."""
        return [orjson.loads(line) for line in (self.event_logs / app_id).read_bytes().splitlines()]

    def afterglow(self, *arguments: str) -> bytes:
        """What `afterglow …` prints, in the demo's home. Fails when it does not succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "afterglow_monitor.cli", *arguments],
            env={**os.environ, "AFTERGLOW_HOME": str(self.home)},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    require("jar")
    folder = tmp_path_factory.mktemp("demo")
    event_logs, conf = folder / "event-logs", folder / "conf"
    event_logs.mkdir()
    conf.mkdir()
    (conf / "spark-defaults.conf").write_text(EVENT_LOG.format(folder=event_logs))
    done = subprocess.run(
        [sys.executable, "-m", "afterglow_monitor.cli", "demo", "--no-serve"],
        env={**os.environ, "AFTERGLOW_HOME": str(folder / "home"), "SPARK_CONF_DIR": str(conf)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Demo(folder / "home", done.stdout, event_logs)


@pytest.fixture(scope="session")
def demo_store(demo: Demo) -> Iterator[Store]:
    """The demo's store. For reading only: it is shared."""
    store = open_store(demo.store_url)
    yield store
    store.close()
