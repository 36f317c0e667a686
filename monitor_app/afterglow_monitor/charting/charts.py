"""Charts of runs: what a person asks for, as it is kept in an address, and how it is drawn."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import parse_qsl, urlencode

import altair as alt
import pandas as pd

from afterglow_monitor import format as fmt
from afterglow_monitor.charting import run_fields
from afterglow_monitor.charting.run_fields import DURATION, RUN, START
from afterglow_monitor.data import Row

SCATTER, BAR, BOX, PARALLEL, LINE = "scatter", "bar", "box", "parallel", "line"
TYPES = {
    BAR: "Bar",
    SCATTER: "Scatter",
    LINE: "Line (metric history)",
    BOX: "Box",
    PARALLEL: "Parallel coordinates",
}
_RUN = "_run"  # the column of names that tell the runs apart
_NO_WORD = re.compile(r"[^\w-]+")
Plain = dict[str, str]  # the columns of a table by the names of their fields
Drawn = Any  # a chart of Altair, whose methods say that they return anything

STEP, TIME = "step", "time"  # the X of a line
HEIGHT_PX = 340
MOST_LEVEL = 5  # names below a chart


@dataclass(frozen=True)
class Chart:
    """`x`, `y` and `colour` are names of run_fields; `y` of parallel coordinates are several, after commas, and a
    line's is a metric over `x`, STEP or TIME."""

    type: str = BAR
    x: str = RUN
    y: str = ""
    colour: str = ""
    log: bool = False
    title: str = ""

    @property
    def text(self) -> str:
        """For an address."""
        said = {each.name: getattr(self, each.name) for each in fields(self)}
        return urlencode({name: "yes" if value is True else value for name, value in said.items() if value})

    @property
    def heading(self) -> str:
        return self.title or (self.y.replace(",", ", ") if self.type == PARALLEL else f"{self.y} by {self.x}")


def from_text(text: str) -> Chart:
    """Whatever an address says: what it does not say, or says wrongly, is as it is by default."""
    said = dict(parse_qsl(text))
    known = {name: said[name] for name in ("x", "y", "colour", "title") if name in said}
    kind = said.get("type", BAR)
    return Chart(type=kind if kind in TYPES else BAR, log=said.get("log") == "yes", **known)


def usual(rows: Sequence[Row]) -> list[Chart]:
    """What to show before anyone has asked for anything: the best-known metric, by run and by what was tried."""
    found = run_fields.metrics(rows)
    main = f"metrics.{found[0]}" if found else DURATION
    varied = [each for each in run_fields.names(rows) if each.startswith("params.") and _varies(rows, each)]
    charts = [Chart(BAR, RUN, main)]
    if len(varied) >= 2 and len(rows) > 2:
        charts.append(Chart(PARALLEL, y=",".join([*varied[:5], main])))
    else:
        charts.append(Chart(SCATTER, varied[0] if varied else DURATION, main))
    return charts


def draw(chart: Chart, rows: Sequence[Row], lines: pd.DataFrame | None = None) -> Drawn:
    """`lines`: of a line, columns `run`, `step`, `time` (UTC) and `value`, as histories.lines gives them."""
    if chart.type == LINE:
        return _line(chart, lines if lines is not None else pd.DataFrame(columns=["run", "step", "time", "value"]))
    wanted = chart.y.split(",") if chart.type == PARALLEL else [chart.x, chart.y]
    if chart.type == BAR and chart.x == RUN:
        wanted = [chart.y]  # the names that tell the runs apart are there anyhow
    table = run_fields.frame(rows, dict.fromkeys([*wanted, *filter(None, [chart.colour]), START]))
    table.insert(0, _RUN, distinct_names(rows))
    plain = plain_names(table.columns)
    return _DRAW[chart.type](chart, table.rename(columns=plain), plain).properties(height=HEIGHT_PX)


