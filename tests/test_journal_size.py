"""How large journals get: docs/benchmarks.md has the figures."""

from collections import Counter
from pathlib import Path

import orjson
import pytest

from tests.support.demo import Demo

MOST_BYTES = 60 << 10  # of the demo's job with 87 Spark jobs
# A job that takes longer than the second for which lines wait has lines of its own for its beginning, its end and its
# stages: on a machine that does other things, too, there are more of them.
MORE_OF_A_LONG_JOB = 700


@pytest.fixture(scope="module")
def fit(demo: Demo) -> Path:
    """The journal of the demo's job that fits and tunes models."""
    return max(demo.journals, key=lambda path: path.stat().st_size)


def test_the_journal_of_a_job_that_fits_models_has_60_kilobytes(fit: Path) -> None:
    lines = fit.read_bytes().splitlines()
    bytes_by_event: Counter[str] = Counter()
    for line in lines:
        bytes_by_event[orjson.loads(line)["Event"]] += len(line) + 1
    print(sum(bytes_by_event.values()), bytes_by_event.most_common(8))
    long = sum(b'"SparkListenerJobStart"' in line for line in lines)
    assert sum(b'"AfterglowJob"' in line for line in lines) + long == 87
    assert sum(bytes_by_event.values()) <= MOST_BYTES + long * MORE_OF_A_LONG_JOB


def test_it_has_a_twentieth_of_spark_s_own_event_log(fit: Path, demo: Demo) -> None:
    [log] = [path for path in demo.event_logs.iterdir() if path.name in fit.read_text()]
    assert fit.stat().st_size < log.stat().st_size / 20
