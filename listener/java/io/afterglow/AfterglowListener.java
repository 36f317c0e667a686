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
 * constructor would stop the context from starting, and an Error out of a callback would stop the running one. So the
 * constructor assigns one field, and no callback does anything outside of a try that catches Throwable: not even a
 * lambda is made there, since where memory has run out that throws as well.
 */
public final class AfterglowListener extends SparkListener {
  private static final int MOST_MISSED = 10;

  private final SparkConf conf;
  private volatile Intake intake; // made by the first event
  private volatile int missed; // events before it could be made

  public AfterglowListener(SparkConf conf) {
    this.conf = conf;
  }

  // What the Python hook calls, through py4j. ---------------------------------------------------------------------

  /** Whether the journal is being written. Waits up to a second for the file to be opened, right after the start. */
  public boolean active() {
    try {
      Intake open = intake();
      return open != null && open.active();
    } catch (Throwable t) {
      failed(t, false);
      return false;
    }
  }

  /** The journal's own id, "" when there is no journal. */
  public String instance() {
    return active() ? intake.instance() : "";
  }

  /** The journal's path, "" when there is no journal. */
  public String journal() {
    return active() ? intake.path().toString() : "";
  }

  /**
   * Adds one Afterglow… event: a JSON object on one line, {@code Event} first, without {@code Seq}. Never blocks.
   * False when it was not taken: not such an object, no room, or no journal.
   */
  public boolean record(String json) {
    try {
      Intake open = intake();
      return open != null && open.record(json);
    } catch (Throwable t) {
      failed(t, false); // the hook keeps it
      return false;
    }
  }

  /** Waits until all that was offered before is on the disk; false when that took longer, or it could not be written. */
  public boolean flush(long millis) {
    try {
      Intake open = intake();
      return open != null && open.flush(millis);
    } catch (Throwable t) {
      failed(t, false);
      return false;
    }
  }

  // What Spark calls, on the thread of its listener bus. -------------------------------------------------------------

  @Override
  public void onResourceProfileAdded(SparkListenerResourceProfileAdded event) {
    take(event);
  }

  @Override
  public void onEnvironmentUpdate(SparkListenerEnvironmentUpdate event) {
    take(event);
  }

  @Override
  public void onApplicationStart(SparkListenerApplicationStart event) {
    take(event);
  }

  @Override
  public void onApplicationEnd(SparkListenerApplicationEnd event) {
    take(event);
  }

  @Override
  public void onExecutorAdded(SparkListenerExecutorAdded event) {
    take(event);
  }

  @Override
  public void onExecutorRemoved(SparkListenerExecutorRemoved event) {
    take(event);
  }

  @Override
  public void onJobStart(SparkListenerJobStart event) {
    take(event);
  }

  @Override
  public void onJobEnd(SparkListenerJobEnd event) {
    take(event);
  }

  @Override
  public void onStageSubmitted(SparkListenerStageSubmitted event) {
    take(event);
  }

  @Override
  public void onTaskEnd(SparkListenerTaskEnd event) {
    take(event);
  }

  @Override
  public void onStageCompleted(SparkListenerStageCompleted event) {
    take(event);
  }

  @Override
  public void onOtherEvent(SparkListenerEvent event) {
    take(event);
  }

  /** Whatever it throws ends here, Errors too, and those of counting them. */
  private void take(Object event) {
    try {
      Intake open = intake();
      if (open != null) {
        open.take(event);
      }
    } catch (Throwable t) {
      try {
        failed(t, true);
      } catch (Throwable u) {
        // Spark's context is worth more than our count.
      }
    } finally {
      // Spark takes a listener off its bus for good when it finds this flag after a call, whoever set it.
      Thread.interrupted();
    }
  }

  private void failed(Throwable cause, boolean isLoss) {
    Intake open = intake;
    if (open == null) {
      miss(cause);
    } else if (isLoss) {
      open.failed(cause);
    } else {
      open.failedToAnswer(cause);
    }
  }

  private synchronized void miss(Throwable cause) {
    missed++;
    if (missed == MOST_MISSED) {
      Health.log("Afterglow is off for this application, the job goes on without it: it did not start: " + cause);
    }
  }

  /** Null when it could not be made, time and again. */
  private Intake intake() {
    Intake open = intake;
    return open != null || missed >= MOST_MISSED ? open : begin();
  }

  private synchronized Intake begin() {
    if (intake == null) {
      intake = new Intake(conf, missed);
    }
    return intake;
  }
}
