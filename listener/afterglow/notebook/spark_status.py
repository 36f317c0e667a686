"""What Spark did for each run: read from the live status of this driver's SparkContext, by the runs' job tags.

The status store is there without Spark's UI, too. It keeps the last 1,000 jobs and stages (`spark.ui.retainedJobs`,
`spark.ui.retainedStages`); what was read of a job that is over is kept here.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from afterglow import spark

OVER = ("SUCCEEDED", "FAILED")
STAGE_OVER = ("COMPLETE", "FAILED", "SKIPPED")


@dataclass(frozen=True)
class SparkUse:
    """What the Spark jobs of a run used, and how far those are that run. `core_seconds` as everywhere: the time of all
    task attempts times spark.task.cpus."""

    jobs: int = 0
    running_jobs: int = 0
    failed_jobs: int = 0
    running_tasks: int = 0  # tasks that are being executed, of the jobs that run
    done_tasks: int = 0  # likewise
    tasks: int = 0  # all tasks of the jobs that run
    core_seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As the widget has it."""
        return asdict(self)


@dataclass
class _Job:
    use: SparkUse
    stages: list[int]
    over: bool


@dataclass
class SparkStatus:
    """Reads one SparkContext. Asks its JVM a few times for each job that runs: to be called off the job's thread."""

    context: Any
    _jobs: dict[int, _Job] = field(default_factory=dict)
    _stages: dict[int, tuple[float, bool]] = field(default_factory=dict)  # ms of its tasks, and whether it is over

    def of_runs(self, run_ids: Iterable[str]) -> dict[str, SparkUse]:
        """What each of these runs used until now, in jobs of its own. Raises py4j's errors for a JVM that is gone."""
        context = self.context
        store, tracker = context._jsc.sc().statusStore(), context._jsc.sc().statusTracker()
        cpus = float(context._conf.get("spark.task.cpus", "1"))
        found = {}
        for run_id in run_ids:
            ids = self._numbers(context._jvm.java.util.Arrays.toString(
                tracker.getJobIdsForTag(spark.JOB_TAG_PREFIX + run_id)
            ))  # fmt: skip
            jobs = [self._job(store, each) for each in ids]
            stages = {stage: job.over for job in jobs for stage in job.stages}
            ms = sum(self._stage_ms(store, stage, job_over) for stage, job_over in stages.items())
            found[run_id] = replace(_added(job.use for job in jobs), core_seconds=ms * cpus / 1000)
        return found

    def page(self) -> str:
        """The address of Spark's UI; nothing where it is switched off."""
        return self.context.uiWebUrl or ""

    def _job(self, store: Any, job_id: int) -> _Job:
        known = self._jobs.get(job_id)
        if known is not None and known.over:
            return known
        job = store.job(job_id)
        status = job.status().toString()
        stages = self._numbers(job.stageIds().mkString(","))
        use = SparkUse(jobs=1, failed_jobs=int(status == "FAILED"))
        if status not in OVER:
            done = job.numCompletedTasks() + job.numSkippedTasks()
            use = replace(
                use, running_jobs=1, running_tasks=job.numActiveTasks(), done_tasks=done, tasks=job.numTasks()
            )
        self._jobs[job_id] = _Job(use, stages, status in OVER)
        return self._jobs[job_id]

    def _stage_ms(self, store: Any, stage_id: int, job_over: bool) -> float:
        ms, over = self._stages.get(stage_id, (0.0, False))
        if over:
            return ms
        gateway = self.context._gateway
        no_quantiles = gateway.new_array(gateway.jvm.double, 0)
        attempts = store.stageData(stage_id, False, gateway.jvm.java.util.ArrayList(), False, no_quantiles)
        each = [attempts.apply(number) for number in range(attempts.size())]
        ms = float(sum(attempt.executorRunTime() for attempt in each))
        # One that is skipped has no attempt, and one that is to come has none yet.
        over = all(attempt.status().toString() in STAGE_OVER for attempt in each) if each else job_over
        self._stages[stage_id] = (ms, over)
        return ms

    @staticmethod
    def _numbers(text: str) -> list[int]:
        return [int(each) for each in text.strip("[]").split(",") if each.strip()]


def _added(uses: Iterable[SparkUse]) -> SparkUse:
    total = SparkUse()
    for use in uses:
        total = SparkUse(*(a + b for a, b in zip(asdict(total).values(), asdict(use).values(), strict=True)))
    return total
