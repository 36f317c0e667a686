"""How a task attempt ended: of a line of 3 to 5 KB, what a stage's summary needs.

Task lines are most of an event log, and accumulators, which say nothing that the task's metrics do not, most of a task
line. So an attempt that succeeded is read by its line's beginning and end, as every Spark since 2.0 writes them, and
only another one as a whole. Both ways give the same: tests/test_task_lines.py.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import orjson

TASK_START = b'{"Event":"SparkListenerTaskStart"'
TASK_END = b'{"Event":"SparkListenerTaskEnd"'

_SUCCEEDED = re.compile(
    rb'\{"Event":"SparkListenerTaskEnd","Stage ID":(\d{1,9}),"Stage Attempt ID":(\d{1,9}),"Task Type":"\w+",'
    rb'"Task End Reason":\{"Reason":"Success"\},"Task Info":\{"Task ID":\d+,"Index":(\d{1,9}),"Attempt":(\d{1,9}),'
    rb'(?:"Partition ID":-?\d+,)?"Launch Time":(\d{1,15}),"Executor ID":"([ !#-\[\]-~]*)","Host":"([ !#-\[\]-~]*)",'
    rb'"Locality":"\w+","Speculative":\w+,"Getting Result Time":\d+,"Finish Time":(\d{1,15}),'
)
# In a text of the line its quotes would be escaped, so these are found only where Spark wrote them.
_METRICS = b',"Task Metrics":'
_HEAP = b'"JVMHeapMemory":'

SUCCEEDED, FAILED, KILLED = 0, 1, 2
_OUTCOMES = {"Success": SUCCEEDED, "TaskKilled": KILLED, "TaskCommitDenied": KILLED}

# Where a task's metrics are, by the names that Spark's accumulators have.
_SHUFFLE_READ, _SHUFFLE_WRITE = "Shuffle Read Metrics", "Shuffle Write Metrics"
_INPUT, _OUTPUT = "Input Metrics", "Output Metrics"
METRICS = (
    "executorRunTime", "executorCpuTime", "jvmGCTime", "memoryBytesSpilled", "diskBytesSpilled",
    "shuffle.read.remoteBytesRead", "shuffle.read.localBytesRead", "shuffle.read.recordsRead",
    "shuffle.write.bytesWritten", "shuffle.write.recordsWritten",
    "input.bytesRead", "input.recordsRead", "output.bytesWritten", "output.recordsWritten",
)  # fmt: skip


class TaskEnd(NamedTuple):
    """One attempt of a task. Times and durations in ms, sizes in bytes; what a lost task did not tell is 0."""

    stage_id: int
    stage_attempt: int
    outcome: int
    number: int  # of the task in its stage
    attempt: int
    executor: str
    host: str
    duration: int
    peak_execution_memory: int
    peak_heap: int
    metrics: tuple[int, ...]  # in the order of METRICS

    @property
    def spilled(self) -> int:
        return self.metrics[3] + self.metrics[4]

    @property
    def shuffle_read(self) -> int:
        return self.metrics[5] + self.metrics[6]


def loads(line: bytes) -> Any:
    """Without NULs: PostgreSQL stores none in a text. Raises orjson.JSONDecodeError."""
    return orjson.loads(line.replace(b"\\u0000", b""))


def task_end(data: bytes, start: int, end: int) -> TaskEnd:
    """What the line of a SparkListenerTaskEnd says that lies there. Raises KeyError, TypeError, ValueError or
    AttributeError where it does not say what it has to."""
    head = _SUCCEEDED.match(data, start, end)
    at = data.rfind(_METRICS, start, end)
    if head is None or at < 0 or not data.endswith(b"}}", start, end):
        return whole_task_end(loads(data[start:end]))
    stage_id, stage_attempt, index, attempt, launched, executor, host, finished = head.groups()
    memory, metrics = _metrics(orjson.loads(data[at + len(_METRICS) : end - 1]))
    return TaskEnd(
        int(stage_id), int(stage_attempt), SUCCEEDED, int(index), int(attempt), executor.decode(), host.decode(),
        _duration(int(launched), int(finished)), memory, _peak_heap(data, start, at), metrics,
    )  # fmt: skip


def _peak_heap(data: bytes, start: int, before: int) -> int:
    at = data.rfind(_HEAP, max(start, before - 1_000), before)
    return int(data[at + len(_HEAP) : data.index(b",", at)]) if at >= 0 else 0


def whole_task_end(event: dict[str, Any]) -> TaskEnd:
    """As `task_end`, of the event that was read as a whole."""
    info, heap = event["Task Info"], event.get("Task Executor Metrics") or {}
    memory, metrics = _metrics(event.get("Task Metrics"))
    reason = event["Task End Reason"]["Reason"]
    numbers = (event["Stage ID"], event.get("Stage Attempt ID") or 0, info["Index"], info.get("Attempt") or 0)
    _refuse_other_than_numbers(*numbers, most=_MOST_TASKS)
    _refuse_other_than_numbers(info["Launch Time"], info["Finish Time"], heap.get("JVMHeapMemory") or 0)
    return TaskEnd(
        event["Stage ID"], event.get("Stage Attempt ID") or 0, _OUTCOMES.get(reason, FAILED),
        info["Index"], info.get("Attempt") or 0, info["Executor ID"], info["Host"],
        _duration(info["Launch Time"], info["Finish Time"]), memory, heap.get("JVMHeapMemory") or 0, metrics,
    )  # fmt: skip


def _duration(launched: int, finished: int) -> int:
    """An attempt that never finished has 0, and so has one whose clock went back."""
    return max(0, finished - launched) if finished else 0


def _metrics(said: dict[str, Any] | None) -> tuple[int, tuple[int, ...]]:
    """The peak of execution memory, and METRICS. A task that was lost with its executor has none of them."""
    if not said:
        return 0, (0,) * len(METRICS)
    read, write = said.get(_SHUFFLE_READ) or _NOTHING, said.get(_SHUFFLE_WRITE) or _NOTHING
    input_, output = said.get(_INPUT) or _NOTHING, said.get(_OUTPUT) or _NOTHING
    memory, metrics = said.get("Peak Execution Memory", 0), (
        said["Executor Run Time"], said.get("Executor CPU Time", 0), said.get("JVM GC Time", 0),
        said.get("Memory Bytes Spilled", 0), said.get("Disk Bytes Spilled", 0),
        read.get("Remote Bytes Read", 0), read.get("Local Bytes Read", 0), read.get("Total Records Read", 0),
        write.get("Shuffle Bytes Written", 0), write.get("Shuffle Records Written", 0),
        input_.get("Bytes Read", 0), input_.get("Records Read", 0),
        output.get("Bytes Written", 0), output.get("Records Written", 0),
    )  # fmt: skip
    _refuse_other_than_numbers(memory, *metrics)
    return memory, metrics


def _refuse_other_than_numbers(*values: Any, most: int = 1 << 53) -> None:
    """Here one costs its own line, in a sum it would cost the stage. `most`: nine petabytes, a hundred days in ns."""
    total = sum(values)
    if type(total) is not int or not -most <= total <= most:
        raise TypeError("a figure of a task is no number, or none that a task can have")


_NOTHING: dict[str, int] = {}
_MOST_TASKS = (1 << 31) - 1  # Spark counts stages and tasks by Int
