"""The boundary between the job and us: whatever goes wrong on our side of it is logged, and the job goes on."""

import functools
import logging
from collections.abc import Callable
from typing import Any, TypeVar

logger = logging.getLogger("afterglow")

_Method = TypeVar("_Method", bound=Callable[..., Any])


def never_raises(method: _Method) -> _Method:
    """Log what `method` raises, once a method, and return None instead."""
    said: set[str] = set()

    @functools.wraps(method)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except Exception as error:  # the job must not notice
            if method.__qualname__ not in said:
                said.add(method.__qualname__)
                logger.warning("Afterglow: %s failed: %r", method.__qualname__, error, exc_info=True)
            return None

    return guarded  # type: ignore[return-value]
