"""Rows of the API as a pandas DataFrame.

They are kept column by column as they come: numbers as numbers, and each text once, however many rows have it. So a
million runs take some hundreds of bytes each, not the kilobytes that their JSON has.
"""

from array import array
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
SPREAD = ("metrics", "params", "tags")  # a column for each of their keys, behind all others
_NO_TIME = -(2**63)  # numpy's NaT
_NUMBERS = ("duration_s", "idle_share", "allocated_core_seconds", "peak_execution_memory_bytes", "peak_heap_bytes")
_NAN = float("nan")


def pandas() -> Any:
    """Raises ImportError with what to do."""
    try:
        import pandas as pd  # noqa: PLC0415 - a driver that never searches need not have it
    except ImportError as exc:
        raise ImportError("afterglow's search functions give pandas DataFrames: pip install pandas") from exc
    return pd


def frame(rows: Iterable[Row], columns: Iterable[str] = ()) -> "pd.DataFrame":
    """A row each; `columns` are there whether there are rows or not. Times are UTC timestamps, metrics and what may be
    missing floats, lists tuples. Raises ImportError."""
    pd = pandas()
    table = _Table(columns)
    for row in rows:
        table.add(row)
    return table.frame(pd)


class _Table:
    def __init__(self, columns: Iterable[str]) -> None:
        self._texts: dict[Any, Any] = {}  # each text, and each tuple of them, once
        self._columns: dict[str, _Column] = {name: _column(name) for name in columns}
        self._rows = 0

    def add(self, row: Row) -> None:
        for name, value in row.items():
            if isinstance(value, dict) and name in (*SPREAD, "total"):
                for key, each in value.items():
                    self._put(f"{name}.{key}", each)
            else:
                self._put(name, tuple(value) if isinstance(value, list) else value)
        self._rows += 1

    def _put(self, name: str, value: Any) -> None:
        column = self._columns.get(name)
        if column is None:
            name = self._once(name)
            column = self._columns[name] = _column(name)
        column.put(self._rows, self._once(value))

    def _once(self, value: Any) -> Any:
        try:
            return self._texts.setdefault(value, value) if isinstance(value, str | tuple) else value
        except TypeError:  # a tuple of objects
            return value

    def frame(self, pd: Any) -> "pd.DataFrame":
        order = sorted(self._columns, key=_place)
        # Each column goes as its array is made, so that nothing is there twice.
        found = {name: self._columns.pop(name).values(pd, self._rows) for name in order}
        return pd.DataFrame(found, index=pd.RangeIndex(self._rows), copy=False)  # type: ignore[no-any-return]


def _place(name: str) -> tuple[int, str]:
    """Plain columns in their order, then metrics, params and tags by name."""
    kind, dot, _ = name.partition(".")
    return (1 + SPREAD.index(kind), name) if dot and kind in SPREAD else (0, "")


class _Column:
    """Whatever there is: text, tuples, booleans, None."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def put(self, at: int, value: Any) -> None:
        self.kept += [None] * (at - len(self.kept))
        self.kept.append(value)

    def values(self, pd: Any, rows: int) -> Any:
        self.kept += [None] * (rows - len(self.kept))
        return pd.Series(self.kept, dtype=object)


class _Numbers(_Column):
    """Floats, NaN where there is none. MLflow's NaN and infinities come as text."""

    def __init__(self) -> None:
        self.numbers = array("d")

    def put(self, at: int, value: Any) -> None:
        self.numbers.extend([_NAN] * (at - len(self.numbers)))
        self.numbers.append(_NAN if value is None else float(value))

    def values(self, pd: Any, rows: int) -> Any:
        import numpy as np  # noqa: PLC0415 - comes with pandas

        self.numbers.extend([_NAN] * (rows - len(self.numbers)))
        return np.frombuffer(self.numbers, dtype="float64")


class _Times(_Column):
    """ISO 8601 in UTC, kept as ms."""

    def __init__(self) -> None:
        self.millis = array("q")

    def put(self, at: int, value: Any) -> None:
        self.millis.extend([_NO_TIME] * (at - len(self.millis)))
        self.millis.append(_NO_TIME if value is None else round(datetime.fromisoformat(value).timestamp() * 1000))

    def values(self, pd: Any, rows: int) -> Any:
        import numpy as np  # noqa: PLC0415 - comes with pandas

        self.millis.extend([_NO_TIME] * (rows - len(self.millis)))
        moments = np.frombuffer(self.millis, dtype="datetime64[ms]").astype("datetime64[ns]")
        return pd.DatetimeIndex(moments).tz_localize("UTC")


class _Plain(_Column):
    """What shows by its first value whether it is whole numbers or something else."""

    def __init__(self) -> None:
        self.inner: _Column | array[int] | None = None

    def put(self, at: int, value: Any) -> None:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if self.inner is None:
            self.inner = array("q") if whole and at == 0 else _first(value)
        if isinstance(self.inner, array) and whole and at == len(self.inner):
            self.inner.append(value)
            return
        self.inner = _fitting(self.inner, value)
        self.inner.put(at, value)

    def values(self, pd: Any, rows: int) -> Any:
        import numpy as np  # noqa: PLC0415 - comes with pandas

        if isinstance(self.inner, array):
            if len(self.inner) == rows:
                return np.frombuffer(self.inner, dtype="int64")
            self.inner = _floats(self.inner)
        return (self.inner or _Column()).values(pd, rows)


def _first(value: Any) -> _Column:
    return _Numbers() if _is_number(value) else _Column()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fitting(inner: "_Column | array[int]", value: Any) -> _Column:
    """The column, or another one of the same values that takes this one, too."""
    if value is None or _is_number(value):
        return _floats(inner) if isinstance(inner, array) else inner
    if isinstance(inner, array):
        return _any(inner)
    return _any(inner.numbers) if isinstance(inner, _Numbers) else inner


def _floats(numbers: "array[int]") -> _Numbers:
    made = _Numbers()
    made.numbers.extend(map(float, numbers))
    return made


def _any(numbers: "array[int] | array[float]") -> _Column:
    made = _Column()
    made.kept = list(numbers)
    return made


def _column(name: str) -> _Column:
    if name.startswith("metrics.") or name in _NUMBERS:
        return _Numbers()
    return _Times() if name.endswith("_time") and "." not in name else _Plain()
