package io.afterglow;

import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.scheduler.SparkListenerJobStart;

/** The jobs that run, and which of them runs a stage: of those that need it, the one that came first. */
final class RunningJobs {
  private static final int MAX_TOLD = 100; // in a heartbeat

  private final Map<Integer, RunningJob> running = new ConcurrentHashMap<>();
  private final Map<Integer, RunningJob> byStage = new HashMap<>(); // only the bus's thread comes here

  RunningJob start(SparkListenerJobStart event) {
    RunningJob job = new RunningJob(new JobLine(event));
    running.put(event.jobId(), job);
    job.line.eachStage(stage -> byStage.putIfAbsent(stage, job));
    return job;
  }

  /** Null when nobody saw it begin. */
  RunningJob end(int id) {
    RunningJob job = running.remove(id);
    if (job != null) {
      job.line.eachStage(stage -> byStage.remove(stage, job));
    }
    return job;
  }

  RunningJob ofStage(int stage) {
    return byStage.get(stage);
  }

  /** An array with one element a job, oldest first. */
  void put(StringBuilder to) {
    int told = 0;
    to.append('[');
    for (RunningJob job : new TreeMap<>(running).values()) {
      if (told < MAX_TOLD) {
        job.put(to.append(told++ == 0 ? "" : ","));
      }
    }
    to.append(']');
  }
}
