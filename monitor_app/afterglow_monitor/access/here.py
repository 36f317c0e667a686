"""Whether a request comes from this very machine, and was meant for it.

The address of the peer alone does not tell: a proxy here passes on what strangers ask, and a browser here asks what a
foreign page tells it to, perhaps under a name of that page's own that leads here (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

_FORWARDED = ("forwarded", "via", "x-real-ip")
_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)


def is_here(scope: Scope) -> bool:
    """Whether peer, Host and Origin are this machine, and no proxy has had a hand in it."""
    headers = Headers(scope=scope)
    hosts = headers.getlist("host")
    client = scope.get("client")
    return (
        client is not None
        and is_loopback(client[0])
        and len(hosts) == 1
        and _HOST.fullmatch(hosts[0]) is not None
        and not any(name.startswith("x-forwarded") or name in _FORWARDED for name in headers)
        and all(urlsplit(origin).netloc == hosts[0] for origin in headers.getlist("origin"))
    )


def is_loopback(address: str) -> bool:
    """Of an address, or the name that everyone gives to his own machine."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
