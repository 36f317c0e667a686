"""Unequal tasks, as they are shown: how far the worst of a stage was from the others."""

from __future__ import annotations

from collections.abc import Sequence

from afterglow_monitor import format as fmt
from afterglow_monitor.data import Row
from afterglow_store.skew import Figure, Skewed, skewed

SIGN = "▲ "
MOST_STAGES = 4  # named in a cell
_WORD: dict[Figure, str] = {"duration_ms": "time", "input_bytes": "input", "shuffle_read_bytes": "shuffle read"}


def of_stage(stage: Row) -> str:
    """`▲ 9.5 × the mean time`; nothing where its tasks were alike."""
    found = [f"{each.times:.1f} × the mean {_WORD[each.figure]}" for each in skewed(stage)]
    return SIGN + ", ".join(found) if found else ""


def of_job(stage_ids: Sequence[int]) -> str:
    """`▲ stage 7`, of a job whose stage 7 is skewed."""
    if not stage_ids:
        return ""
    shown = [str(each) for each in stage_ids[:MOST_STAGES]]
    more = [f"+{len(stage_ids) - MOST_STAGES}"] if len(stage_ids) > MOST_STAGES else []
    return f"{SIGN}{'stage' if len(stage_ids) == 1 else 'stages'} {', '.join([*shown, *more])}"


def worst(stage: Row) -> float | None:
    """How many times the mean its most unequal task was, where that counts as skew."""
    return next((each.times for each in skewed(stage)), None)


def said(stage: Row) -> str:
    """In a sentence: what one task of it had more of than the others."""
    return f"stage {stage['stage_id']}: " + ", ".join(_said(each) for each in skewed(stage))


def _said(each: Skewed) -> str:
    had = {
        "duration_ms": f"one task took {fmt.duration(each.most)}",
        "input_bytes": f"one task read {fmt.size(each.most)} of input",
        "shuffle_read_bytes": f"one task read {fmt.size(each.most)} of a shuffle",
    }
    return f"{had[each.figure]}, {each.times:.1f} × the mean"
