"""The static view of runs: a table in HTML, and one of plain text. A saved notebook and other front ends show these.

Names, params and tags come from anyone: all of it is text, never markup.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

MAX_COLUMNS = 4  # of metrics
MAX_PAIRS = 6  # params, and tags, that are named
MAX_CELL = 60  # characters

State = Mapping[str, Any]
Run = Mapping[str, Any]


def as_html(state: State) -> str:
    """A table without styles of its own but for alignment: the front end's theme is its."""
    runs = state.get("runs") or []
    columns = list(_html_columns(runs, state))
    head = "".join(f'<th style="text-align:left">{escape(name)}</th>' for name, _ in columns)
    rows = "".join(f"<tr>{''.join(_cell(cell(run)) for _, cell in columns)}</tr>" for run in runs)
    caption = escape(title(state))
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def as_text(state: State) -> str:
    """The same in columns of characters."""
    runs = state.get("runs") or []
    names = metric_columns(runs)
    table = [["run", "status", "duration", *map(_line, names), "spark", "id"]]
    table += [
        [_name(run), word(run), duration(run, state), *(_metric(run, name) for name in names), spark(run), run["id"]]
        for run in runs
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join([title(state), *lines])


def title(state: State) -> str:
    """How many runs of which cell these are."""
    runs, more = len(state.get("runs") or []), state.get("more") or 0
    counted = "1 run" if runs == 1 else f"{runs} runs"
    cell = f" of cell {state['cell']}" if state.get("cell") else ""
    return f"{counted}{cell}" + (f", and {more} more before them" if more else "")


def metric_columns(runs: Sequence[Run]) -> list[str]:
    """The metrics that most of these runs have."""
    counts: dict[str, int] = {}
    for run in runs:
        for key in run["metrics"]:
            counts[key] = counts.get(key, 0) + 1
    return sorted(counts, key=lambda key: (-counts[key], key))[:MAX_COLUMNS]


def word(run: Run) -> str:
    """The status, for people."""
    return "not readable" if run["missing"] and not run["status"] else str(run["status"] or "…").capitalize()


def duration(run: Run, state: State) -> str:
    """How long it took, or has taken until the state's time."""
    if run["start"] is None:
        return ""
    end = run["end"] if run["end"] is not None else state.get("now") or run["start"]
    seconds = max(0, end - run["start"]) / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min {int(seconds % 60):02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def spark(run: Run) -> str:
    """What its Spark jobs used."""
    use = run["spark"]
    if not use or not use["jobs"]:
        return ""
    jobs = "1 job" if use["jobs"] == 1 else f"{use['jobs']} jobs"
    failed = f", {use['failed_jobs']} failed" if use["failed_jobs"] else ""
    return f"{use['core_seconds']:.1f} core-s in {jobs}{failed}"


def number(value: Any) -> str:
    """Five figures of a metric."""
    if isinstance(value, str):
        return value.replace("Infinity", "∞")
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e7 else f"{value:.5g}"


def _html_columns(runs: Sequence[Run], state: State) -> Iterator[tuple[str, Callable[[Run], str]]]:
    """The head of each column, and what makes its cell in HTML; none of what no run has."""
    yield "Run", lambda run: f'<span style="padding-left:{1.5 * run["depth"]}em">{escape(_line(run["name"]))}</span>'
    yield "Status", lambda run: escape(word(run))
    yield "Duration", lambda run: escape(duration(run, state))
    for name in metric_columns(runs):
        yield name, lambda run, name=name: escape(_metric(run, name))  # type: ignore[misc]
    for group, head in (("params", "Parameters"), ("tags", "Tags")):
        if any(run[group] for run in runs):
            yield head, lambda run, group=group: escape(_pairs(run[group]))  # type: ignore[misc]
    if any(spark(run) for run in runs):
        yield "Spark", lambda run: escape(spark(run))
    yield "Open", _links


def _cell(html: str) -> str:
    return f'<td style="text-align:left">{html}</td>'


def _links(run: Run) -> str:
    links = ((name, url) for name, url in (("Monitor", run["monitor"]), ("MLflow", run["mlflow"])) if url)
    anchors = (f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer">{name}</a>' for name, url in links)
    return " ".join(anchors) or escape(run["id"])


def _pairs(values: Mapping[str, str]) -> str:
    some = ", ".join(_line(f"{key}={value}") for key, value in list(values.items())[:MAX_PAIRS])
    return some + (f", and {len(values) - MAX_PAIRS} more" if len(values) > MAX_PAIRS else "")


def _name(run: Run) -> str:
    return "  " * int(run["depth"]) + _line(run["name"])


def _metric(run: Run, name: str) -> str:
    return number(run["metrics"][name]) if name in run["metrics"] else ""


def _line(text: str) -> str:
    flat = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return flat if len(flat) <= MAX_CELL else flat[: MAX_CELL - 1] + "…"
