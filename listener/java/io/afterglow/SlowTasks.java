package io.afterglow;

import org.apache.spark.scheduler.TaskInfo;

/** The few task attempts of a stage that took the longest. */
final class SlowTasks {
  private static final int MOST = 3;

  private final TaskInfo[] tasks = new TaskInfo[MOST];
  private final long[] millis = new long[MOST];
  private final long[] bytes = new long[MOST];
  private int count;

  void add(TaskInfo task, long took, long read) {
    if (count == MOST && took <= millis[MOST - 1]) {
      return;
    }
    int at = count < MOST ? count++ : MOST - 1;
    for (; at > 0 && millis[at - 1] < took; at--) {
      put(at, tasks[at - 1], millis[at - 1], bytes[at - 1]);
    }
    put(at, task, took, read);
  }

  /** Each as [index, attempt, executor, host, milliseconds, bytes read], the slowest first. */
  void put(StringBuilder to) {
    String open = "[";
    for (int i = 0; i < count; i++) {
      to.append(open).append('[').append(tasks[i].index()).append(',').append(tasks[i].attemptNumber()).append(',');
      JsonFields.quote(to, tasks[i].executorId()).append(',');
      JsonFields.quote(to, tasks[i].host()).append(',').append(millis[i]).append(',').append(bytes[i]).append(']');
      open = ",";
    }
    to.append(']');
  }

  private void put(int at, TaskInfo task, long took, long read) {
    tasks[at] = task;
    millis[at] = took;
    bytes[at] = read;
  }
}