def plain_names(fields: Iterable[str]) -> Plain:
    """For each field what its column is called, which the chart's data show: `metrics rmse`. Altair reads dots,
    colons and brackets in a column's name as more than a name."""
    plain: Plain = {}
    for each in fields:
        name = {_RUN: "run", RUN: "run name"}.get(each) or " ".join(_NO_WORD.sub(" ", each).split())
        taken = {*plain.values(), ""}
        more = ("", *(f" {number}" for number in range(2, len(taken) + 3)))
        plain[each] = next(found for found in (f"{name}{end}".strip() for end in more) if found not in taken)
    return plain


def distinct_names(rows: Sequence[Row]) -> list[str]:
    """The runs' names; with their ids, as much of them as it takes, where several have the same."""
    return told_apart([fmt.named(row["name"]) for row in rows], [row["run_id"] for row in rows], (6, 12))


def told_apart(names: Sequence[str], ids: Sequence[str], sizes: Sequence[int] = ()) -> list[str]:
    """The names; with the ids where several have the same. Of these the first so many characters, by the first of
    `sizes` at which they still differ."""
    size = next((size for size in sizes if len({each[:size] for each in ids}) == len(ids)), None)
    counts = Counter(names)
    return [
        name if counts[name] == 1 else f"{fmt.short(name, 60)} ({id_[:size]})"
        for name, id_ in zip(names, ids, strict=True)
    ]


def _axis(name: str, table: pd.DataFrame, plain: Plain, *, log: bool = False) -> dict[str, Any]:
    kind = "T" if name == START else ("Q" if run_fields.is_number(table[plain[name]]) else "N")
    scale = alt.Scale(type="symlog" if log and kind == "Q" else "linear", zero=False, nice=True)
    more = {"scale": scale} if kind == "Q" else {}
    return {"shorthand": f"{plain[name]}:{kind}", "title": name, **more}


def _across(name: str, table: pd.DataFrame, plain: Plain, *, log: bool = False) -> dict[str, Any]:
    """As `_axis`, from left to right."""
    axis = _axis(name, table, plain, log=log)
    return axis | {"axis": _names(table[plain[name]])} if axis["shorthand"].endswith(":N") else axis


def _names(column: pd.Series[Any]) -> alt.Axis:
    """A few stand level, to be read."""
    return alt.Axis(labelLimit=120, labelAngle=0 if column.nunique() <= MOST_LEVEL else -90)


def _tooltip(chart: Chart, plain: Plain) -> list[alt.Tooltip]:
    shown = [each for each in (chart.x, chart.y, chart.colour) if each in plain and each != RUN]
    return [alt.Tooltip(plain[_RUN], title="run"), *(alt.Tooltip(plain[each], title=each) for each in shown)]


def _coloured(chart: Chart, table: pd.DataFrame, plain: Plain) -> dict[str, Any]:
    return {"color": alt.Color(**_axis(chart.colour, table, plain))} if chart.colour in plain else {}


def _bar(chart: Chart, table: pd.DataFrame, plain: Plain) -> Drawn:
    by = plain[_RUN] if chart.x == RUN else plain[chart.x]
    x = alt.X(f"{by}:N", title=None if chart.x == RUN else chart.x, sort=None, axis=_names(table[by]))
    y = _axis(chart.y, table, plain, log=chart.log)
    if "scale" in y:  # a bar is as long as its value
        y["scale"] = alt.Scale(type="symlog" if chart.log else "linear", zero=True)
    return alt.Chart(table).mark_bar(cornerRadiusEnd=2).encode(
        x=x, y=alt.Y(**y), tooltip=_tooltip(chart, plain), **_coloured(chart, table, plain)
    )  # fmt: skip


def _scatter(chart: Chart, table: pd.DataFrame, plain: Plain) -> Drawn:
    return alt.Chart(table).mark_circle(size=70, opacity=0.75).encode(
        x=alt.X(**_across(chart.x, table, plain, log=chart.log)),
        y=alt.Y(**_axis(chart.y, table, plain, log=chart.log)),
        tooltip=_tooltip(chart, plain),
        **_coloured(chart, table, plain),
    )  # fmt: skip


