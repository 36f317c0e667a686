package io.afterglow;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
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
  private final Set<Integer> runningJobs = ConcurrentHashMap.newKeySet();
  private final StageTasks stageTasks = new StageTasks();
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
      return open.offer(Rank.FACT, new RecordedLine(json));
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
    offer(event, 2_000);
  }

  @Override
  public void onEnvironmentUpdate(SparkListenerEnvironmentUpdate event) {
    offer(event, 200_000);
  }

  @Override
  public void onApplicationStart(SparkListenerApplicationStart event) {
    offer(event, 1_000);
  }

  @Override
  public void onApplicationEnd(SparkListenerApplicationEnd event) {
    offer(event, 1_000);
    try {
      Journal open = open();
      if (open != null) {
        open.applicationEnded();
      }
    } catch (Throwable t) {
      health.error(t);
    }
  }

  @Override
  public void onExecutorAdded(SparkListenerExecutorAdded event) {
    offer(event, 1_000);
  }

  @Override
  public void onExecutorRemoved(SparkListenerExecutorRemoved event) {
    offer(event, 2_000);
  }

  @Override
  public void onJobStart(SparkListenerJobStart event) {
    try {
      runningJobs.add(event.jobId());
      untaggedJobs.jobStarted(event);
    } catch (Throwable t) {
      health.error(t);
    }
    offer(event, 8_000);
  }

  @Override
  public void onJobEnd(SparkListenerJobEnd event) {
    try {
      runningJobs.remove(event.jobId());
    } catch (Throwable t) {
      health.error(t);
    }
    offer(event, 4_000);
  }

  @Override
  public void onStageSubmitted(SparkListenerStageSubmitted event) {
    try {
      stageTasks.begin(event.stageInfo());
    } catch (Throwable t) {
      health.error(t);
    }
    offer(event, 4_000);
  }

  /** The most frequent event by far: it is added up and goes no further. */
  @Override
  public void onTaskEnd(SparkListenerTaskEnd event) {
    try {
      TaskSums late = stageTasks.add(event);
      if (late != null) {
        offer(late);
      }
    } catch (Throwable t) {
      health.error(t);
    }
  }

  @Override
  public void onStageCompleted(SparkListenerStageCompleted event) {
    try {
      offer(stageTasks.end(event.stageInfo()));
    } catch (Throwable t) {
      health.error(t);
    }
    offer(event, 8_000);
  }

  @Override
  public void onOtherEvent(SparkListenerEvent event) {
    try {
      Journal open = SqlEvents.kept(event) ? open() : null;
      if (open != null) {
        open.offer(Rank.PLAN, new SparkLine(event, SqlEvents.weight(event)));
      }
    } catch (Throwable t) {
      health.error(t);
    }
  }

  private void offer(SparkListenerEvent event, int weight) {
    try {
      Journal open = open();
      if (open != null) {
        open.offer(Rank.FACT, new SparkLine(event, weight));
      }
    } catch (Throwable t) {
      health.error(t);
    }
  }

  private void offer(TaskSums sums) {
    Journal open = open();
    if (open != null && sums.waiting.compareAndSet(false, true) && !open.offer(Rank.FACT, new StageTasksLine(sums))) {
      sums.waiting.set(false);
    }
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
      journal = Journal.start(conf, health, runningJobs);
    }
    return journal;
  }
}
