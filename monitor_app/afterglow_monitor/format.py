"""Values as people read them: moments, spans, sizes, numbers, and text that must stay text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from afterglow_store.diff import version_label

NOTHING = "–"
_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~<>$&:^=\"'])")
# Addresses become links and `:names:` icons wherever they stand; an invisible joiner after these keeps them text.
_MADE_INTO_SOMETHING = re.compile(r"(:(?=//|[A-Za-z_+\-]|100:|1234:)|@|\bwww(?=\.))")
_NOT_SHOWN = re.compile(r"[\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def zone(name: str | None) -> tzinfo:
    """The time zone of that name; UTC where the browser tells none or one that we do not know."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def moment(millis: int | None, in_zone: tzinfo, *, now: int) -> str:
    """A day and time; the year only where it is not this one."""
    if millis is None:
        return NOTHING
    then, today = (datetime.fromtimestamp(each / 1000, in_zone) for each in (millis, now))
    return f"{then:%d %b %H:%M:%S}" if then.year == today.year else f"{then:%d %b %Y %H:%M}"


def clock(millis: int, in_zone: tzinfo) -> str:
    return f"{datetime.fromtimestamp(millis / 1000, in_zone):%H:%M:%S}"


def ago(millis: int | None, *, now: int) -> str:
    """How long ago, in its largest unit."""
    if millis is None:
        return NOTHING
    seconds = (now - millis) / 1000
    if seconds < 0:
        return "in the future"
    if seconds < 10:
        return "just now"
    if seconds < 60:
        return "< 1 min ago"
    for size, unit in _STEPS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return NOTHING


def when(millis: int | None, in_zone: tzinfo, *, now: int) -> str:
    """The moment and how long ago that is."""
    return NOTHING if millis is None else f"{moment(millis, in_zone, now=now)}  ·  {ago(millis, now=now)}"


def duration(millis: float | None) -> str:
    if millis is None:
        return NOTHING
    if millis < 0:  # two clocks that disagree
        return "0 s"
    if millis < 1_000:
        return f"{millis:.0f} ms"
    seconds = millis / 1000
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86_400:
        return f"{whole // 3_600} h {whole % 3_600 // 60:02} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3_600:02} h"


def lasting(row: Mapping[str, Any], *, now: int) -> str:
    """How long it took, or has taken so far."""
    if row.get("end_time") is None and row.get("start_time") is not None and row.get("status") == "RUNNING":
        return duration(now - row["start_time"])
    return duration(row.get("duration_ms"))


def exact_moment(millis: int | None, in_zone: tzinfo) -> str:
    """To the millisecond, with the zone: `2026-11-26 12:18:16.042 +01:00`."""
    if millis is None:
        return NOTHING
    return datetime.fromtimestamp(millis / 1000, in_zone).isoformat(" ", "milliseconds").replace("+", " +")


def exact_seconds(seconds: float | None) -> str:
    return NOTHING if seconds is None else f"{seconds:,.3f} s"


def core_time(seconds: float | None) -> str:
    """Core-seconds, in minutes or hours once there are some: `4.2 h`."""
    if not seconds:
        return NOTHING
    if seconds < 1:
        return f"{max(1, round(seconds * 1000))} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3_600 else f"{seconds / 3_600:,.1f} h"


def share(of_one: float | None) -> str:
    """A share of 1 in percent; a little is never shown as nothing, nor nearly all as all."""
    if of_one is None:
        return NOTHING
    if 0 < of_one < 0.01 or 0.99 < of_one < 1:
        return "< 1 %" if of_one < 0.5 else "> 99 %"
    return f"{of_one:.0%}".replace("%", " %")


def source(name: str | None) -> str:
    """The file or notebook without its folders: all of it is among the tags."""
    return short(re.split(r"[/\\]", (name or "").rstrip("/\\"))[-1], 80)


