package io.afterglow;

import java.util.HashMap;
import java.util.Map;
import org.apache.spark.scheduler.SparkListenerJobEnd;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.StageInfo;

/**
 * Which lines the events of jobs, stages and tasks become: as few as there can be, since what waits in the queue still
 * takes in what comes after it. Only the bus's thread comes here.
 */
final class JobEvents {
  /** Takes a line on its way to the journal; false when it was lost. */
  interface Outlet {
    boolean offer(Line line);
  }

  private static final int JOB_END_BYTES = 4_000;

  private final RunningJobs jobs;
  private final StageTasks tasks;
  private final Outlet outlet;
  private final Map<TaskSums, StageLine> submitted = new HashMap<>();

  JobEvents(RunningJobs jobs, Outlet outlet) {
    this.jobs = jobs;
    this.outlet = outlet;
    tasks = new StageTasks(jobs);
  }

  void jobStarted(SparkListenerJobStart event) {
    RunningJob job = jobs.start(event);
    if (!outlet.offer(job.line)) {
      job.line.comeApart();
    }
  }

  void jobEnded(SparkListenerJobEnd event) {
    RunningJob job = jobs.end(event.jobId());
    if (job == null || !job.line.end(event)) {
      outlet.offer(new SparkLine(event, JOB_END_BYTES));
    }
  }

  void stageSubmitted(StageInfo stage) {
    TaskSums sums = tasks.begin(stage);
    StageLine line = new StageLine(stage, sums, null);
    boolean taken = outlet.offer(line);
    submitted.put(sums, line);
    if (sums.job != null && taken) {
      sums.job.line.add(line);
    } else if (sums.job != null) {
      sums.job.line.comeApart();
    }
  }

  void taskEnded(SparkListenerTaskEnd task) {
    TaskSums late = tasks.add(task);
    if (late != null && late.waiting.compareAndSet(false, true) && !outlet.offer(new StageTasksLine(late))) {
      late.waiting.set(false);
    }
  }

  void stageCompleted(StageInfo stage) {
    TaskSums sums = tasks.end(stage);
    StageLine line = submitted.remove(sums);
    if (sums.job != null) {
      sums.job.stageDone();
    }
    if (line == null || !line.end(stage)) {
      outlet.offer(StageLine.ended(stage, sums, line));
    }
  }
}
