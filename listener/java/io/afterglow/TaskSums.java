package io.afterglow;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.spark.TaskCommitDenied;
import org.apache.spark.TaskEndReason;
import org.apache.spark.TaskFailedReason;
import org.apache.spark.TaskKilled;
import org.apache.spark.executor.ExecutorMetrics;
import org.apache.spark.executor.TaskMetrics;
import org.apache.spark.scheduler.SparkListenerTaskEnd;

/**
 * What the task attempts of one stage attempt add up to, the most that one of them held, and how unequal they were. The
 * bus's thread adds, the journal's thread reads, hence the locks. Metrics are named like Spark's accumulators without
 * "internal.metrics.".
 */
final class TaskSums {
  /** Those that most stages have come first: in a row, zeros at the end are left out. */
  private static final String[] NAMES = {
    "executorRunTime",
    "executorCpuTime",
    "jvmGCTime",
    "shuffle.read.localBytesRead",
    "shuffle.read.recordsRead",
    "shuffle.write.bytesWritten",
    "shuffle.write.recordsWritten",
    "input.bytesRead",
    "input.recordsRead",
    "output.bytesWritten",
    "output.recordsWritten",
    "shuffle.read.remoteBytesRead",
    "memoryBytesSpilled",
    "diskBytesSpilled",
  };

  /** Whether a line with these sums waits to be written: it will have today's values, so a second one says nothing. */
  final AtomicBoolean waiting = new AtomicBoolean();

  final int stage;
  final int attempt;
  final RunningJob job;
  StageLine submitted; // that waits for the stage's end; only JobEvents comes here
  private final long[] sums = new long[NAMES.length];
  private Skew skew = new Skew();
  private long peakExecutionMemory;
  private long peakHeap;
  private long succeeded;
  private long failed;
  private long killed;

  /** {@code job} may be null: not known. */
  TaskSums(int stage, int attempt, RunningJob job) {
    this.stage = stage;
    this.attempt = attempt;
    this.job = job;
  }

  /** A task that was lost with its executor has no metrics: null. */
  synchronized void add(SparkListenerTaskEnd task) {
    count(task.reason());
    TaskMetrics metrics = task.taskMetrics();
    if (metrics != null) {
      sum(metrics);
      peakExecutionMemory = Math.max(peakExecutionMemory, metrics.peakExecutionMemory());
    }
    ExecutorMetrics peaks = task.taskExecutorMetrics();
    if (peaks != null) { // zeros unless its executor was polled while it ran: Spark does that every 10 s
      peakHeap = Math.max(peakHeap, peaks.getMetricValue("JVMHeapMemory"));
    }
    if (skew != null && task.taskInfo() != null) {
      skew.add(task.taskInfo(), metrics);
    }
  }

  /** A denied commit is a second copy of a task that lost the race: Spark counts it as killed, and so do we. */
  private void count(TaskEndReason reason) {
    if (!(reason instanceof TaskFailedReason)) {
      succeeded++;
      if (job != null) {
        job.taskDone();
      }
    } else if (reason instanceof TaskKilled || reason instanceof TaskCommitDenied) {
      killed++;
    } else {
      failed++;
    }
  }

  private void sum(TaskMetrics metrics) {
    sums[0] += metrics.executorRunTime();
    sums[1] += metrics.executorCpuTime();
    sums[2] += metrics.jvmGCTime();
    sums[3] += metrics.shuffleReadMetrics().localBytesRead();
    sums[4] += metrics.shuffleReadMetrics().recordsRead();
    sums[5] += metrics.shuffleWriteMetrics().bytesWritten();
    sums[6] += metrics.shuffleWriteMetrics().recordsWritten();
    sums[7] += metrics.inputMetrics().bytesRead();
    sums[8] += metrics.inputMetrics().recordsRead();
    sums[9] += metrics.outputMetrics().bytesWritten();
    sums[10] += metrics.outputMetrics().recordsWritten();
    sums[11] += metrics.shuffleReadMetrics().remoteBytesRead();
    sums[12] += metrics.memoryBytesSpilled();
    sums[13] += metrics.diskBytesSpilled();
  }

  /** All there is, as the fields of an object; {@code comma} is what comes before the first. */
  synchronized void put(StringBuilder to, String comma) {
    to.append(comma).append("\"Succeeded\":").append(succeeded);
    to.append(",\"Failed\":").append(failed).append(",\"Killed\":").append(killed);
    to.append(",\"Peak Execution Memory\":").append(peakExecutionMemory).append(",\"Peak JVM Heap\":").append(peakHeap);
    to.append(",\"Metrics\":{");
    String before = "";
    for (int i = 0; i < NAMES.length; i++) {
      if (sums[i] != 0) {
        JsonFields.quote(to.append(before), NAMES[i]).append(':').append(sums[i]);
        before = ",";
      }
    }
    to.append('}');
    putSkew(to, ",\"Skew\":");
  }

  /** The same as the last elements of a row: an array of all the numbers, without the zeros at its end, and skew. */
  synchronized void putRow(StringBuilder to) {
    long[] all = Arrays.copyOf(new long[] {succeeded, peakExecutionMemory}, 2 + NAMES.length + 3);
    System.arraycopy(sums, 0, all, 2, NAMES.length);
    System.arraycopy(new long[] {peakHeap, failed, killed}, 0, all, 2 + NAMES.length, 3);
    int last = all.length;
    while (last > 0 && all[last - 1] == 0) {
      last--;
    }
    String open = ",[";
    for (int i = 0; i < last; i++) {
      to.append(open).append(all[i]);
      open = ",";
    }
    to.append(last == 0 ? ",[]" : "]");
    putSkew(to, ",");
  }

  /** Once written after the stage's end, its bins are given back: of the tasks that end later only the sums grow. */
  synchronized void forgetSkew() {
    skew = null;
  }

  private void putSkew(StringBuilder to, String name) {
    if (skew != null && skew.known()) {
      skew.put(to.append(name));
    }
  }
}
