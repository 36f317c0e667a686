package io.afterglow;

import org.apache.spark.scheduler.StageInfo;
import scala.Option;

/**
 * A stage that was submitted; when it ends while this waits in the queue, this tells its end instead. Spark's object is
 * not kept: it changes under our hands, and holds much that nobody needs.
 */
final class StageLine implements Line {
  private final TaskSums sums;
  private final int tasks;
  private final String name;
  private final long submitted;
  private long completed;
  private String failure;
  private final boolean known;
  private boolean endOnly;
  private boolean lost;
  private boolean closed;
  private boolean leftOut;
  private boolean written;

  /** {@code before} is the line that told of its submission, null when none did. */
  StageLine(StageInfo stage, TaskSums sums, StageLine before) {
    this.sums = sums;
    known = before != null && before.written();
    tasks = stage.numTasks();
    name = stage.name();
    submitted = millis(stage.submissionTime());
  }

  /** The line of an end that has one of its own. */
  static StageLine ended(StageInfo stage, TaskSums sums, StageLine before) {
    StageLine line = new StageLine(stage, sums, before);
    line.endOnly = true;
    line.completed = millis(stage.completionTime());
    line.failure = stage.failureReason().isDefined() ? stage.failureReason().get() : null;
    return line;
  }

  /** False when a line of its own has to tell the end: this is written already, or it takes more words than a row has. */
  synchronized boolean end(StageInfo stage) {
    long time = millis(stage.completionTime());
    if (closed || time == 0 || submitted == 0 || sums.attempt != 0 || stage.failureReason().isDefined()) {
      return false;
    }
    completed = time;
    return true;
  }

  int stage() {
    return sums.stage;
  }

  /** Whether it ended well at the first attempt, so that a row says all of it. */
  synchronized boolean plain() {
    return !lost && completed > 0 && submitted > 0 && failure == null && sums.attempt == 0;
  }

  /** Its job's line tells it. */
  synchronized void leaveOut() {
    closed = true;
    leftOut = true;
  }

  /** That line is lost as well. */
  void lostWithItsJob() {
    sums.forgetSkew();
  }

  @Override
  public int weight() {
    return 2_000;
  }

  @Override
  public synchronized boolean close() {
    boolean first = !closed;
    closed = true;
    written = first;
    return first;
  }

  /** From now on its job does not tell it either: it is counted. */
  @Override
  public synchronized void lost() {
    closed = true;
    lost = true;
    written = false;
    if (!leftOut && (completed > 0 || failure != null)) {
      sums.forgetSkew(); // which only this line would have told
    }
  }

  @Override
  public synchronized int events() {
    return completed > 0 && !endOnly ? 2 : 1;
  }

  private synchronized boolean written() {
    return written;
  }

  @Override
  public void appendTo(StringBuilder line, Trimmer trimmer) {
    if (plain()) {
      JsonFields fields = new JsonFields(line, "AfterglowStage").put("Submission Time", submitted);
      putRow(fields.name("Stage"), trimmer, submitted, known ? name : null);
    } else {
      putInSparkSForm(line, trimmer);
    }
  }

  private void putInSparkSForm(StringBuilder line, Trimmer trimmer) {
    boolean over = completed > 0 || failure != null;
    JsonFields.quote(line.append("{\"Event\":"), over ? "SparkListenerStageCompleted" : "SparkListenerStageSubmitted");
    line.append(",\"Stage Info\":{\"Stage ID\":").append(sums.stage);
    line.append(",\"Stage Attempt ID\":").append(sums.attempt).append(",\"Stage Name\":");
    JsonFields.quote(line, trimmer.name(name)).append(",\"Number of Tasks\":").append(tasks);
    putTime(line, ",\"Submission Time\":", submitted);
    putTime(line, ",\"Completion Time\":", completed);
    if (failure != null) {
      JsonFields.quote(line.append(",\"Failure Reason\":"), trimmer.message(failure));
    }
    line.append('}');
    if (over) {
      sums.put(line.append(",\"Tasks\":{"), "");
      line.append('}');
      sums.forgetSkew();
    }
  }

  /**
   * [stage, tasks, ms from {@code since} to its submission, ms that it took, name or 0 for {@code before}, …]. Returns
   * its name.
   */
  String putRow(StringBuilder to, Trimmer trimmer, long since, String before) {
    to.append('[').append(sums.stage).append(',').append(tasks).append(',').append(submitted - since).append(',');
    to.append(completed - submitted).append(',');
    if (name.equals(before)) {
      to.append('0');
    } else {
      JsonFields.quote(to, trimmer.name(name));
    }
    sums.putRow(to);
    sums.forgetSkew();
    to.append(']');
    return name;
  }

  private static void putTime(StringBuilder to, String name, long millis) {
    if (millis > 0) {
      to.append(name).append(millis);
    }
  }

  private static long millis(Option<Object> time) {
    return time.isDefined() ? (Long) time.get() : 0;
  }
}
