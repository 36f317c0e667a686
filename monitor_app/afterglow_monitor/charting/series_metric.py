"""A metric of the models beside how long their applications took: slower, and worse?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from afterglow_monitor import browser_address, data
from afterglow_monitor.charting.expectations import Expected, expectation
from afterglow_monitor.data import Row
from afterglow_monitor.listing.toolbar import choice, pick
from afterglow_store.search.primary import lower_is_better

HIGHER, LOWER = "higher", "lower"
BETTER = {HIGHER: "Higher is better", LOWER: "Lower is better"}


def ask(rows: Sequence[Row]) -> tuple[str, str] | None:
    """The metric, and which way is better; None where these applications have no metric, or none is wanted."""
    names = data.metrics_of_applications(tuple(each["id"] for each in rows))
    if not names:
        return None
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="series metric"):
        metric = pick("metric", names, key="series metric of", also={"better": None})
        better = browser_address.value("better")
        better = better if better in BETTER else usual(metric)
        choice("better", BETTER, better)
    return metric, better


def usual(metric: str) -> str:
    return LOWER if lower_is_better(metric) else HIGHER


def worse(values: Mapping[int, float], better: str) -> tuple[Expected | None, set[int]]:
    """What is expected of the metric, as of a duration, and the applications whose value is worse than that."""
    expected = expectation(list(values.values()), floor=None)
    if expected is None:
        return None, set()
    bad = {of for of, value in values.items() if (value > expected.high if better == LOWER else value < expected.low)}
    return expected, bad
