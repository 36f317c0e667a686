"""What every answer forbids the browser, whatever a tag, a name or a file may hold.

Streamlit's charts make functions of text (`unsafe-eval`), and its styles are made in the page; beyond that only what
this server itself serves is loaded or run, and nothing is told to another one.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from pathlib import Path

import streamlit
from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

_PAGE = Path(streamlit.__file__).parent / "static" / "index.html"
_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def guarded(send: Send, *, https: bool = False) -> Send:
    """`send`, which adds to each answer the headers that its route has not set itself. `https`: browsers reach this
    server by it alone, and are to show its cookies nowhere else. Streamlit leaves that out: it does not know."""

    async def send_guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in every_answer().items():
                headers.setdefault(name, value)
            if https:
                message["headers"] = [_secure(*each) for each in message["headers"]]
        await send(message)

    return send_guarded


def _secure(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    if name.lower() != b"set-cookie" or b"; secure" in value.lower():
        return name, value
    return name, value + b"; Secure"


@functools.cache
def every_answer() -> dict[str, str]:
    return {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "SAMEORIGIN",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Content-Security-Policy": _policy(),
    }


def _policy() -> str:
    scripts = " ".join(f"'sha256-{_hash(each)}'" for each in _INLINE.findall(_PAGE.read_text(encoding="utf-8")))
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' 'unsafe-eval' {scripts}".rstrip(),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'self'",
        )
    )


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
