"""A generated MLflow database for the tests that only read it, on SQLite and on PostgreSQL: made once a session."""

from collections.abc import Iterator

import pytest

from tests.support.databases import PostgresCluster

RUNS, SEED, NOW = 500, 7, 1_795_000_000_000


def _generate(url: str) -> str:
    from tests.benchmarks.generate import generate  # noqa: PLC0415 - MLflow's own store takes seconds to import

    generate(url, RUNS, seed=SEED, now=NOW)
    return url


@pytest.fixture(scope="session")
def generated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _generate(f"sqlite:///{tmp_path_factory.mktemp('generated') / 'mlflow.db'}")


@pytest.fixture(scope="session")
def generated_postgres(postgres_cluster: PostgresCluster) -> Iterator[str]:
    with postgres_cluster.fresh_database() as url:
        yield _generate(url)


@pytest.fixture(scope="session", params=["generated_sqlite", "generated_postgres"], ids=["sqlite", "postgresql"])
def generated_url(request: pytest.FixtureRequest) -> str:
    """An MLflow database with RUNS runs in it, drawn with SEED, of the 400 days before NOW.

    A test may add runs that start later, in experiments of its own, and changes nothing else.
    """
    url: str = request.getfixturevalue(request.param)
    return url
