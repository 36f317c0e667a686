"""Rows of lists as files: CSV, JSON and Parquet, in pieces that are sent while the rows are still read.

What columns a file has is known before its first row, so that no more of the rows is in memory than is written at once.
A param, metric or tag that is none of them by then, since its run got it later, is left out.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from afterglow_monitor.rest.schemas import SCHEMAS, Schema

PIECE = 1 << 16  # bytes sent at a time
BATCH = 1_000  # rows that are made into columns at once
GROUP = 10_000  # rows of a Parquet file that are compressed and written together

Row = dict[str, Any]
Columns = Mapping[str, pa.DataType]  # by name, in their order
Keys = Mapping[str, Collection[str]]  # of `params`, `metrics` and `tags` those that get a column


def columns(of: str, keys: Keys) -> dict[str, pa.DataType]:
    """Of a row of this schema: a column for each field, for each field of one within it, and for each of `keys`."""
    found: dict[str, pa.DataType] = {}
    for name, field in SCHEMAS[of]["properties"].items():
        if "$ref" in field:
            within = SCHEMAS[field["$ref"].rpartition("/")[2]]["properties"]
            found |= {f"{name}.{each}": _kind(schema) for each, schema in within.items()}
        elif "additionalProperties" in field:
            found |= {f"{name}.{key}": _kind(field["additionalProperties"]) for key in sorted(keys.get(name, ()))}
        else:
            found[name] = _kind(field)
    return found


def _kind(schema: Schema) -> pa.DataType:
    """Metrics are numbers: MLflow's NaN and infinities, which come as text, as well. Lists are their JSON."""
    said = schema.get("type", "string")
    types = {said} if isinstance(said, str) else {*said}
    if "number" in types:
        return pa.float64()
    return pa.int64() if "integer" in types else pa.bool_() if "boolean" in types else pa.string()


def flat(row: Row) -> Row:
    """One value a column; lists as they would be in JSON."""
    found: Row = {}
    for name, value in row.items():
        if isinstance(value, dict):
            found |= {f"{name}.{key}": each for key, each in value.items()}
        else:
            found[name] = orjson.dumps(value).decode() if isinstance(value, list) else value
    return found


def json_file(rows: Iterable[Row], _columns: Columns) -> Iterator[bytes]:
    begin = b"["
    for row in rows:
        yield begin + orjson.dumps(row)
        begin = b",\n"
    yield b"]" if begin != b"[" else b"[]"


def csv_file(rows: Iterable[Row], columns: Columns) -> Iterator[bytes]:
    text = io.StringIO()
    out = csv.DictWriter(text, columns, restval="", extrasaction="ignore")
    out.writeheader()
    yield _taken(text)
    for row in rows:
        out.writerow({name: harmless(value) for name, value in flat(row).items()})
        if text.tell() > PIECE:
            yield _taken(text)
    yield _taken(text)


def _taken(text: io.StringIO) -> bytes:
    said = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return said


def harmless(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula begins with an apostrophe: names come from anyone."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def parquet_file(rows: Iterable[Row], columns: Columns) -> Iterator[bytes]:
    schema, out = pa.schema(list(columns.items())), _Pieces()
    with pq.ParquetWriter(out, schema) as writer:
        yield out.taken()
        for group in _groups(rows, schema):
            writer.write_table(group)
            yield out.taken()
    yield out.taken()


class _Pieces(io.RawIOBase):
    """A file that is written to its end and read meanwhile."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._written.append(bytes(data))
        return len(self._written[-1])

    def taken(self) -> bytes:
        written, self._written = self._written, []
        return b"".join(written)


def _groups(rows: Iterable[Row], schema: pa.Schema) -> Iterator[pa.Table]:
    """Batches are kept as tables, which need less room than their rows."""
    tables: list[pa.Table] = []
    for batch in _batches(rows):
        tables.append(_table(batch, schema))
        if sum(each.num_rows for each in tables) >= GROUP:
            yield pa.concat_tables(tables)
            tables = []
    if tables:
        yield pa.concat_tables(tables)


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _table(rows: list[Row], schema: pa.Schema) -> pa.Table:
    each = [flat(row) for row in rows]
    arrays = [pa.array([_fit(row.get(field.name), field.type) for row in each], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _fit(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if kind == pa.float64():
        return float(value)  # "NaN" and "Infinity" too
    return str(value) if kind == pa.string() else value


# Of each kind how it is written, and what kind of file a browser is told that it is.
KINDS: dict[str, tuple[Callable[[Iterable[Row], Columns], Iterator[bytes]], str]] = {
    "csv": (csv_file, "text/csv"),
    "json": (json_file, "application/json"),
    "parquet": (parquet_file, "application/vnd.apache.parquet"),
}
