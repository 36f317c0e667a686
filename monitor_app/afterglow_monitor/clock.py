"""The time of day, asked for in one place so that everything else can take it as a parameter."""

import time


def now_ms() -> int:
    """Milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000
