package io.afterglow;

import java.util.concurrent.atomic.AtomicInteger;

/** How far a job is. The bus's thread counts, the heartbeat reads. */
final class RunningJob {
  final JobLine line;
  private final AtomicInteger stagesDone = new AtomicInteger();
  private final AtomicInteger tasksDone = new AtomicInteger();

  RunningJob(JobLine line) {
    this.line = line;
  }

  void taskDone() {
    tasksDone.incrementAndGet();
  }

  void stageDone() {
    stagesDone.incrementAndGet();
  }

  /** [job, stages done, stages, tasks done, tasks]; a task that had to be done twice counts twice. */
  void put(StringBuilder to) {
    to.append('[').append(line.job()).append(',').append(stagesDone).append(',').append(line.stages());
    to.append(',').append(tasksDone).append(',').append(line.tasks()).append(']');
  }
}
