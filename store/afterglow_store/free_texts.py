"""The columns whose texts people and programs write as they like: each loses its secrets before it is stored."""

from __future__ import annotations

from typing import Any

from afterglow.redaction import redact_text

_FREE_TEXTS = frozenset(
    ("name", "description", "job_group", "tags", "error", "plan", "inputs", "outputs", "removed_reason", "master",
     "driver_error", "context_error")
)  # fmt: skip


def redact_values(row: dict[str, Any]) -> dict[str, Any]:
    """The row's values, with free texts redacted, also those inside of lists and objects."""
    return {column: _redacted(value) if column in _FREE_TEXTS else value for column, value in row.items()}


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, list):
        return [_redacted(each) for each in value]
    return {key: _redacted(each) for key, each in value.items()} if isinstance(value, dict) else value
