"""What the task attempts of a stage add up to, as the listener adds them up: docs/journal.md has the bins.

It is kept in the store as long as the log goes on, a row for each file of the log that the stage's tasks are in, and
written in the transaction that also moves that file's offset. So nothing is added twice, and a log that is read anew
from a compacted file begins anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import nlargest
from operator import attrgetter
from typing import Any

from afterglow_store.event_logs.tasks import METRICS, TaskEnd

_SPREAD_OF = ("Duration", "Input", "Shuffle Read", "Shuffle Write", "Spill")
_PERCENTS = (25, 50, 75, 95, 99)
_PARTS = 16  # bins of a power of two
_SLOWEST = 3


def bin_of(value: int) -> int:
    shift = max(0, value.bit_length() - 5)
    return shift * _PARTS + (value >> shift)


def middle(bin_: int) -> int:
    shift = max(0, bin_ // _PARTS - 1)
    return ((bin_ - shift * _PARTS) << shift) + ((1 << shift) >> 1)


@dataclass
class Spread:
    """How often values of some size were seen."""

    least: int = 0
    most: int = 0
    bins: dict[int, int] = field(default_factory=dict)  # no Counter: most stages are small, and ten of these are slow

    @property
    def count(self) -> int:
        return sum(self.bins.values())

    def add(self, values: Iterable[int]) -> None:
        seen = Counter(values)
        self._extend(min(seen), max(seen))
        for value, times in seen.items():
            bin_ = bin_of(value)
            self.bins[bin_] = self.bins.get(bin_, 0) + times

    def merge(self, other: Spread) -> None:
        if other.bins:
            self._extend(other.least, other.most)
            for bin_, times in other.bins.items():
                self.bins[bin_] = self.bins.get(bin_, 0) + times

    def _extend(self, low: int, high: int) -> None:
        self.least, self.most = (min(self.least, low), max(self.most, high)) if self.bins else (low, high)

    def quantiles(self) -> list[int]:
        """Smallest and largest; of more than two values, between them, those that 25 to 99 % do not exceed."""
        count = self.count
        between = [self._quantile(-(-count * percent // 100)) for percent in _PERCENTS] if count > 2 else []
        return [self.least, *between, self.most]

    def _quantile(self, rank: int) -> int:
        seen = 0
        for each in sorted(self.bins):
            seen += self.bins[each]
            if seen >= rank:
                return max(self.least, min(self.most, middle(each)))
        return self.most


@dataclass
class TaskSums:
    """Of one stage attempt, in one file of a log or in several together."""

    begun: bool = False  # its submission is in there: of a stage whose beginning nobody read nothing is summed
    ended: bool = False
    counts: list[int] = field(default_factory=lambda: [0, 0, 0])  # succeeded, failed, killed
    peaks: list[int] = field(default_factory=lambda: [0, 0])  # execution memory, heap
    sums: list[int] = field(default_factory=lambda: [0] * len(METRICS))
    spreads: list[Spread] = field(default_factory=lambda: [Spread() for _ in _SPREAD_OF])
    slowest: list[list[Any]] = field(default_factory=list)  # [index, attempt, executor, host, ms, bytes read]

    def add(self, tasks: list[TaskEnd], *, late: bool = False) -> None:
        """Of those that end after their stage only the sums grow."""
        if not tasks:
            return
        for outcome, times in Counter(task.outcome for task in tasks).items():
            self.counts[outcome] += times
        memory, heap = max(task.peak_execution_memory for task in tasks), max(task.peak_heap for task in tasks)
        self.peaks = [max(self.peaks[0], memory), max(self.peaks[1], heap)]
        columns = list(zip(*(task.metrics for task in tasks), strict=True))
        self.sums = [before + sum(column) for before, column in zip(self.sums, columns, strict=True)]
        if not late:
            self._compare(tasks, columns)

    def _compare(self, tasks: list[TaskEnd], columns: list[tuple[int, ...]]) -> None:
        duration, input_, shuffle_read, shuffle_write, spill = self.spreads
        duration.add(task.duration for task in tasks)
        input_.add(columns[10])
        shuffle_read.add(map(sum, zip(columns[5], columns[6], strict=True)))
        shuffle_write.add(columns[8])
        spill.add(map(sum, zip(columns[3], columns[4], strict=True)))
        least = self.slowest[-1][4] if len(self.slowest) == _SLOWEST else -1
        longer = (task for task in tasks if task.duration > least)
        self._keep_slowest([_told(task) for task in nlargest(_SLOWEST, longer, key=attrgetter("duration"))])

    def _keep_slowest(self, others: list[list[Any]]) -> None:
        self.slowest = sorted([*self.slowest, *others], key=_millis, reverse=True)[:_SLOWEST]

    def take(self, later: TaskSums, *, late: bool = False) -> None:
        """Add what comes after it. As with `add`, of what is late only the sums."""
        self.begun, self.ended = self.begun or later.begun, self.ended or later.ended
        self.counts = [a + b for a, b in zip(self.counts, later.counts, strict=True)]
        self.peaks = [max(a, b) for a, b in zip(self.peaks, later.peaks, strict=True)]
        self.sums = [a + b for a, b in zip(self.sums, later.sums, strict=True)]
        if not late:
            for mine, its in zip(self.spreads, later.spreads, strict=True):
                mine.merge(its)
            self._keep_slowest(later.slowest)

    def event(self, stage_id: int, attempt: int) -> dict[str, Any]:
        """As an AfterglowStageTasks of the listener says it."""
        succeeded, failed, killed = self.counts
        return {
            "Stage ID": stage_id,
            "Stage Attempt ID": attempt,
            "Succeeded": succeeded,
            "Failed": failed,
            "Killed": killed,
            "Peak Execution Memory": self.peaks[0],
            "Peak JVM Heap": self.peaks[1],
            "Metrics": dict(zip(METRICS, self.sums, strict=True)),
        }

    def skew(self) -> dict[str, Any]:
        """How unequal they were, in the words of the listener; {} where there are not two."""
        tasks = self.spreads[0].count
        if tasks < 2:
            return {}
        named = dict(zip(_SPREAD_OF, self.spreads, strict=True))
        unequal = {
            name: each.quantiles() for name, each in named.items() if name == "Duration" or each.least < each.most
        }
        return unequal | ({"Slowest": self.slowest} if tasks > 2 else {})

    def as_json(self) -> list[Any]:
        spreads = [] if self.ended else [[each.least, each.most, list(each.bins.items())] for each in self.spreads]
        slowest = [] if self.ended else self.slowest
        return [self.begun, self.ended, self.counts, self.peaks, self.sums, spreads, slowest]


def together(*parts: TaskSums) -> TaskSums:
    """Of several files of a log, in their order."""
    total = TaskSums()
    for part in parts:
        total.take(part)
    return total


def from_json(said: list[Any]) -> TaskSums:
    begun, ended, counts, peaks, sums, spreads, slowest = said
    found = TaskSums(begun, ended, counts, peaks, sums, slowest=slowest)
    if spreads:
        found.spreads = [Spread(least, most, dict(bins)) for least, most, bins in spreads]
    return found


def _told(task: TaskEnd) -> list[Any]:
    read = task.metrics[10] + task.shuffle_read
    return [task.number, task.attempt, task.executor, task.host, task.duration, read]


def _millis(told: list[Any]) -> int:
    return int(told[4])
