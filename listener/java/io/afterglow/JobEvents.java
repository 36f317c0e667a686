package io.afterglow;

import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import org.apache.spark.scheduler.SparkListenerJobEnd;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.StageInfo;

/**
 * Which lines the events of jobs, stages and tasks become: as few as there can be, since what waits in the queue still
 * takes in what comes after it. On the bus's thread; task ends, the most frequent event by far, are only put aside
 * there. To read their metrics takes some forty looks into memory that another core has just written, so the journal's
 * thread does it, unless there are too many or their stage ends.
 */
final class JobEvents {
  /** Takes a line on its way to the journal; false when it was lost. */
  interface Outlet {
    boolean offer(Line line);
  }

  private static final int JOB_END_BYTES = 4_000;
  private static final int MAX_ASIDE = 512; // of about 4 KB each

  private final RunningJobs jobs;
  private final StageTasks tasks;
  private final Health health;
  private final Outlet outlet;
  private final BlockingQueue<SparkListenerTaskEnd> aside = new ArrayBlockingQueue<>(MAX_ASIDE);

  JobEvents(RunningJobs jobs, Health health, Outlet outlet) {
    this.jobs = jobs;
    this.health = health;
    this.outlet = outlet;
    tasks = new StageTasks(jobs);
  }

  synchronized void jobStarted(SparkListenerJobStart event) {
    JobLine job = jobs.start(event);
    if (!outlet.offer(job)) {
      job.comeApart();
    }
  }

  synchronized void jobEnded(SparkListenerJobEnd event) {
    JobLine job = jobs.end(event.jobId());
    if (job == null || !job.end(event)) {
      outlet.offer(new SparkLine(event, JOB_END_BYTES));
    }
  }

  synchronized void stageSubmitted(StageInfo stage) {
    TaskSums sums = tasks.begin(stage);
    StageLine line = new StageLine(stage, sums, null);
    boolean taken = outlet.offer(line);
    sums.submitted = line;
    JobLine job = sums.job == null ? null : sums.job.line();
    if (job != null && taken) {
      job.add(line);
    } else if (job != null) {
      job.comeApart();
    }
  }

  void taskEnded(SparkListenerTaskEnd task) {
    if (!aside.offer(task)) {
      addUp();
      aside.offer(task);
    }
  }

  /** Adds up the task ends that were put aside. On the bus's thread or the journal's. */
  void addUp() {
    while (addOne()) {}
  }

  /** Taken and added in one: a stage that ends in between would miss it. */
  private synchronized boolean addOne() {
    SparkListenerTaskEnd task = aside.poll();
    try {
      if (task != null) {
        add(task);
      }
    } catch (Throwable t) { // costs this one alone, not whichever event comes by
      health.drop(1);
      health.error(t);
    }
    return task != null;
  }

  private void add(SparkListenerTaskEnd task) {
    TaskSums late = tasks.add(task);
    if (late != null && late.waiting.compareAndSet(false, true)) {
      outlet.offer(new StageTasksLine(late));
    }
  }

  synchronized void stageCompleted(StageInfo stage) {
    addUp();
    TaskSums sums = tasks.end(stage);
    StageLine line = sums.submitted;
    sums.submitted = null;
    if (sums.job != null) {
      sums.job.stageDone();
    }
    if (line == null || !line.end(stage)) {
      outlet.offer(StageLine.ended(stage, sums, line));
    }
  }
}