def _box(chart: Chart, table: pd.DataFrame, plain: Plain) -> Drawn:
    return alt.Chart(table).mark_boxplot(extent="min-max", size=28).encode(
        x=alt.X(f"{plain[chart.x]}:N", title=chart.x, axis=_names(table[plain[chart.x]])),
        y=alt.Y(**_axis(chart.y, table, plain, log=chart.log)),
        **_coloured(chart, table, plain),
    )  # fmt: skip


def _parallel(chart: Chart, table: pd.DataFrame, plain: Plain) -> Drawn:
    """Each run a line over the fields, each field from its least to its greatest value."""
    names = chart.y.split(",")
    long = pd.concat([_along(table, plain, each) for each in names], ignore_index=True)
    order = [fmt.short(each, 40) for each in names]
    last = plain[chart.colour] if chart.colour in plain else plain[names[-1]]
    long["colour"] = [*table[last]] * len(names)
    kind = "Q" if run_fields.is_number(table[last]) else "N"
    base = alt.Chart(long).encode(
        x=alt.X("field:N", sort=order, title=None, axis=alt.Axis(labelAngle=0, labelLimit=160, labelPadding=18)),
        y=alt.Y("place:Q", title=None, axis=None),
        color=alt.Color(f"colour:{kind}", title=chart.colour or names[-1]),
        detail="run:N",
        tooltip=["run:N", "field:N", "value:N"],
    )
    text = {"x": alt.X("field:N", sort=order), "y": alt.Y("place:Q"), "text": "text:N"}
    ends = alt.Chart(pd.concat([_ends(table[plain[each]], each) for each in names], ignore_index=True))
    lowest = ends.transform_filter("datum.place == 0").mark_text(dy=12, fontSize=10, opacity=0.7).encode(**text)
    highest = ends.transform_filter("datum.place == 1").mark_text(dy=-10, fontSize=10, opacity=0.7).encode(**text)
    return base.mark_line(opacity=0.6) + base.mark_circle(size=45) + lowest + highest


def _ends(column: pd.Series[Any], name: str) -> pd.DataFrame:
    """What stands at the lower and the upper end of a field's axis."""
    if run_fields.is_number(column):
        ends = [fmt.metric(float(each)) for each in (column.min(), column.max())]
    else:
        found = sorted(column.dropna().astype(str).unique())
        ends = [fmt.short(each, 24) for each in (found[0], found[-1])] if found else ["", ""]
    return pd.DataFrame({"field": fmt.short(name, 40), "place": [0, 1], "text": ends})


def _along(table: pd.DataFrame, plain: Plain, name: str) -> pd.DataFrame:
    column = table[plain[name]]
    if run_fields.is_number(column):
        least, most = column.min(), column.max()
        place = (column - least) / (most - least) if most > least else column * 0 + 0.5
    else:
        codes = pd.Categorical(column.astype("string"))
        place = pd.Series(codes.codes).replace(-1, None) / max(1, len(codes.categories) - 1)
    shown = {
        "run": table[plain[_RUN]],
        "field": fmt.short(name, 40),
        "place": place,
        "value": column.astype("string"),
    }
    return pd.DataFrame(shown)


def _line(chart: Chart, lines: pd.DataFrame) -> Drawn:
    by_step = alt.X("step:Q", title="step", axis=alt.Axis(format="d"))
    x = alt.X("time:T", title=None) if chart.x == TIME else by_step
    scale = alt.Scale(type="symlog" if chart.log else "linear", zero=False)
    point = len(lines) <= 200
    return alt.Chart(lines).mark_line(point=point).encode(
        x=x, y=alt.Y("value:Q", title=chart.y, scale=scale), color=alt.Color("run:N", title=None),
        tooltip=["run:N", "step:Q", "time:T", "value:Q"],
    ).properties(height=HEIGHT_PX)  # fmt: skip


def _varies(rows: Sequence[Row], field: str) -> bool:
    return len({found for row in rows if (found := run_fields.value(row, field)) is not None}) > 1


_DRAW = {BAR: _bar, SCATTER: _scatter, BOX: _box, PARALLEL: _parallel}
