"""A run's tags: set, deleted, and taken back; of one run or of many.

The rules are those of Microsoft Fabric's tags. They hold for what is set here; a job may set what MLflow allows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from mlflow.entities import RunTag

from afterglow_monitor.errors import CannotWrite
from afterglow_monitor.writing import Row, Writer
from afterglow_store import audit
from afterglow_store.errors import NotFound

MOST_NAME, MOST_VALUE = 250, 5_000  # characters
RESERVED = ("synapseml", "mlflow", "trident")
AT_ONCE = 8  # runs of which MLflow is asked at a time


@dataclass(frozen=True)
class Edit:
    """Tags to set, by name, and names of tags to delete."""

    set: Mapping[str, str] = field(default_factory=dict)
    delete: Collection[str] = ()


@dataclass(frozen=True)
class _Done:
    """What MLflow has of a run after an edit, and the tags that it was about: None where there is, or was, none.
    `entry`: of the audit, to be finished."""

    row: Row
    entry: int
    details: Row
    before: dict[str, str | None]
    after: dict[str, str | None]


def wrong_name(name: str) -> str | None:
    """What is wrong with it as the name of a tag."""
    if not name.strip():
        return "Give the tag a name."
    if len(name) > MOST_NAME:
        return f"A name has at most {MOST_NAME} characters; this one has {len(name):,}."
    for prefix in RESERVED:
        if name.lower().startswith(prefix):
            return f"Names that begin with “{prefix}” are reserved."
    return None


def wrong_value(value: str) -> str | None:
    """What is wrong with it as the value of a tag."""
    if not value.strip():
        return "Give the tag a value."
    if len(value) > MOST_VALUE:
        return f"A value has at most {MOST_VALUE:,} characters; this one has {len(value):,}."
    return None


class Tagger(Writer):
    def change(self, run_id: str, edit: Edit, *, now: int) -> Row:
        """Make this edit of a run's tags; its row. Tags that are not there need no deleting.

        Raises NotFound; CannotWrite for a tag that breaks the rules, or when MLflow does not take it.
        """
        _check(edit)
        row = self.row(run_id)
        return self._taken(self._write(row, edit, audit.TAG, now), audit.TAG, now)

    def change_many(self, run_ids: Sequence[str], edit: Edit, *, now: int) -> Iterator[tuple[str, str | None]]:
        """Make the same edit of many runs: each one's id as it is done, with what kept MLflow from taking it.

        Raises CannotWrite, before anything is written, for a tag that breaks the rules.
        """
        _check(edit)
        return self._each(run_ids, partial(self._write, edit=edit, action=audit.TAG, now=now), audit.TAG, now)

    def undo(self, run_id: str, *, now: int) -> Row:
        """Take back the last edit of this run's tags. Its row.

        Raises NotFound; CannotWrite when there is none, the tags have been changed since, or MLflow does not take it.
        """
        row = self.row(run_id)
        return self._taken(self._write_back(row, now), audit.UNTAG, now)

    def undo_many(self, run_ids: Sequence[str], *, now: int) -> Iterator[tuple[str, str | None]]:
        """`undo` of many runs: as change_many."""
        return self._each(run_ids, partial(self._write_back, now=now), audit.UNTAG, now)

    def _each(
        self, run_ids: Sequence[str], write: Callable[[Row], _Done], action: str, now: int
    ) -> Iterator[tuple[str, str | None]]:
        """MLflow is asked of several runs at a time, their rows are written by this thread alone. A person who leaves
        stops it between two such groups: what MLflow took is in the store."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for first in range(0, len(run_ids), AT_ONCE):
                group = run_ids[first : first + AT_ONCE]
                writing = [pool.submit(lambda run_id: write(self.row(run_id)), each) for each in group]
                refused = [self._refused(each, action, now) for each in writing]
                yield from zip(group, refused, strict=True)

    def _refused(self, done: Future[_Done], action: str, now: int) -> str | None:
        try:
            self._taken(done.result(), action, now)
        except (CannotWrite, NotFound) as exc:
            return str(exc)
        return None

    def _write(self, row: Row, edit: Edit, action: str, now: int) -> _Done:
        client, what = self.client_of(row), f"run {row['run_id']}"
        before = self.details(client, row, whole=False)["tags"]
        gone = [name for name in edit.delete if name in before]
        asked = {"tags": {**edit.set, **dict.fromkeys(gone)}}
        with self.audited(action, row["run_id"], asked, now) as entry:
            if edit.set:
                tags = [RunTag(*tag) for tag in edit.set.items()]
                self.ask(what, lambda: client.log_batch(row["run_id"], tags=tags))
            for name in gone:
                self.ask(what, partial(client.delete_tag, row["run_id"], name))
            details = self.details(client, row, whole=False)
        changed = [{name: tags.get(name) for name in asked["tags"]} for tags in (before, details["tags"])]
        return _Done(row, entry, details, *changed)

    def _write_back(self, row: Row, now: int) -> _Done:
        with self.store.read() as conn:
            last = audit.last_of_run(conn, row["run_id"], audit.TAG, audit.UNTAG)
        if last is None or last["action"] != audit.TAG:
            raise CannotWrite(f"the tags of run {row['run_id']} were not changed here: there is nothing to undo")
        there = self.details(self.client_of(row), row, whole=False)["tags"]
        for name, value in last["after"]["tags"].items():
            if there.get(name) != value:
                raise CannotWrite(f"the tag {name} of run {row['run_id']} was changed meanwhile")
        was = last["before"]["tags"]
        there_then = {name: value for name, value in was.items() if value is not None}
        return self._write(row, Edit(there_then, was.keys() - there_then.keys()), audit.UNTAG, now)

    def _taken(self, done: _Done, action: str, now: int) -> Row:
        run_id = done.row["run_id"]
        with self.store.write() as conn:
            self.take_in(conn, done.row, done.details, now)
            if done.before == done.after:
                audit.drop(conn, done.entry)
            else:
                before, after = {"tags": done.before}, {"tags": done.after}
                audit.finish(conn, done.entry, action=action, before=before, after=after)
        return self.row(run_id)


def _check(edit: Edit) -> None:
    wrong = [said for name, value in edit.set.items() if (said := wrong_name(name) or wrong_value(value))]
    wrong += [said for name in edit.delete if (said := wrong_name(name))]
    if wrong:
        raise CannotWrite(wrong[0])
