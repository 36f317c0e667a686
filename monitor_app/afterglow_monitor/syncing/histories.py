"""The histories of metrics, step by step: the store has the last values alone, so MLflow is asked."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pandas as pd

from afterglow_monitor import data
from afterglow_monitor import format as fmt
from afterglow_monitor.data import Row, runs_named
from afterglow_monitor.settings import load_settings

if TYPE_CHECKING:
    from afterglow_monitor.writing import Writer

POINTS = 1_000  # of one line: more than a screen has pixels for
AT_ONCE = 8


@data.kept(ttl=10, max_entries=100, show_spinner="Reading metric histories from MLflow …")
def lines(run_ids: tuple[str, ...], names: tuple[str, ...], metric: str) -> pd.DataFrame:
    """`run` (one of `names`), `step`, `time` (UTC) and `value` of a metric, at most POINTS for each run, evenly
    thinned. Raises CannotWrite when MLflow does not answer."""
    rows = {row["run_id"]: row for row in runs_named(run_ids)}
    from afterglow_monitor.writing import Writer, clients  # noqa: PLC0415 - MLflow takes a second to import

    asking = Writer(data.store(), "", clients(load_settings()))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = [pool.submit(_history, asking, rows[each], metric) for each in run_ids if each in rows]
        found = [_of_run(each.result(), name) for each, name in zip(asked, names, strict=False)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["run", "step", "time", "value"])


def _history(asking: Writer, row: Row, metric: str) -> Sequence[tuple[int, int, float]]:
    from afterglow_monitor.writing import NO_ANSWER  # noqa: PLC0415

    client = asking.client_of(row)
    what = f"run {fmt.named(row['name'])}"
    points = asking.ask(what, lambda: client.get_metric_history(row["run_id"], metric), failed=NO_ANSWER)
    return sorted((each.step, each.timestamp, each.value) for each in points)


def _of_run(points: Sequence[tuple[int, int, float]], name: str) -> pd.DataFrame:
    each = max(1, -(-len(points) // POINTS))
    kept = [*points[::each], *([points[-1]] if len(points) % each != 1 and each > 1 else [])]
    table = pd.DataFrame(kept, columns=["step", "time", "value"])
    table["time"] = pd.to_datetime(table["time"], unit="ms", utc=True)
    table.insert(0, "run", name)
    return table
