"""Comparing what two ways of ingesting left behind."""

import re
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from afterglow_store import Store
from afterglow_store.schema import application, background_job, metadata, run, snapshot, source

# What may differ between two stores of the same content.
_APART = {"id", "application_id", "source_id", "updated_time", "path", "journal", "received_time", "run"}


def contents(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table but of who reads, without ids and reading times, applications named by their key;
    sorted."""
    with store.read() as conn:
        a = application.c
        keys = {
            row.id: f"{row.app_id}/{row.attempt}/{row.start_time}/{row.driver_host}"
            for row in conn.execute(sa.select(a.id, a.app_id, a.attempt, a.start_time, a.driver_host))
        }
        runs = {row.id: row.run_id for row in conn.execute(sa.select(run.c.id, run.c.run_id))}
        return {
            table.name: _rows(conn, table, keys, runs)
            for table in metadata.sorted_tables
            if table is not background_job
        }


def _rows(conn: sa.Connection, table: sa.Table, keys: dict[int, str], runs: dict[int, str]) -> list[tuple[Any, ...]]:
    rows = []
    for row in conn.execute(sa.select(table)).mappings():
        own = [keys[row["id"]]] if table is application else []
        linked = [keys.get(row["application_id"], "")] if "application_id" in row else []
        named = [Path(row["path"]).name] if table is source else []
        of_run = [runs.get(row["run"], "")] if "run" in row else []
        rest = [str(value) for name, value in row.items() if name not in _APART]
        rows.append((*own, *linked, *named, *of_run, *rest))
    return sorted(rows, key=str)


def copies(journal: Path, folder: Path, count: int) -> list[Path]:
    """`count` journals of different applications and runs with the events of one real journal."""
    folder.mkdir(parents=True, exist_ok=True)
    text = journal.read_text()
    app_id = re.search(r'"App ID":"([^"]+)"', text)
    run_ids = sorted(set(re.findall(r'"Run ID":"([0-9a-f]{32})"', text)))
    assert app_id is not None
    made = []
    for number in range(count):
        copy = text.replace(app_id[1], f"{app_id[1]}{number:03}")
        for run_id in run_ids:
            copy = copy.replace(run_id, f"{run_id[:-3]}{number:03}")
        path = folder / f"{number:03}.jsonl"
        path.write_text(copy)
        made.append(path)
    return made


def snapshot_count(store: Store) -> int:
    with store.read() as conn:
        return int(conn.scalar(sa.select(sa.func.count()).select_from(snapshot)) or 0)
