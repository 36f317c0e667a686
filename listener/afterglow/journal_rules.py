"""The rules of the hook's own journal, as the listener has them for its own: what of an event goes onto the disk, how
long a line may be, and how large the file."""

import json
import re
from dataclasses import dataclass
from typing import Any

from afterglow.redaction import redact_run, redact_text

MAX_LINE_BYTES = 256 << 10
HEARTBEAT = "AfterglowHeartbeat"
_OF_RUNS = ("AfterglowRunStart", "AfterglowRunEnd")
_FREE_TEXTS = {"Error": 20_000, "Tracking URI": 20_000}  # characters
_OF_APPLICATION = {"App Name": 1_000, "Master": 1_000}


@dataclass(frozen=True)
class JournalRules:
    """`max_bytes`: spark.afterglow.journal.maxSize. `more_keys` find keys of secrets, besides those that are known."""

    max_bytes: int = 256 << 20
    more_keys: "re.Pattern[str] | None" = None

    def allows(self, name: str, size: int) -> bool:
        """Whether an event of this name may be added to a journal of `size` bytes. Runs may until it is full. Half of
        the sixteenth after that is for beats, and the rest for ends: a driver that beats for weeks does not take it."""
        reserve = self.max_bytes // 16
        return size < self.max_bytes + (0 if name in _OF_RUNS else reserve // 2 if name == HEARTBEAT else reserve)

    def line(self, event: dict[str, Any], size: int) -> bytes | None:
        """What is written of `event`, with its newline, in UTF-8; None where it would be over 256 KiB. What MLflow has
        of a run, which the server reads there, is left out of a line that is too long, and of a journal that has
        `size` bytes and is nearly full."""
        clean = self._redacted(event)
        line = _encoded(clean)
        if "Run" in clean and (len(line) > MAX_LINE_BYTES or size >= self.max_bytes - self.max_bytes // 16):
            line = _encoded({key: value for key, value in clean.items() if key != "Run"})
        return line if len(line) <= MAX_LINE_BYTES else None

    def _redacted(self, event: dict[str, Any]) -> dict[str, Any]:
        """Without secrets in its free texts. What is inside of `Run` stays as MLflow has it, but for its addresses."""
        clean = self._texts(event, _FREE_TEXTS)
        if "Application" in clean:
            clean["Application"] = self._texts(clean["Application"], _OF_APPLICATION)
        if isinstance(clean.get("Run"), dict):
            clean["Run"] = redact_run(clean["Run"])
        return clean

    def _texts(self, said: dict[str, Any], limits: dict[str, int]) -> dict[str, Any]:
        """Redacts before it cuts: a secret that the cut goes through must not leave its first half."""
        return {
            key: redact_text(value[: 2 * limits[key]], self.more_keys)[: limits[key]]
            if key in limits and isinstance(value, str)
            else value
            for key, value in said.items()
        }


DEFAULT_RULES = JournalRules()


def to_line(event: dict[str, Any]) -> str:
    """`event` as one line of JSON, without its newline, keys in the order given."""
    line = json.dumps(event, ensure_ascii=False, allow_nan=False, default=str, separators=(",", ":"))
    return line.encode("utf-8", "replace").decode()  # half a surrogate pair is no UTF-8


def _encoded(event: dict[str, Any]) -> bytes:
    return to_line(event).encode() + b"\n"
