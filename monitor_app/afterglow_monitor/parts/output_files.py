"""The output files of a run, and a look into one of them."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import PurePosixPath

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import streamlit as st

from afterglow_monitor import artifacts, browser_address, data, live, places
from afterglow_monitor import format as fmt
from afterglow_monitor.access.links import STEP_MS
from afterglow_monitor.data import Row
from afterglow_monitor.errors import CannotWrite
from afterglow_monitor.listing.grid import Column, grid
from afterglow_monitor.parts import details
from afterglow_store.errors import NotFound

FILES = (Column("File", 240), Column("Size", 90, right=True))
MOST_BYTES = 20 << 20  # of a file that is looked into
MOST_CHARACTERS = 200_000
MOST_ROWS = 200
IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp")
FRAMED = (".html", ".htm", ".svg")  # what a browser would run: see artifacts.py
HEX_BYTES, HEX_WIDTH = 256, 16
_NO_LETTER = re.compile(r"[^ -~]")


def show(row: Row, zone: tzinfo, now: int) -> None:
    files = row["outputs"] or []
    if row["outputs"] is None and row["end_time"] is not None:
        details.nothing("Not listed", "Files are listed of runs of the last days, and when a run changes.")
        return
    if not files:
        details.nothing("No output files", "Artifacts that the run logs are listed here once it has ended.")
        return
    total = sum(each["size"] or 0 for each in files)
    more = "" if row["outputs_complete"] else "; there are more than were listed"
    st.caption(f"{fmt.counted(len(files), 'file')}, {fmt.size(total)}{more}. Click one to look into it.")
    left, right = st.columns([2, 3], gap="large")
    with left:
        lines = tree(files)
        cells = [
            {"File": "\u2003" * 2 * each.depth + each.name, "Size": fmt.size(each.bytes) if each.bytes else fmt.NOTHING}
            for each in lines
        ]
        targets = [
            None if each.path is None else places.run(row["run_id"], tab="outputs", file=each.path) for each in lines
        ]
        grid("files", FILES, cells, targets)
        if row["artifact_uri"]:
            details.copyable(row["artifact_uri"])
    with right:
        if path := browser_address.value("file"):
            _one(row, path)


@dataclass(frozen=True)
class Line:
    """Of the tree of files: a file with its `path`, or a folder, with what the files in it come to."""

    depth: int
    name: str
    bytes: int
    path: str | None


def tree(files: Sequence[Row]) -> list[Line]:
    """In each folder its files come before its folders, both by name."""
    lines: list[Line] = []
    _grow(lines, [(PurePosixPath(each["path"]).parts, each) for each in files], 0)
    return lines


def _grow(lines: list[Line], files: list[tuple[tuple[str, ...], Row]], depth: int) -> None:
    folders: dict[str, list[tuple[tuple[str, ...], Row]]] = {}
    for parts, each in sorted(files, key=lambda file: file[0]):
        if len(parts) - depth <= 1:
            lines.append(Line(depth, fmt.short(parts[-1] if parts else "", 500), each["size"] or 0, each["path"]))
        else:
            folders.setdefault(parts[depth], []).append((parts, each))
    for name, inside in folders.items():
        total = sum(each["size"] or 0 for _, each in inside)
        lines.append(Line(depth, f"▾ {fmt.short(name, 500)}/", total, None))
        _grow(lines, inside, depth + 1)


def _one(row: Row, path: str) -> None:
    try:
        size = artifacts.known_file(row, path)["size"] or 0
    except NotFound as exc:
        st.caption(fmt.verbatim(str(exc)))
        return
    details.section(fmt.verbatim(fmt.short(path, 120)))
    suffix = PurePosixPath(path).suffix.lower()
    _links(row["run_id"], path, alone=suffix == ".pdf" and size <= MOST_BYTES)
    if size > MOST_BYTES:
        st.caption(f"{fmt.size(size)} is too much to look into; download it.")
        return
    if suffix == ".pdf":
        return
    if suffix in FRAMED:
        st.iframe(places.here(artifacts.address(row["run_id"], path)), height=600)
        return
    try:
        with st.spinner("Fetching the file from MLflow …"):
            content = read(row["run_id"], path)
    except (CannotWrite, NotFound) as exc:
        st.error(fmt.verbatim(str(exc)), icon=":material/cloud_off:")
        return
    _look(content, suffix)


@live.part(STEP_MS / 2_000)  # with a sign-in, before the links are too old
def _links(run_id: str, path: str, *, alone: bool) -> None:
    """`alone`: also in a tab of its own."""
    link = places.here(artifacts.address(run_id, path, download=True))
    st.link_button("Download", link, icon=":material/download:")
    if alone:  # Chromium shows a PDF there, as little as it may do, and in no frame
        st.caption("A browser shows no PDF in a frame that may run nothing.")
        opened = places.here(artifacts.address(run_id, path))
        st.link_button("Open in a new tab", opened, icon=":material/open_in_new:")


@data.kept(ttl=60, max_entries=20)
def read(run_id: str, path: str) -> bytes:
    """Raises NotFound, and CannotWrite when MLflow does not give the file."""
    with artifacts.fetched(data.store(), data.run(run_id), path) as file:
        return file.read_bytes()


def _look(content: bytes, suffix: str) -> None:
    try:
        if suffix in IMAGES:
            st.image(content)
        elif suffix == ".json":
            st.json(json.loads(content), expanded=2)
        elif suffix in (".csv", ".tsv"):
            _table(pd.read_csv(io.BytesIO(content), sep="\t" if suffix == ".tsv" else ",", nrows=MOST_ROWS))
        elif suffix == ".parquet":
            _table(head_of_parquet(content))
        else:
            _text(content)
    except Exception as exc:  # noqa: BLE001 - a file may be anything, and each library has its own errors
        st.caption(f"It cannot be read as {suffix.removeprefix('.').upper()}: {fmt.verbatim(fmt.short(str(exc), 200))}")
        _text(content)


def head_of_parquet(content: bytes) -> pd.DataFrame:
    """Its first MOST_ROWS rows."""
    file = pq.ParquetFile(pa.BufferReader(content))
    first = next(file.iter_batches(MOST_ROWS), None)
    return pd.DataFrame(columns=file.schema_arrow.names) if first is None else first.to_pandas()


def _table(table: pd.DataFrame) -> None:
    st.dataframe(table, hide_index=True)
    if len(table) == MOST_ROWS:
        st.caption(f"The first {MOST_ROWS} rows.")


def hex_head(content: bytes) -> str:
    """Its first bytes as lines of their place, their hexadecimal numbers, and those of them that are letters."""
    lines = (content[at : at + HEX_WIDTH] for at in range(0, min(len(content), HEX_BYTES), HEX_WIDTH))
    return "\n".join(
        f"{number * HEX_WIDTH:06x}  {line.hex(' '):{3 * HEX_WIDTH - 1}}  {_NO_LETTER.sub('.', line.decode('latin-1'))}"
        for number, line in enumerate(lines)
    )


def _text(content: bytes) -> None:
    """As it is: Markdown too is shown as its source."""
    try:
        text = content[:MOST_CHARACTERS].decode(
            "utf-8", errors="strict" if len(content) <= MOST_CHARACTERS else "ignore"
        )
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        st.caption(f"{fmt.size(len(content))} that are no text. Download it to use it; it begins with:")
        st.code(hex_head(content), language=None)
        return
    st.code(text, language=None, height=600 if len(text) > 2_000 else "content")
    if len(content) > MOST_CHARACTERS:
        st.caption(f"The first {MOST_CHARACTERS:,} characters.")
