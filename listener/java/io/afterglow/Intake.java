package io.afterglow;

import java.nio.file.Path;
import org.apache.spark.SparkConf;
import org.apache.spark.scheduler.SparkListenerApplicationEnd;
import org.apache.spark.scheduler.SparkListenerApplicationStart;
import org.apache.spark.scheduler.SparkListenerEnvironmentUpdate;
import org.apache.spark.scheduler.SparkListenerEvent;
import org.apache.spark.scheduler.SparkListenerExecutorAdded;
import org.apache.spark.scheduler.SparkListenerExecutorRemoved;
import org.apache.spark.scheduler.SparkListenerJobEnd;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.scheduler.SparkListenerResourceProfileAdded;
import org.apache.spark.scheduler.SparkListenerStageCompleted;
import org.apache.spark.scheduler.SparkListenerStageSubmitted;
import org.apache.spark.scheduler.SparkListenerTaskEnd;

/**
 * Where what the listener is told becomes lines of its journal. All that is made into text or written is left to the
 * journal's own thread. It may throw: the listener sees to that.
 */
final class Intake {
  private final Health health = new Health();
  private final RunningJobs runningJobs = new RunningJobs();
  private final JobEvents jobs = new JobEvents(runningJobs, health, this::offer);
  private final SqlEvents queries = new SqlEvents(this::offer);
  private final UntaggedJobs untaggedJobs = new UntaggedJobs(health);
  private final Journal journal; // null when Afterglow is off

  /** {@code missed}: events that came when this could not be made. */
  Intake(SparkConf conf, int missed) {
    health.drop(missed);
    journal = Journal.start(conf, health, runningJobs, this::addUp);
  }

  /** On the journal's thread. */
  private void addUp() {
    jobs.addUp();
    queries.addUp();
  }

  // What the Python hook asks. ----------------------------------------------------------------------------------------

  /** Whether the journal is being written. Waits up to a second for the file to be opened, right after the start. */
  boolean active() throws InterruptedException {
    return health.on() && journal.opened(1_000);
  }

  String instance() {
    return journal.instance();
  }

  Path path() {
    return journal.path();
  }

  boolean record(String json) {
    if (!health.on() || !RecordedLine.accepts(json)) {
      return false;
    }
    untaggedJobs.recorded(json);
    RecordedLine line = new RecordedLine(json);
    return journal.offerOrKeep(line.rank(), line);
  }

  boolean flush(long millis) throws InterruptedException {
    return health.on() && journal.flush(millis);
  }

  // What Spark tells, on the thread of its listener bus. --------------------------------------------------------------

  void take(Object event) {
    if (event instanceof SparkListenerApplicationEnd && health.on()) {
      journal.applicationEnded(((SparkListenerApplicationEnd) event).time());
    } else if (health.listening()) {
      listen(event);
    } else {
      health.drop(1);
    }
  }

  /** The most frequent ones come first. */
  private void listen(Object event) {
    if (event instanceof SparkListenerTaskEnd) {
      jobs.taskEnded((SparkListenerTaskEnd) event); // added up, and no more than that
    } else if (event instanceof SparkListenerStageSubmitted) {
      jobs.stageSubmitted(((SparkListenerStageSubmitted) event).stageInfo());
    } else if (event instanceof SparkListenerStageCompleted) {
      jobs.stageCompleted(((SparkListenerStageCompleted) event).stageInfo());
    } else if (event instanceof SparkListenerJobStart) {
      untaggedJobs.jobStarted((SparkListenerJobStart) event);
      jobs.jobStarted((SparkListenerJobStart) event);
    } else if (event instanceof SparkListenerJobEnd) {
      jobs.jobEnded((SparkListenerJobEnd) event);
    } else {
      listenToRare((SparkListenerEvent) event);
    }
  }

  /** Weights are about how many bytes an event keeps alive while it waits: Spark offers no exact figure. */
  private void listenToRare(SparkListenerEvent event) {
    if (event instanceof SparkListenerEnvironmentUpdate) {
      offer(new SparkLine(event, 200_000));
    } else if (event instanceof SparkListenerExecutorRemoved || event instanceof SparkListenerResourceProfileAdded) {
      offer(new SparkLine(event, 2_000));
    } else if (event instanceof SparkListenerExecutorAdded || event instanceof SparkListenerApplicationStart) {
      offer(new SparkLine(event, 1_000));
    } else {
      queries.take(event);
    }
  }

  private boolean offer(Line line) {
    return journal.offer(Rank.FACT, line);
  }

  /** An event that was not understood is lost, and only that one. */
  void failed(Throwable cause) {
    health.drop(1);
    health.error(cause);
  }

  /** A question of the hook's that was not understood: nothing is lost by that. */
  void failedToAnswer(Throwable cause) {
    health.error(cause);
  }
}
