package io.afterglow;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.scheduler.SparkListenerJobStart;

/** The jobs that run, and which of them runs a stage: of those that need it, the one that came first. */
final class RunningJobs {
  /** Jobs whose end the bus lost would run for ever: when there are so many, the oldest goes. */
  private static final int MAX_RUNNING = 500;

  private static final int MAX_TOLD = 100; // in a heartbeat

  private final Map<Integer, RunningJob> running = new LinkedHashMap<>(); // the oldest first
  private final Map<Integer, RunningJob> byStage = new HashMap<>();
  private volatile boolean any;

  /** Whether there ever was one. */
  boolean any() {
    return any;
  }

  synchronized JobLine start(SparkListenerJobStart event) {
    RunningJob job = new RunningJob(new JobLine(event));
    if (running.size() >= MAX_RUNNING) {
      end(running.keySet().iterator().next());
    }
    running.put(event.jobId(), job);
    any = true;
    job.line().eachStage(stage -> byStage.putIfAbsent(stage, job));
    return job.line();
  }

  /** The job's line, null when nobody saw it begin. */
  synchronized JobLine end(int id) {
    RunningJob job = running.remove(id);
    if (job == null) {
      return null;
    }
    JobLine line = job.letGo();
    line.eachStage(stage -> byStage.remove(stage, job));
    return line;
  }

  synchronized RunningJob ofStage(int stage) {
    return byStage.get(stage);
  }

  /** An array with one element a job, oldest first. */
  void put(StringBuilder to) {
    String open = "[";
    for (RunningJob job : last()) {
      job.put(to.append(open));
      open = ",";
    }
    to.append(open.equals("[") ? "[]" : "]");
  }

  /** Of too many the last ones: those that only seem to run are older. */
  private synchronized List<RunningJob> last() {
    List<RunningJob> all = new ArrayList<>(running.values());
    return all.subList(Math.max(0, all.size() - MAX_TOLD), all.size());
  }
}
