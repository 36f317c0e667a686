"""Statuses as they are shown: always a sign and a word, so that colour only helps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

Colour = Literal["green", "red", "blue", "orange", "gray"]


@dataclass(frozen=True)
class Look:
    word: str
    sign: str  # in tables, which draw text only
    icon: str  # elsewhere
    colour: Colour


LOOKS = {
    "RUNNING": Look("Running", "▶", ":material/play_circle:", "blue"),
    "SCHEDULED": Look("Scheduled", "○", ":material/schedule:", "blue"),
    "SUCCEEDED": Look("Succeeded", "✓", ":material/check_circle:", "green"),
    "FINISHED": Look("Finished", "✓", ":material/check_circle:", "green"),
    "COMPLETE": Look("Complete", "✓", ":material/check_circle:", "green"),
    "COMPLETED": Look("Completed", "✓", ":material/check_circle:", "green"),
    "FAILED": Look("Failed", "✕", ":material/error:", "red"),
    "KILLED": Look("Killed", "■", ":material/cancel:", "orange"),
    "LOST": Look("Lost", "?", ":material/help:", "orange"),
    "ORPHANED": Look("Orphaned", "?", ":material/link_off:", "orange"),
    "SUSPECT": Look("Suspect", "!", ":material/warning:", "orange"),
    "ENDED": Look("Ended", "–", ":material/stop_circle:", "gray"),
}
APPLICATION_STATUSES = ("RUNNING", "SUCCEEDED", "FAILED", "LOST", "ENDED")
RUN_STATUSES = ("RUNNING", "SCHEDULED", "FINISHED", "SUSPECT", "FAILED", "KILLED", "ORPHANED")


def look(status: str | None) -> Look:
    return LOOKS.get(status or "", Look((status or "unknown").capitalize(), "·", ":material/help:", "gray"))


def label(status: str | None) -> str:
    """For a table's cell."""
    return f"{look(status).sign} {look(status).word}"


def with_icon(status: str) -> str:
    """For a filter."""
    return f":{look(status).colour}[{look(status).icon}] {look(status).word}"


def badge(status: str | None) -> None:
    shown = look(status)
    st.badge(shown.word, icon=shown.icon, color=shown.colour)


def column(statuses: Iterable[str]) -> ColumnConfig:
    """A column of coloured chips; its cells are lists of one `label`."""
    known = list(statuses)
    return st.column_config.MultiselectColumn(
        options=[label(each) for each in known], color=[look(each).colour for each in known], width=112
    )
