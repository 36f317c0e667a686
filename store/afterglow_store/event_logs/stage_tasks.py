"""What the task lines of a piece of an event log say, added up by stage before the store is asked anything."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from afterglow_store.event_logs.summing import TaskSums
from afterglow_store.event_logs.tasks import TaskEnd

StageKey = tuple[int, int]  # stage id, attempt


@dataclass
class StageTasks:
    """Of one stage attempt: those whose lines come before its end, and those that come after it."""

    before: TaskSums = field(default_factory=TaskSums)
    after: TaskSums = field(default_factory=TaskSums)
    over: bool = False  # its end is in there

    def add(self, tasks: list[TaskEnd]) -> None:
        if self.over:
            self.after.add(tasks, late=True)
        else:
            self.before.add(tasks)


class Tasks:
    """Of all stages. `stages` is whole after `close`, until more are added."""

    def __init__(self) -> None:
        self.stages: defaultdict[StageKey, StageTasks] = defaultdict(StageTasks)
        self._waiting: defaultdict[StageKey, list[TaskEnd]] = defaultdict(list)  # many at once are quicker to add

    def add(self, task: TaskEnd) -> None:
        self._waiting[task.stage_id, task.stage_attempt].append(task)

    def end_stage(self, key: StageKey) -> None:
        self.stages[key].add(self._waiting.pop(key, []))
        self.stages[key].over = True

    def close(self) -> None:
        for key, tasks in self._waiting.items():
            self.stages[key].add(tasks)
        self._waiting.clear()

    def parts(self) -> tuple[Tasks, Tasks]:
        """Those before the ends of their stages, and those after."""
        before, after = Tasks(), Tasks()
        for key, each in self.stages.items():
            before.stages[key] = StageTasks(before=each.before)
            after.stages[key] = StageTasks(after=each.after)
        return before, after
