"""Whether the pages may change anything, and in whose name they do."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import streamlit as st

from afterglow_monitor import data
from afterglow_monitor import format as fmt
from afterglow_monitor.access import sign_in
from afterglow_monitor.errors import CannotWrite
from afterglow_monitor.settings import load_settings
from afterglow_store.engine import answering
from afterglow_store.errors import NotFound, StoreUnreachable

if TYPE_CHECKING:
    from afterglow_monitor.writing import Writer

W = TypeVar("W", bound="Writer")


def may_write() -> bool:
    settings = load_settings()
    if settings.monitor.read_only:
        return False
    signed_in = sign_in.person()
    return signed_in.writes if signed_in is not None else not settings.sign_in.configured


def person() -> str:
    """Whose name goes into the audit. Without a sign-in, who runs the server is who sits at it."""
    signed_in = sign_in.person()
    return f"{signed_in.name if signed_in is not None else getpass.getuser()} in Monitor"


def writer(kind: type[W]) -> W:
    """A writer that acts for the person at the page. Raises CannotWrite for one who may only see."""
    from afterglow_monitor.writing import clients  # noqa: PLC0415 - MLflow takes a second to import

    return kind(data.store(), person(), clients(load_settings()), may_write())


def attempt(key: str, write: Callable[[], Any]) -> bool:
    """Do it, while a sign says so. What keeps it from being done is said by `refused` of the same key, now or by the
    next run."""
    st.session_state.pop(_of(key), None)
    try:
        with st.spinner("Writing to MLflow …"), answering():
            write()
    except (CannotWrite, NotFound) as exc:
        st.session_state[_of(key)] = str(exc)
        return False
    except StoreUnreachable as exc:
        st.session_state[_of(key)] = f"{plainly(exc)}, so it is not known whether this was done: look once it does."
        return False
    finally:
        st.cache_data.clear()  # what the pages have read may be what was just changed
    return True


def plainly(exc: Exception) -> str:
    return f"The store does not answer ({exc})" if isinstance(exc, StoreUnreachable) else str(exc)


def refused(key: str) -> None:
    """Says once what was refused, if anything was."""
    if said := st.session_state.pop(_of(key), None):
        st.error(fmt.verbatim(fmt.short(said, 400)), icon=":material/error:")


def _of(key: str) -> str:
    return f"refused {key}"
