package io.afterglow;

import org.apache.spark.scheduler.TaskInfo;

/** The few task attempts of a stage that took the longest. Spark's own objects of them are large, and not kept. */
final class SlowTasks {
  private static final int MOST = 3;

  private final SlowTask[] tasks = new SlowTask[MOST];
  private int count;

  void add(TaskInfo task, long took, long read) {
    if (count == MOST && took <= tasks[MOST - 1].millis) {
      return;
    }
    int at = count < MOST ? count++ : MOST - 1;
    for (; at > 0 && tasks[at - 1].millis < took; at--) {
      tasks[at] = tasks[at - 1];
    }
    tasks[at] = new SlowTask(task, took, read);
  }

  /** The slowest first. */
  void put(StringBuilder to) {
    String open = "[";
    for (int i = 0; i < count; i++) {
      tasks[i].put(to.append(open));
      open = ",";
    }
    to.append(']');
  }

  private static final class SlowTask {
    final long millis;
    private final int index;
    private final int attempt;
    private final String executor;
    private final String host;
    private final long bytes;

    SlowTask(TaskInfo task, long millis, long bytes) {
      index = task.index();
      attempt = task.attemptNumber();
      executor = task.executorId();
      host = task.host();
      this.millis = millis;
      this.bytes = bytes;
    }

    /** [index, attempt, executor, host, milliseconds, bytes read]. */
    void put(StringBuilder to) {
      to.append('[').append(index).append(',').append(attempt).append(',');
      JsonFields.quote(to, executor).append(',');
      JsonFields.quote(to, host).append(',').append(millis).append(',').append(bytes).append(']');
    }
  }
}
