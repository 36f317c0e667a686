"""Who may send journals and read over HTTP, and how fast."""

from __future__ import annotations

import hmac
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request

from afterglow_monitor.access.gate import access_of
from afterglow_monitor.access.here import is_here
from afterglow_monitor.access.rules import HERE, Access
from afterglow_monitor.collecting.bodies import Refused
from afterglow_store.tokens import ANY_CLUSTER

MAX_KEYS = 10_000  # whose rate is remembered: those that sent last


@dataclass(frozen=True)
class Sender:
    """Whose rate a sender uses up, and the only cluster whose journals it may send; None: everybody's."""

    key: str
    cluster: str | None = None


def admit(request: Request) -> Access:
    """Of whoever only reads. Raises Refused."""
    access = _access(request)
    if access is None or not access.reads:
        raise Refused(403, "only a signed-in browser or a token with the scope `read` may read here")
    return access


def admit_sender(request: Request, secrets: Sequence[str]) -> Sender:
    """By which of the `secrets`, or by what the gate let in, a request may send journals; without any of both it must
    come from this very machine. Raises Refused."""
    access = _access(request)
    if access is not None and access.clusters and (access is not HERE or not secrets):
        return Sender(access.who, None if ANY_CLUSTER in access.clusters else min(access.clusters))
    if secrets:
        return Sender(_by_secret(request, secrets))
    raise Refused(403, "this Afterglow has no collector.secrets, so it takes journals from its own machine only")


def _access(request: Request) -> Access | None:
    """What the gate said; of an application without one, only what is from here may do anything."""
    return access_of(request) or (HERE if is_here(request.scope) else None)


def _by_secret(request: Request, secrets: Sequence[str]) -> str:
    kind, _, shown = request.headers.get("authorization", "").partition(" ")
    given = shown.strip().encode("latin-1", "replace")
    # All are compared, each in the time that it takes whatever is shown.
    fitting = [each for each in secrets if hmac.compare_digest(each.encode(), given)]
    if kind.lower() != "bearer" or not fitting:
        raise Refused(401, "show one of the collector's secrets: Authorization: Bearer …", WWW_Authenticate="Bearer")
    return fitting[0]


class Rates:
    """How much each key has used lately: `per_second` of it, in bursts of up to `seconds` worth."""

    def __init__(self, per_second: float, *, seconds: float = 5.0) -> None:
        self._per_second, self._most = per_second, per_second * seconds
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key: what is left, as of when

    def take(self, key: str, amount: float, *, now: float | None = None) -> None:
        """Use `amount`. Raises Refused while what was used before is too much. `now`: s, monotonic."""
        now = time.monotonic() if now is None else now
        left, as_of = self._left.pop(key, (self._most, now))
        left = min(self._most, left + (now - as_of) * self._per_second)
        self._left[key] = (left - amount if left > 0 else left, now)
        if len(self._left) > MAX_KEYS:
            self._left.popitem(last=False)
        if left <= 0:
            wait = str(int(-left / self._per_second) + 1)
            raise Refused(429, "too much at once: wait as long as Retry-After says", Retry_After=wait)
