package io.afterglow;

import org.apache.spark.SparkConf;
import org.apache.spark.scheduler.SparkListener;
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
 * Writes what a Spark application does to a journal, for Afterglow; docs/journal.md says what is in it.
 *
 * <p>Spark makes one for each SparkContext when {@code spark.extraListeners} names this class. An exception out of the
 * constructor would stop the context from starting, and an Error out of a callback would stop the running one: so the
 * constructor only assigns, every callback catches Throwable, and all work is done on the journal's own thread.
 */
public final class AfterglowListener extends SparkListener {
  private final SparkConf conf;
  private final Health health = new Health();
  private final RunningJobs runningJobs = new RunningJobs();
  private final JobEvents jobs = new JobEvents(runningJobs, line -> offer(Rank.FACT, line));
  private final SqlEvents queries = new SqlEvents(line -> offer(Rank.PLAN, line));
  private final UntaggedJobs untaggedJobs = new UntaggedJobs(health);
  private volatile Journal journal;

  public AfterglowListener(SparkConf conf) {
    this.conf = conf;
  }

  // What the Python hook calls, through py4j. ---------------------------------------------------------------------

  /** Whether events are being written. Waits up to a second for the file to be opened, right after the start. */
  public boolean active() {
    try {
      Journal open = open();
      return open != null && open.opened(1_000);
    } catch (Throwable t) {
      health.error(t);
      return false;
    }
  }

  /** The journal's own id, "" when there is no journal. */
  public String instance() {
    return active() ? journal.instance() : "";
  }

  /** The journal's path, "" when there is no journal. */
  public String journal() {
    return active() ? journal.path().toString() : "";
  }

  /**
   * Adds one Afterglow… event: a JSON object on one line, {@code Event} first, without {@code Seq}. Never blocks.
   * False when it was not taken: not such an object, no room, or no journal.
   */
  public boolean record(String json) {
    try {
      Journal open = open();
      if (open == null || !RecordedLine.accepts(json)) {
        return false;
      }
      untaggedJobs.recorded(json);
      RecordedLine line = new RecordedLine(json);
      return open.offer(line.rank(), line);
    } catch (Throwable t) {
      health.error(t);
      return false;
    }
  }

  /** Waits until all that was offered before is on the disk; false when that took longer, or it could not be written. */
  public boolean flush(long millis) {
    try {
      Journal open = open();
      return open != null && open.flush(millis);
    } catch (Throwable t) {
      health.error(t);
      return false;
    }
  }

  // What Spark calls, on the thread of its listener bus. Weights are about how many bytes an event keeps alive while it
  // waits: Spark offers no exact figure. ------------------------------------------------------------------------------

  @Override
  public void onResourceProfileAdded(SparkListenerResourceProfileAdded event) {
    take(() -> offer(Rank.FACT, new SparkLine(event, 2_000)));
  }

  @Override
  public void onEnvironmentUpdate(SparkListenerEnvironmentUpdate event) {
    take(() -> offer(Rank.FACT, new SparkLine(event, 200_000)));
  }

  @Override
  public void onApplicationStart(SparkListenerApplicationStart event) {
    take(() -> offer(Rank.FACT, new SparkLine(event, 1_000)));
  }

  @Override
  public void onApplicationEnd(SparkListenerApplicationEnd event) {
    take(() -> {
      Journal open = open();
      if (open != null) {
        open.applicationEnded(new SparkLine(event, 1_000));
      }
    });
  }

  @Override
  public void onExecutorAdded(SparkListenerExecutorAdded event) {
    take(() -> offer(Rank.FACT, new SparkLine(event, 1_000)));
  }

  @Override
  public void onExecutorRemoved(SparkListenerExecutorRemoved event) {
    take(() -> offer(Rank.FACT, new SparkLine(event, 2_000)));
  }

  @Override
  public void onJobStart(SparkListenerJobStart event) {
    take(() -> {
      jobs.jobStarted(event);
      untaggedJobs.jobStarted(event);
    });
  }

  @Override
  public void onJobEnd(SparkListenerJobEnd event) {
    take(() -> jobs.jobEnded(event));
  }

  @Override
  public void onStageSubmitted(SparkListenerStageSubmitted event) {
    take(() -> jobs.stageSubmitted(event.stageInfo()));
  }

  /** The most frequent event by far: it is added up and goes no further. */
  @Override
  public void onTaskEnd(SparkListenerTaskEnd event) {
    take(() -> jobs.taskEnded(event));
  }

  @Override
  public void onStageCompleted(SparkListenerStageCompleted event) {
    take(() -> jobs.stageCompleted(event.stageInfo()));
  }

  @Override
  public void onOtherEvent(SparkListenerEvent event) {
    take(() -> queries.take(event));
  }

  /** Whatever it throws ends here, Errors too: on the bus's thread one would stop the context. */
  private void take(Runnable action) {
    try {
      if (health.on()) {
        action.run();
      }
    } catch (Throwable t) {
      health.error(t);
    } finally {
      // Spark takes a listener off its bus for good when it finds this flag after a call, whoever set it.
      Thread.interrupted();
    }
  }

  private boolean offer(Rank rank, Line line) {
    Journal open = open();
    return open != null && open.offer(rank, line);
  }

  /** The journal, or null when Afterglow is off. Started by the first event: in the constructor it could cost the job. */
  private Journal open() {
    if (!health.on()) {
      return null;
    }
    return journal != null ? journal : start();
  }

  private synchronized Journal start() {
    if (journal == null && health.on()) {
      journal = Journal.start(conf, health, runningJobs, jobs::addUp);
    }
    return journal;
  }
}
