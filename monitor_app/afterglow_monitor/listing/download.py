"""What is under *Download*: a link for each kind of file, made while somebody looks at it, and how far each file is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from uuid import uuid4

import streamlit as st

from afterglow_monitor import browser_address, downloads, export, live
from afterglow_monitor import format as fmt
from afterglow_monitor.downloads import DONE, LOOKING, SENDING, STOPPED, Progress
from afterglow_monitor.places import here

LABELS = {"csv": "CSV", "parquet": "Parquet", "json": "JSON"}
REFRESH_SECONDS = 1.0
Asked = Mapping[str, list[str]]  # the words of an address


def of_list(what: str, of_experiment: tuple[str, str] | None) -> None:
    """Of all that the address lists. With a sign-in a link is good for minutes, so it is made once this is open, and
    again as long as it is."""
    which = dict(zip(("server", "experiment"), of_experiment or (), strict=False))
    with st.popover("Download", icon=":material/download:", key="download list", on_change="rerun") as shown:
        if shown.open:
            st.caption(f"All {what} of this list, in its order")
            _links(what, which)


@live.part(REFRESH_SECONDS)
def _links(what: str, which: Mapping[str, str]) -> None:
    links(what, browser_address.address(), which)


def links(what: str, asked: Asked, which: Mapping[str, str]) -> None:
    names = {kind: _name(export.address(what, kind, asked, **which), kind) for kind in LABELS}
    with st.container(horizontal=True, gap="small"):
        for kind, label in LABELS.items():
            st.link_button(label, here(export.address(what, kind, asked, **which, progress=names[kind])))
    for kind, name in names.items():
        if (progress := downloads.progress_of(name)) is not None:
            _show(f"{what}.{kind}", what, progress)


def _name(address: str, kind: str) -> str:
    """Of this session's download of that: nobody else can tell it, and another list is another download."""
    session = st.session_state.setdefault("downloads of session", uuid4().hex)
    return f"{hashlib.sha256(f'{session} {address}'.encode()).hexdigest()[:32]}-{kind}"


def _show(file: str, what: str, progress: Progress) -> None:
    said = _said(file, what.removesuffix("s"), progress)
    if progress.state in (LOOKING, SENDING) and progress.total:
        st.progress(min(1.0, progress.rows / progress.total), text=said)
    else:
        st.caption(said)


def _said(file: str, noun: str, progress: Progress) -> str:
    if progress.state == DONE:
        return f"{file}: done, {fmt.counted(progress.rows, noun)}"
    rows, total = progress.rows, progress.total
    far = fmt.counted(rows, noun) if total is None else f"{rows:,} of {fmt.counted(total, noun)}"
    return f"{file}: {_DOES.get(progress.state, '')}{far}"


_DOES = {LOOKING: "looking for its columns, ", STOPPED: "stopped at "}
