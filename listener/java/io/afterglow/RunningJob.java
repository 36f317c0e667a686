package io.afterglow;

import java.util.concurrent.atomic.AtomicInteger;

/** How far a job is. The bus's thread counts, the heartbeat reads. Its stages keep it for as long as they are kept. */
final class RunningJob {
  private final int id;
  private final int stages;
  private final long tasks;
  private final AtomicInteger stagesDone = new AtomicInteger();
  private final AtomicInteger tasksDone = new AtomicInteger();
  private JobLine line; // only JobEvents and RunningJobs come here, under the lock of the first

  RunningJob(JobLine line) {
    this.line = line;
    id = line.job();
    stages = line.stages();
    tasks = line.tasks();
  }

  /** Null once it has ended. */
  JobLine line() {
    return line;
  }

  /** It has ended, or nobody waits for its end any more: its line is no longer kept here. */
  JobLine letGo() {
    JobLine last = line;
    line = null;
    return last;
  }

  void taskDone() {
    tasksDone.incrementAndGet();
  }

  void stageDone() {
    stagesDone.incrementAndGet();
  }

  /** [job, stages done, stages, tasks done, tasks]; a task that had to be done twice counts twice. */
  void put(StringBuilder to) {
    to.append('[').append(id).append(',').append(stagesDone).append(',').append(stages);
    to.append(',').append(tasksDone).append(',').append(tasks).append(']');
  }
}
