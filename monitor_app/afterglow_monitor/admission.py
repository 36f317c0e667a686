"""Who may send journals, and how fast."""

from __future__ import annotations

import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Sequence

from starlette.requests import Request

from afterglow_monitor.bodies import Refused

MAX_KEYS = 10_000  # whose rate is remembered: those that sent last
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
THIS_MACHINE = "this machine"


def admit(request: Request, secrets: Sequence[str]) -> str:
    """By which of the `secrets` a request may come in; without any it must come from this very machine. Raises Refused.

    A browser here that a foreign page has made to ask names that page's host; a proxy here says for whom it asks.
    """
    if secrets:
        return _by_secret(request, secrets)
    here = request.client is not None and _loopback(request.client.host)
    asked = request.url.hostname or ""
    proxied = any(name in request.headers for name in _FORWARDED)
    if not here or proxied or not (asked == "localhost" or _loopback(asked)):
        raise Refused(403, "this Afterglow has no collector.secrets, so it takes journals from its own machine only")
    return THIS_MACHINE


def _by_secret(request: Request, secrets: Sequence[str]) -> str:
    kind, _, shown = request.headers.get("authorization", "").partition(" ")
    given = shown.strip().encode("latin-1", "replace")
    # All are compared, each in the time that it takes whatever is shown.
    fitting = [each for each in secrets if hmac.compare_digest(each.encode(), given)]
    if kind.lower() != "bearer" or not fitting:
        raise Refused(401, "show one of the collector's secrets: Authorization: Bearer …", WWW_Authenticate="Bearer")
    return fitting[0]


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


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
