"""Whatever the description of the API allows, and does not: the server answers as it describes, and with no 5xx."""

from __future__ import annotations

import os
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks

from afterglow_monitor.rest.document import document
from tests.support import world
from tests.support.api import Served

MORE = int(os.environ.get("AFTERGLOW_EXAMPLES", "1"))
MOST_OF_AN_ADDRESS = 60_000  # bytes
KNOWN = {"app_id": world.LIVE_APP, "run_id": world.CV_PARENT, "experiment_id": "3", "snapshot_id": 1}
AS_DESCRIBED = [
    checks.not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
    checks.response_schema_conformance, checks.response_headers_conformance,
]  # fmt: skip


def described(*, coverage: bool) -> Any:
    schema = schemathesis.openapi.from_dict(document())
    schema.config.phases.coverage.enabled = coverage
    return schema


def tried(examples: int) -> settings:
    phases = [Phase.explicit, Phase.generate]
    checks_of_health = list(HealthCheck)
    return settings(max_examples=examples * MORE, deadline=None, database=None, phases=phases,
                    suppress_health_check=checks_of_health)  # fmt: skip


quick, thorough = described(coverage=False), described(coverage=True)


@quick.parametrize()  # type: ignore[untyped-decorator]
@tried(5)
def test_the_server_answers_as_its_description_says(case: schemathesis.Case[Any], served: Served) -> None:
    check(case, served)


@pytest.mark.matrix
@thorough.parametrize()  # type: ignore[untyped-decorator]
@tried(12)
def test_a_server_on_postgresql_answers_as_its_description_says(
    case: schemathesis.Case[Any], served_by_postgres: Served
) -> None:
    check(case, served_by_postgres)


def check(case: schemathesis.Case[Any], served: Served) -> None:
    """As it was drawn, and then of something that is there."""
    address = f"{served.address}/api/v1"
    try:
        # What is a text may still be no filter: that 400 is an answer to be had.
        case.call_and_validate(base_url=address, excluded_checks=[checks.positive_data_acceptance])
        there = KNOWN.keys() & case.path_parameters.keys()
        case.path_parameters.update({name: KNOWN[name] for name in there})
        if there:
            case.call_and_validate(base_url=address, checks=AS_DESCRIBED)
    except requests.ConnectionError:
        assert len(case.as_curl_command()) > MOST_OF_AN_ADDRESS  # uvicorn hears no more of it


def test_the_server_shows_its_description(served: Served) -> None:
    answer = requests.get(f"{served.address}/api/v1/openapi.json", timeout=60)
    assert answer.json() == document()
