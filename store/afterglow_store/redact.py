"""The second line of redaction: event logs and foreign journals were not written by our listener."""

from __future__ import annotations

import re

REDACTED = "*********(redacted)"
_SECRET_KEY = re.compile(r"secret|password|passwd|token|access[.]?key|api[._-]?key|credential", re.IGNORECASE)
_INNOCENT_KEY = re.compile(r"tokeniz|tokens?[._-]?(count|limit|num)", re.IGNORECASE)
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*://)[^/\s@:]*:[^/\s@]*@")
_PAIR = re.compile(
    r"(?P<key>[\w.-]*(?:secret|password|passwd|token|access[.]?key|api[._-]?key|credential)[\w.-]*)"
    r"(?P<gap>=|\s*:\s*\"?|\"\s*:\s*\")(?P<value>[^\s,;&\"']+)",
    re.IGNORECASE,
)
_OPTION = re.compile(
    r"(?P<key>--?[\w-]*(?:secret|password|passwd|token|access-?key|api-?key|credential)[\w-]*)\s+(?P<value>[^\s-]\S*)",
    re.IGNORECASE,
)


def redact_properties(properties: dict[str, str]) -> dict[str, str]:
    """The properties, with the whole value gone where the key tells a secret, and its secret-shaped parts elsewhere."""
    return {key: REDACTED if _names_secret(key) else redact_text(value) for key, value in properties.items()}


def redact_text(text: str) -> str:
    text = _USERINFO.sub(rf"\g<scheme>{REDACTED}@", text)
    text = _OPTION.sub(rf"\g<key> {REDACTED}", text)
    return _PAIR.sub(_hide_value, text)


def _names_secret(key: str) -> bool:
    return bool(_SECRET_KEY.search(key)) and not _INNOCENT_KEY.search(key)


def _hide_value(match: re.Match[str]) -> str:
    if not _names_secret(match["key"]):
        return match[0]
    return f"{match['key']}{match['gap']}{REDACTED}"