def run_source(row: Mapping[str, Any]) -> str:
    """Where a run was made: `cell 7 of train.ipynb` in a notebook, else its file."""
    tags = row["tags"] or {}
    file = source(tags.get("jupyter.notebook.path") or row["source_name"])
    number = tags.get("jupyter.cell.execution_count", "")
    in_cell = number.isdecimal() and len(number) < 7
    return f"cell {number} of {file or 'a notebook'}" if in_cell else file


GIT = "mlflow.source.git."  # begins the tags by which MLflow tells the version of the code


def commit(tags: Mapping[str, str] | None) -> str:
    """The version of the code as `git describe` has it: `3f2a9c1d`, `3f2a9c1d-dirty` with changes not committed."""
    said = short((tags or {}).get(f"{GIT}commit"), 200)[:8]
    return said and said + ("-dirty" if is_dirty(tags) else "")


def is_dirty(tags: Mapping[str, str] | None) -> bool:
    return (tags or {}).get(f"{GIT}dirty") == "true"


def branch(tags: Mapping[str, str] | None) -> str:
    return short((tags or {}).get(f"{GIT}branch"), 80)


def size(bytes_: float | None) -> str:
    if not bytes_:
        return NOTHING
    value = float(bytes_)
    for unit in _SIZES:
        if value < 1024 or unit == _SIZES[-1]:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}"
        value /= 1024
    return NOTHING


def count(number: int | None) -> str:
    return NOTHING if number is None else f"{number:,}"


def counted(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def with_failed(number: int | None, failed: int | None) -> str:
    """`12`, or `12 · 3 failed`."""
    return f"{number or 0:,}" + (f"  ·  {failed:,} failed" if failed else "")


def metric(value: Any) -> str:
    """A metric to five digits. MLflow's NaN and infinities come as strings (docs/journal.md)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return {"NaN": "NaN", "Infinity": "∞", "-Infinity": "-∞"}.get(str(value), str(value))
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "-∞")
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:.5g}"


def is_rounded(value: float) -> bool:
    """Whether `metric` shows it otherwise than it is."""
    return math.isfinite(value) and float(metric(value).replace(",", "")) != value


def pairs(values: Mapping[str, str] | None, *, most: int = 4) -> str:
    """A few `key value` on one line, for a cell."""
    shown = [f"{short(key, 40)} {short(value, 40)}" for key, value in list((values or {}).items())[:most]]
    more = len(values or {}) - most
    return "  ·  ".join([*shown, f"+{more}"] if more > 0 else shown) or NOTHING


def metrics(values: Mapping[str, Any] | None, *, most: int = 3) -> str:
    return pairs({key: metric(value) for key, value in (values or {}).items()}, most=most)


def own_tags(tags: Mapping[str, str] | None) -> dict[str, str]:
    """The tags that a person set: without MLflow's own and ours."""
    return {key: value for key, value in (tags or {}).items() if not key.startswith(("mlflow.", "spark.", "jupyter."))}


def in_workspace(name: str | None, workspace: str | None) -> str:
    """A name, or a server, with MLflow's workspace: in each of them there may be an experiment of the same name."""
    return named(name) if workspace is None else f"{named(name)} · {short(workspace, 63)}"


def versions(registered: Iterable[Mapping[str, Any]] | None) -> str:
    """`wine v3 · Production · @champion`, of several after commas."""
    return ", ".join(f"{each['name']} {version_label(each)}" for each in registered or ()) or NOTHING


def short(text: str | None, most: int) -> str:
    """One line of at most `most` characters, without control or direction characters."""
    line = _NOT_SHOWN.sub(" ", text or "")
    return line if len(line) <= most else line[: most - 1] + "…"


def named(text: str | None) -> str:
    """A name for a heading or a cell: never empty, never endless."""
    return short(text, 120).strip() or "(no name)"


def verbatim(text: str) -> str:
    """`text` for a place that reads Markdown, so that it shows as it is: names come from anyone."""
    return _MARKDOWN.sub(r"\\\1", _MADE_INTO_SOMETHING.sub("\\1\u2060", text))
