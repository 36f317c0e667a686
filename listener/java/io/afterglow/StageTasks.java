package io.afterglow;

import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.TaskCommitDenied;
import org.apache.spark.TaskEndReason;
import org.apache.spark.TaskFailedReason;
import org.apache.spark.TaskKilled;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.StageInfo;

/**
 * Counts the task attempts of each running stage attempt. Only the thread of the bus comes here. A task that ends after
 * its stage has completed (a killed copy) is not counted.
 */
final class StageTasks {
  /** Stages whose end the bus lost would stay here for ever; no application runs as many at once. */
  private static final int MAX_STAGES = 4_096;

  private final Map<Long, Counts> stages = new LinkedHashMap<>();

  void begin(StageInfo stage) {
    if (stages.size() >= MAX_STAGES) {
      stages.remove(stages.keySet().iterator().next());
    }
    stages.put(key(stage.stageId(), stage.attemptNumber()), new Counts());
  }

  void add(SparkListenerTaskEnd task) {
    Counts counts = stages.get(key(task.stageId(), task.stageAttemptId()));
    if (counts != null) {
      counts.add(task.reason());
    }
  }

  /** The stage's line, or null when its start was never seen. */
  Line end(StageInfo stage) {
    int id = stage.stageId();
    int attempt = stage.attemptNumber();
    Counts counts = stages.remove(key(id, attempt));
    if (counts == null) {
      return null;
    }
    return new AfterglowLine(
        "AfterglowStageTasks", fields -> counts.put(fields.put("Stage ID", id).put("Stage Attempt ID", attempt)));
  }

  private static long key(int stage, int attempt) {
    return (long) stage << 32 | attempt & 0xffffffffL;
  }

  private static final class Counts {
    private long succeeded;
    private long failed;
    private long killed;

    /** A denied commit is a second copy of a task that lost the race: Spark counts it as killed, and so do we. */
    void add(TaskEndReason reason) {
      if (!(reason instanceof TaskFailedReason)) {
        succeeded++;
      } else if (reason instanceof TaskKilled || reason instanceof TaskCommitDenied) {
        killed++;
      } else {
        failed++;
      }
    }

    void put(JsonFields fields) {
      fields.put("Succeeded", succeeded).put("Failed", failed).put("Killed", killed);
    }
  }
}
