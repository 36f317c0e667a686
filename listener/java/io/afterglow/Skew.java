package io.afterglow;

import org.apache.spark.executor.TaskMetrics;
import org.apache.spark.scheduler.TaskInfo;

/** How unequal the task attempts of a stage were. */
final class Skew {
  private static final String[] NAMES = {"Duration", "Input", "Shuffle Read", "Shuffle Write", "Spill"};

  private final Histogram[] histograms = new Histogram[NAMES.length];
  private final SlowTasks slowest = new SlowTasks();
  private int tasks;

  Skew() {
    for (int i = 0; i < NAMES.length; i++) {
      histograms[i] = new Histogram();
    }
  }

  void add(TaskInfo task, TaskMetrics metrics) {
    long took = task.finished() ? task.duration() : 0;
    long input = metrics == null ? 0 : metrics.inputMetrics().bytesRead();
    long read = metrics == null ? 0 : metrics.shuffleReadMetrics().totalBytesRead();
    tasks++;
    histograms[0].add(took);
    histograms[1].add(input);
    histograms[2].add(read);
    histograms[3].add(metrics == null ? 0 : metrics.shuffleWriteMetrics().bytesWritten());
    histograms[4].add(metrics == null ? 0 : metrics.memoryBytesSpilled() + metrics.diskBytesSpilled());
    slowest.add(task, took, input + read);
  }

  /** Whether there is anything to compare. */
  boolean known() {
    return tasks > 1;
  }

  /**
   * The durations, and what was not the same for all: of that, sum and count tell all. The slowest tasks only where there
   * are enough to have a slowest.
   */
  void put(StringBuilder to) {
    to.append('{');
    String comma = "";
    for (int i = 0; i < NAMES.length; i++) {
      if (i == 0 || !histograms[i].allAlike()) {
        histograms[i].put(JsonFields.quote(to.append(comma), NAMES[i]).append(':'));
        comma = ",";
      }
    }
    if (tasks > 2) {
      slowest.put(to.append(comma).append("\"Slowest\":"));
    }
    to.append('}');
  }
}
