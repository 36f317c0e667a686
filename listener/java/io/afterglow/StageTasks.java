package io.afterglow;

import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.StageInfo;

/**
 * Adds up the task attempts of each stage attempt, so that task events need not leave the JVM. Only the bus's thread
 * comes here.
 *
 * <p>Spark adds them up too, but closes the account when the stage ends; the tasks of a failed stage, and the slower
 * copies of speculated ones, are killed after that. They have used the cluster as well.
 */
final class StageTasks {
  /** Stages whose end the bus lost would stay open for ever; hardly an application runs as many at once. */
  private static final int MAX_OPEN = 2_000; // of up to 2 KB
  /** Stages are kept after their end for the tasks that end late: this many, then the oldest goes. */
  private static final int MAX_ENDED = 4_096; // of 400 bytes

  private final RunningJobs jobs;
  private final Map<Long, TaskSums> open = new LinkedHashMap<>();
  private final Map<Long, TaskSums> ended = new LinkedHashMap<>();

  StageTasks(RunningJobs jobs) {
    this.jobs = jobs;
  }

  TaskSums begin(StageInfo stage) {
    return sums(stage.stageId(), stage.attemptNumber());
  }

  /** The sums to write again, because their stage has ended already; otherwise null. */
  TaskSums add(SparkListenerTaskEnd task) {
    long key = key(task.stageId(), task.stageAttemptId());
    TaskSums sums = open.get(key);
    TaskSums late = sums == null ? ended.get(key) : null;
    if (sums == null) {
      sums = late != null ? late : sums(task.stageId(), task.stageAttemptId());
    }
    sums.add(task);
    return late;
  }

  /** The sums of a stage that has ended. */
  TaskSums end(StageInfo stage) {
    TaskSums sums = sums(stage.stageId(), stage.attemptNumber());
    long key = key(sums.stage, sums.attempt);
    open.remove(key);
    put(ended, key, sums, MAX_ENDED);
    return sums;
  }

  private TaskSums sums(int stage, int attempt) {
    TaskSums sums = open.get(key(stage, attempt));
    if (sums == null) {
      sums = new TaskSums(stage, attempt, jobs.ofStage(stage));
      put(open, key(stage, attempt), sums, MAX_OPEN);
    }
    return sums;
  }

  private static void put(Map<Long, TaskSums> stages, long key, TaskSums sums, int most) {
    if (stages.size() >= most) {
      stages.remove(stages.keySet().iterator().next());
    }
    stages.put(key, sums);
  }

  private static long key(int stage, int attempt) {
    return (long) stage << 32 | attempt & 0xffffffffL;
  }
}
