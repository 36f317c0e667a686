package io.afterglow;

import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.spark.TaskCommitDenied;
import org.apache.spark.TaskEndReason;
import org.apache.spark.TaskFailedReason;
import org.apache.spark.TaskKilled;
import org.apache.spark.executor.ExecutorMetrics;
import org.apache.spark.executor.TaskMetrics;

/**
 * What the task attempts of one stage attempt add up to, and the most that one of them held. The bus's thread adds, the
 * journal's thread reads, hence the locks. Metrics are named like Spark's accumulators without "internal.metrics.".
 */
final class TaskSums {
  private static final String[] NAMES = {
    "executorRunTime",
    "executorCpuTime",
    "jvmGCTime",
    "memoryBytesSpilled",
    "diskBytesSpilled",
    "input.bytesRead",
    "input.recordsRead",
    "output.bytesWritten",
    "output.recordsWritten",
    "shuffle.read.remoteBytesRead",
    "shuffle.read.localBytesRead",
    "shuffle.read.recordsRead",
    "shuffle.write.bytesWritten",
    "shuffle.write.recordsWritten",
  };

  /** Whether a line with these sums waits to be written: it will have today's values, so a second one says nothing. */
  final AtomicBoolean waiting = new AtomicBoolean();

  final int stage;
  final int attempt;
  private final long[] sums = new long[NAMES.length];
  private long peakExecutionMemory;
  private long peakHeap;
  private long succeeded;
  private long failed;
  private long killed;

  TaskSums(int stage, int attempt) {
    this.stage = stage;
    this.attempt = attempt;
  }

  /** A task that was lost with its executor has no metrics: null. */
  synchronized void add(TaskEndReason reason, TaskMetrics metrics, ExecutorMetrics peaks) {
    count(reason);
    if (metrics != null) {
      sum(metrics);
      peakExecutionMemory = Math.max(peakExecutionMemory, metrics.peakExecutionMemory());
    }
    if (peaks != null) { // zeros unless its executor was polled while it ran: Spark does that every 10 s
      peakHeap = Math.max(peakHeap, peaks.getMetricValue("JVMHeapMemory"));
    }
  }

  /** A denied commit is a second copy of a task that lost the race: Spark counts it as killed, and so do we. */
  private void count(TaskEndReason reason) {
    if (!(reason instanceof TaskFailedReason)) {
      succeeded++;
    } else if (reason instanceof TaskKilled || reason instanceof TaskCommitDenied) {
      killed++;
    } else {
      failed++;
    }
  }

  private void sum(TaskMetrics metrics) {
    int i = 0;
    sums[i++] += metrics.executorRunTime();
    sums[i++] += metrics.executorCpuTime();
    sums[i++] += metrics.jvmGCTime();
    sums[i++] += metrics.memoryBytesSpilled();
    sums[i++] += metrics.diskBytesSpilled();
    sums[i++] += metrics.inputMetrics().bytesRead();
    sums[i++] += metrics.inputMetrics().recordsRead();
    sums[i++] += metrics.outputMetrics().bytesWritten();
    sums[i++] += metrics.outputMetrics().recordsWritten();
    sums[i++] += metrics.shuffleReadMetrics().remoteBytesRead();
    sums[i++] += metrics.shuffleReadMetrics().localBytesRead();
    sums[i++] += metrics.shuffleReadMetrics().recordsRead();
    sums[i++] += metrics.shuffleWriteMetrics().bytesWritten();
    sums[i] += metrics.shuffleWriteMetrics().recordsWritten();
  }

  synchronized void put(JsonFields fields) {
    fields.put("Stage ID", stage).put("Stage Attempt ID", attempt);
    fields.put("Peak Execution Memory", peakExecutionMemory).put("Peak JVM Heap", peakHeap);
    fields.put("Succeeded", succeeded).put("Failed", failed).put("Killed", killed);
    StringBuilder to = fields.name("Metrics").append('{');
    String comma = "";
    for (int i = 0; i < NAMES.length; i++) {
      if (sums[i] != 0) {
        JsonFields.quote(to.append(comma), NAMES[i]).append(':').append(sums[i]);
        comma = ",";
      }
    }
    to.append('}');
  }
}
