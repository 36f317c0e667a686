"""The static view of runs: a table in HTML, and one of plain text. A saved notebook and other front ends show these.

Names, params and tags come from anyone: all of it is text, never markup.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

MAX_COLUMNS = 4  # of metrics
MAX_PAIRS = 6  # params that are named
MAX_CELL = 60  # characters

State = Mapping[str, Any]
Run = Mapping[str, Any]


def as_html(state: State) -> str:
    """A table without styles of its own but for alignment: the front end's theme is its."""
    runs, names = state.get("runs") or [], metric_columns(state.get("runs") or [])
    heads = ["Run", "Status", "Duration", *names, "Parameters", "Spark", "Open"]
    rows = "".join(f"<tr>{''.join(_html_cells(run, names, state))}</tr>" for run in runs)
    head = "".join(f'<th style="text-align:left">{escape(each)}</th>' for each in heads)
    caption = escape(title(state))
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def as_text(state: State) -> str:
    """The same in columns of characters."""
    runs = state.get("runs") or []
    names = metric_columns(runs)
    table = [["run", "status", "duration", *names, "spark", "id"]]
    table += [
        [run["name"], word(run), duration(run, state), *_metrics(run, names), spark(run), run["id"]] for run in runs
    ]
    table = [[_line(cell) for cell in row] for row in table]
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


def _html_cells(run: Run, names: Sequence[str], state: State) -> Iterable[str]:
    indent = "padding-left:1.5em" if run["parent"] in {each["id"] for each in state["runs"]} else ""
    yield f'<td style="text-align:left;{indent}">{escape(_line(run["name"]))}</td>'
    params = list(run["params"].items())
    pairs = ", ".join(_line(f"{key}={value}") for key, value in params[:MAX_PAIRS])
    more = f", and {len(params) - MAX_PAIRS} more" if len(params) > MAX_PAIRS else ""
    cells = (word(run), duration(run, state), *_metrics(run, names), pairs + more, spark(run))
    for cell in cells:
        yield f'<td style="text-align:left">{escape(cell)}</td>'
    links = (("Monitor", run["monitor"]), ("MLflow", run["mlflow"]))
    anchors = [
        f'<a href="{escape(url, quote=True)}" target="_blank" rel="noopener noreferrer">{name}</a>'
        for name, url in links
        if url
    ]
    yield f'<td style="text-align:left">{" ".join(anchors) or escape(run["id"])}</td>'


def _metrics(run: Run, names: Sequence[str]) -> list[str]:
    return [number(run["metrics"][name]) if name in run["metrics"] else "" for name in names]


def _line(text: str) -> str:
    flat = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return flat if len(flat) <= MAX_CELL else flat[: MAX_CELL - 1] + "…"
