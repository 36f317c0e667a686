"""Setting and deleting a tag of many runs at once: those that were chosen, or all that a list would show."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from afterglow_monitor import acting
from afterglow_monitor import format as fmt
from afterglow_monitor.clock import now_ms
from afterglow_monitor.errors import CannotWrite
from afterglow_store.engine import answering
from afterglow_store.errors import BadFilter, StoreUnreachable, TooSlow

MOST = 10_000  # runs at once
_ASKED = "tagging"
_ALL = "tagging all"  # run ids of the list when a person chose them, up to one more than MOST
_DONE = "tagged"  # run ids, for Undo
THESE, ALL = "these", "all"

AllIds = Callable[[int], list[str]]  # the first so many
Told = Iterator[tuple[str, str | None]]


def ask(run_ids: list[str], all_ids: AllIds | None, total: int) -> None:
    """Open the dialog, from a fragment too; `all_ids` gives those of the `total` runs that may be meant instead."""
    for kept in (_DONE, _ALL):
        st.session_state.pop(kept, None)
    st.session_state[_ASKED] = (run_ids, all_ids, total)
    st.rerun()


def show() -> None:
    """The dialog, if it was asked for. Call in the page itself: a fragment that draws itself again would close it."""
    if (asked := st.session_state.pop(_ASKED, None)) is not None:
        _dialog(*asked)


@st.dialog("Tag runs")
def _dialog(run_ids: list[str], all_ids: AllIds | None, total: int) -> None:
    if all_ids is not None:
        run_ids = _which(run_ids, all_ids, total)
    action = st.segmented_control("Do", ["Set", "Delete"], default="Set", required=True, label_visibility="collapsed")
    name = st.text_input("Name", key="bulk tag name")
    at_name = st.empty()
    value = st.text_input("Value", key="bulk tag value") if action == "Set" else ""
    at_value = st.empty()
    verb = "Set on" if action == "Set" else "Delete from"
    if st.button(f"{verb} {fmt.counted(len(run_ids), 'run')}", type="primary", disabled=not run_ids):
        wanted = _wanted(name, value, at_name, at_value, delete=action == "Delete")
        if wanted is not None:
            _told(run_ids, *wanted)
    if st.session_state.get(_DONE) and st.button("Undo", icon=":material/undo:"):
        _take_back(st.session_state.pop(_DONE))


def _which(selected: list[str], all_ids: AllIds, total: int) -> list[str]:
    """Those that a person chooses. They stay the same, whatever the list has later: what is written is what the button
    says."""
    labels = {
        THESE: f"The {fmt.counted(len(selected), 'run')} selected",
        ALL: f"All {fmt.counted(total, 'run')} of the list" if total <= MOST else f"The first {MOST:,} of the list",
    }
    which = st.radio("Which runs", list(labels), format_func=labels.__getitem__, label_visibility="collapsed")
    if which == THESE:
        st.session_state.pop(_ALL, None)
        return selected
    if _ALL not in st.session_state:
        try:
            with st.spinner("Counting the runs …"):
                st.session_state[_ALL] = all_ids(MOST + 1)
        except (BadFilter, TooSlow, StoreUnreachable) as exc:
            st.error(fmt.verbatim(acting.plainly(exc)), icon=":material/error:")
            return []
    found: list[str] = st.session_state[_ALL]
    if len(found) > MOST:
        st.caption(
            f"At most {MOST:,} runs are tagged at once, and the list has more: these are its first, in its order. For "
            "the others filter the list, or choose a shorter time."
        )
    return found[:MOST]


def _wanted(
    name: str, value: str, at_name: DeltaGenerator, at_value: DeltaGenerator, *, delete: bool
) -> tuple[dict[str, str], list[str]] | None:
    """What to set and to delete; None where that breaks the rules, which is said at the field."""
    from afterglow_monitor.writing.tags import wrong_name, wrong_value  # noqa: PLC0415 - MLflow takes a second to import

    wrong = ((at_name, wrong_name(name)), (at_value, None if delete else wrong_value(value)))
    for place, said in wrong:
        if said:
            place.error(fmt.verbatim(said))
    if any(said for _, said in wrong):
        return None
    return ({}, [name.strip()]) if delete else ({name.strip(): value}, [])


def _told(run_ids: list[str], set_: dict[str, str], delete: list[str]) -> None:
    from afterglow_monitor.writing.tags import Edit, Tagger  # noqa: PLC0415

    try:
        told = acting.writer(Tagger).change_many(run_ids, Edit(set_, delete), now=now_ms())
        st.session_state[_DONE] = _followed(told, len(run_ids), "changed")
    except CannotWrite as exc:
        st.error(fmt.verbatim(str(exc)), icon=":material/error:")


def _take_back(run_ids: list[str]) -> None:
    from afterglow_monitor.writing.tags import Tagger  # noqa: PLC0415

    _followed(acting.writer(Tagger).undo_many(run_ids, now=now_ms()), len(run_ids), "taken back")


def _followed(told: Told, number: int, done: str) -> list[str]:
    """Show how far it is, and what was refused; the ids of those that were done."""
    bar = st.progress(0.0)
    changed: list[str] = []
    refused: list[str] = []
    away = ""
    try:
        with answering():
            for at, (run_id, why) in enumerate(told, 1):
                if why is None:
                    changed.append(run_id)
                else:
                    refused.append(why)
                bar.progress(at / number, text=f"{at:,} of {fmt.counted(number, 'run')}")
    except StoreUnreachable as exc:
        away = acting.plainly(exc)
    bar.empty()
    st.cache_data.clear()
    st.success(f"{fmt.counted(len(changed), 'run')} {done}.", icon=":material/check_circle:")
    if refused:
        st.error(f"{fmt.counted(len(refused), 'run')} refused. The first: {fmt.verbatim(refused[0])}")
    if away:
        others = fmt.counted(number - len(changed) - len(refused), "run")
        st.error(fmt.verbatim(f"{away}, so it is not known what was done of the other {others}."))
    return changed
