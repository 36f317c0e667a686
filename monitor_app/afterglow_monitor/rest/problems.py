"""What the API answers where it cannot answer: MLflow's error codes, and a sentence that says what to do."""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from afterglow_monitor.collecting.bodies import Refused
from afterglow_monitor.errors import BadSettings, CannotWrite
from afterglow_store.errors import BadFilter, BadPage, BadWindow, NotFound, StoreError, TooSlow

logger = logging.getLogger(__name__)

BAD_VALUE, NOT_FOUND, NO_SUCH_ROUTE = "INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "ENDPOINT_NOT_FOUND"
FORBIDDEN, UNKNOWN, METHOD = "PERMISSION_DENIED", "UNAUTHENTICATED", "METHOD_NOT_ALLOWED"
UNAVAILABLE, TOO_SLOW = "TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED"


class Problem(Exception):
    """An answer that is none: its HTTP status, and what its JSON has."""

    def __init__(self, status: int, error_code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.headers = status, {"Retry-After": "5"} if error_code == UNAVAILABLE else {}
        self.body = {"error_code": error_code, "message": message, **more}


EXPECTED = (Problem, Refused, CannotWrite, StoreError, SQLAlchemyError, BadSettings)


def bad(parameter: str, message: str, **more: Any) -> Problem:
    return Problem(400, BAD_VALUE, message, parameter=parameter, **more)


def problem_of(error: Exception) -> Problem | None:
    """What to answer to an error that someone else can mend; None where it is the server's own: see its log."""
    match error:
        case Problem():
            return error
        case Refused():
            problem = Problem(error.status, UNKNOWN if error.status == 401 else FORBIDDEN, error.sentence)
            problem.headers |= error.headers
            return problem
        case BadFilter():
            # Where in the filter, or in what the list is to be ordered by, from 0.
            place = {"text": error.text, "start": error.start, "end": error.end}
            return Problem(400, BAD_VALUE, str(error), **place)
        case BadWindow():
            return bad("since", str(error))
        case BadPage():
            return bad("page_token", "page_token is of another list, or of none: leave it out for the first page")
        case NotFound():
            return Problem(404, NOT_FOUND, str(error))
        case TooSlow():
            return Problem(503, TOO_SLOW, str(error))
        case CannotWrite():  # nor read: MLflow does not answer
            return Problem(502, UNAVAILABLE, str(error))
    return None


def own_fault() -> Problem:
    return Problem(503, UNAVAILABLE, "Afterglow cannot reach its store, or its settings are wrong: its log says more")


def told(error: Exception) -> Problem:
    """What to answer to one of `EXPECTED`. What is the server's own fault is in its log."""
    found = problem_of(error)
    if found is None:
        logger.error("the API cannot answer", exc_info=error)
        found = own_fault()
    return found
