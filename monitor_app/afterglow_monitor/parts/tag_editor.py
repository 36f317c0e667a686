"""The tags of a run: what they are, a form that sets and deletes them, and what was changed here, to be taken back."""

from __future__ import annotations

from datetime import tzinfo

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from afterglow_monitor import acting, address, browser_address, data, places
from afterglow_monitor import format as fmt
from afterglow_monitor.clock import now_ms
from afterglow_monitor.data import Row
from afterglow_monitor.listing.grid import Column, grid
from afterglow_monitor.parts import details
from afterglow_store.audit import TAG

TAGS = (Column("Tag", 200), Column("Value", 420))


def show(row: Row, zone: tzinfo, now: int) -> None:
    tags = row["tags"] or {}
    own = fmt.own_tags(tags)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _own(row, own)
        if others := {name: value for name, value in tags.items() if name not in own}:
            details.section("Set by MLflow and Spark")
            details.name_values("tags", others, "Tag", search="Search in names and values")
    with right:
        if acting.may_write():
            _form(row, own)
        _history(row, zone, now)


def _own(row: Row, own: dict[str, str]) -> None:
    if not own:
        details.nothing("No tags yet", "Tags of your own tell runs apart, and filters find runs by them.")
        return
    details.section("Tags")
    names = sorted(own)
    cells = [{"Tag": fmt.short(name, 300), "Value": fmt.short(own[name], 2_000)} for name in names]
    grid(
        "tags",
        TAGS,
        cells,
        [places.run(row["run_id"], tab="tags", tag=name) if acting.may_write() else None for name in names],
    )


def _form(row: Row, own: dict[str, str]) -> None:
    """For the tag that the address names, else for a new one."""
    chosen = browser_address.value("tag")
    known = chosen if chosen in own else ""
    details.section("Change a tag" if known else "Add a tag")
    key = f"{row['run_id']} {known} {own.get(known, '')}"
    with st.form(f"tag {key}", enter_to_submit=True):
        name = st.text_input("Name", known, key=f"tag name {key}", disabled=bool(known))
        at_name = st.empty()
        value = st.text_area("Value", own.get(known, ""), key=f"tag value {key}", height=96)
        at_value = st.empty()
        with st.container(horizontal=True):
            save = st.form_submit_button("Save", type="primary")
            delete = bool(known) and st.form_submit_button("Delete", icon=":material/delete:")
    if known:
        places.link("Add another tag instead", places.run(row["run_id"], tab="tags"), icon=":material/add:")
    if save:
        _save(row["run_id"], name, value, at_name, at_value)
    elif delete:
        _change(row["run_id"], delete=known)
    acting.refused("tags")


def _save(run_id: str, name: str, value: str, at_name: DeltaGenerator, at_value: DeltaGenerator) -> None:
    from afterglow_monitor.writing.tags import wrong_name, wrong_value  # noqa: PLC0415 - MLflow takes a second to import

    wrong = ((at_name, wrong_name(name)), (at_value, wrong_value(value)))
    for place, said in wrong:
        if said:
            place.error(fmt.verbatim(said))
    if not any(said for _, said in wrong):
        _change(run_id, set_={name.strip(): value})


def _change(run_id: str, *, set_: dict[str, str] | None = None, delete: str | None = None) -> None:
    from afterglow_monitor.writing.tags import Edit, Tagger  # noqa: PLC0415

    edit = Edit(set_ or {}, [delete] if delete else [])
    if acting.attempt("tags", lambda: acting.writer(Tagger).change(run_id, edit, now=now_ms())):
        address.change(tag=None)
    st.rerun()


def _history(row: Row, zone: tzinfo, now: int) -> None:
    changes = data.tag_changes_of(row["run_id"])
    if not changes:
        return
    details.section("Changed here")
    for each in changes[:5]:
        st.caption(f"{fmt.when(each['time'], zone, now=now)}  ·  {fmt.verbatim(fmt.short(each['who'], 60))}")
        for line in _lines(each):
            st.text(line)
    if changes[0]["action"] == TAG and acting.may_write():
        st.button("Undo the last change", icon=":material/undo:", on_click=lambda: _undo(row["run_id"]))


def _lines(change: Row) -> list[str]:
    before, after = change["before"]["tags"], change["after"]["tags"]
    shown = []
    for name in after:
        was, is_ = (fmt.NOTHING if value is None else fmt.short(value, 80) for value in (before[name], after[name]))
        shown.append(f"{fmt.short(name, 60)}: {was} → {is_}")
    return shown


def _undo(run_id: str) -> None:
    from afterglow_monitor.writing.tags import Tagger  # noqa: PLC0415

    acting.attempt("tags", lambda: acting.writer(Tagger).undo(run_id, now=now_ms()))
