package io.afterglow;

import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.spark.scheduler.SparkListenerJobStart;

/**
 * Notices jobs that began while a run was active and carry no run: a thread that does not inherit Spark's job tags
 * submitted them. A run's own thread tags all of its jobs, so it is never one of these.
 *
 * <p>Judged when the run has ended, by the times of run and job: what the hook says of runs comes later than the jobs.
 */
final class UntaggedJobs {
  private static final int MAX_KEPT = 1_000; // of jobs, the last ones, and of runs

  private final Health health;
  private boolean said;
  private final ArrayDeque<Long> begun = new ArrayDeque<>();
  private final Map<String, Long> active = new HashMap<>();

  UntaggedJobs(Health health) {
    this.health = health;
  }

  void jobStarted(SparkListenerJobStart event) {
    Properties properties = event.properties() == null ? new Properties() : event.properties();
    // A streaming query runs on, with the tags it started with, whatever run is active elsewhere.
    if (!properties.getProperty("spark.job.tags", "").contains("mlflow.run_id=")
        && properties.getProperty("sql.streaming.queryId") == null) {
      jobStarted(event.time());
    }
  }

  synchronized void jobStarted(long time) {
    if (begun.size() >= MAX_KEPT) {
      begun.remove();
    }
    begun.add(time);
  }

  synchronized boolean said() {
    return said;
  }

  /** Takes an event of the hook, as RecordedLine accepts it. One that is not understood costs no more than a warning. */
  void recorded(String json) {
    try {
      read(json);
    } catch (RuntimeException e) {
      // Not an error of the listener's health, which would switch it off: the line itself is good for the journal.
    }
  }

  private void read(String json) {
    JsonReader reader = new JsonReader(json);
    reader.enter('{');
    String event = "";
    String run = "";
    long time = 0;
    for (String key = reader.nextKey(); key != null; key = reader.nextKey()) {
      if (key.equals("Event")) {
        event = reader.string();
        if (!event.startsWith("AfterglowRun")) {
          return;
        }
      } else if (key.equals("Timestamp")) {
        time = Long.parseLong(reader.raw());
      } else if (key.equals("Run ID")) {
        run = reader.string();
      } else if (key.equals("Source")) {
        // A client's run is active in no thread, so no job has its tag.
        recorded(event, run, time, reader.string().equals("client"));
        return;
      } else {
        reader.skip();
      }
    }
  }

  private synchronized void recorded(String event, String run, long time, boolean ofClient) {
    if (said || ofClient) {
      return;
    }
    if (event.equals("AfterglowRunStart") && active.size() < MAX_KEPT) {
      active.put(run, time);
    } else if (event.equals("AfterglowRunEnd")) {
      Long since = active.remove(run);
      long jobs = since == null ? 0 : begun.stream().filter(job -> job > since && job < time).count();
      // With unpinned threads no job has a tag; the hook has said that.
      if (jobs > 0 && !"false".equalsIgnoreCase(System.getenv("PYSPARK_PIN_THREAD"))) {
        said = true;
        health.say(
            "Afterglow gives Spark jobs to no run where their thread carries none: " + jobs + " that began while MLflow"
                + " run " + run + " was active. If they are the run's own, start them in a pyspark.InheritableThread"
                + " instead of a threading.Thread. This is said once.");
      }
    }
  }
}
