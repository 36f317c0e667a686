package io.afterglow;

import java.util.ArrayList;
import java.util.List;
import java.util.function.IntConsumer;
import org.apache.spark.scheduler.JobSucceeded$;
import org.apache.spark.scheduler.SparkListenerJobEnd;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.scheduler.StageInfo;
import scala.PartialFunction;

/**
 * A job that started. When it ends well while this waits in the queue, as most jobs of a fit do, this one line tells all
 * of it, with its stages as rows: a fifth of what their own lines take.
 */
final class JobLine implements Line {
  static final int STAGES = 2; // the field of Spark's event, whose own method names a class of Scala's collections

  private final int job;
  private final long started;
  private final int weight;
  private final int[] stages;
  private final int[] tasks;
  private final List<StageLine> told = new ArrayList<>();
  private boolean whole = true; // all its stages so far wait in the queue, behind this
  private String[] properties; // as Trimmer names them; null once nobody will tell them
  private long ended;
  private int rows; // stages that it tells with its end
  private boolean closed;

  JobLine(SparkListenerJobStart start) {
    job = start.jobId();
    started = start.time();
    properties = Trimmer.ofJob(start.properties()); // Spark's own hold the whole configuration
    List<StageInfo> infos = infos(start.productElement(STAGES));
    stages = infos.stream().mapToInt(StageInfo::stageId).toArray();
    tasks = infos.stream().mapToInt(StageInfo::numTasks).toArray();
    weight = weight(stages.length, properties);
  }

  int job() {
    return job;
  }

  int stages() {
    return stages.length;
  }

  long tasks() {
    long sum = 0;
    for (int each : tasks) {
      sum += each;
    }
    return sum;
  }

  void eachStage(IntConsumer action) {
    for (int stage : stages) {
      action.accept(stage);
    }
  }

  synchronized void add(StageLine stage) {
    if (!closed) {
      told.add(stage);
    }
  }

  /** Something of it was lost, or told elsewhere: from now on its events have lines of their own. */
  synchronized void comeApart() {
    whole = false;
  }

  /** False when the end needs a line of its own. */
  synchronized boolean end(SparkListenerJobEnd event) {
    boolean plain = !closed && whole && event.jobResult() == JobSucceeded$.MODULE$;
    if (!plain || !told.stream().allMatch(StageLine::plain)) {
      whole = false;
      return false;
    }
    told.forEach(StageLine::leaveOut);
    rows = told.size();
    ended = event.time();
    return true;
  }

  @Override
  public int weight() {
    return weight;
  }

  @Override
  public synchronized boolean close() {
    closed = true;
    return true;
  }

  /** Its start; when it tells its end, that and both ends of its stages, too. */
  @Override
  public synchronized int events() {
    return ended > 0 ? 2 + 2 * rows : 1;
  }

  @Override
  public synchronized void lost() {
    closed = true;
    if (ended > 0) {
      told.forEach(StageLine::lostWithItsJob);
    }
    told.clear();
    properties = null;
  }

  @Override
  public void appendTo(StringBuilder line, Trimmer trimmer) {
    JsonFields fields = putJob(line, trimmer);
    if (ended > 0) {
      putRows(fields.name("Stages"), trimmer);
    } else {
      putStages(fields);
    }
    told.clear();
  }

  /** A job of thousands of stages is told without them. */
  @Override
  public int appendShortTo(StringBuilder line, Trimmer trimmer) {
    putJob(line, trimmer);
    return 2 * rows;
  }

  private JsonFields putJob(StringBuilder line, Trimmer trimmer) {
    JsonFields fields = new JsonFields(line, ended > 0 ? "AfterglowJob" : "SparkListenerJobStart");
    fields.put("Job ID", job);
    if (ended > 0) {
      fields.name("Time").append('[').append(started).append(',').append(ended - started).append(']');
      trimmer.jobFields(properties, fields);
    } else {
      fields.put("Submission Time", started);
      trimmer.properties(properties, fields.name("Properties"));
    }
    return fields;
  }

  private void putStages(JsonFields fields) {
    StringBuilder infos = fields.name("Stage Infos");
    for (int i = 0; i < stages.length; i++) {
      infos.append(i == 0 ? "[" : ",").append("{\"Stage ID\":").append(stages[i]);
      infos.append(",\"Number of Tasks\":").append(tasks[i]).append('}');
    }
    infos.append(stages.length == 0 ? "[]" : "]");
    StringBuilder ids = fields.name("Stage IDs");
    for (int i = 0; i < stages.length; i++) {
      ids.append(i == 0 ? "[" : ",").append(stages[i]);
    }
    ids.append(stages.length == 0 ? "[]" : "]");
  }

  /** The stages that ran as rows of StageLine, those that were skipped as [stage, tasks]. */
  private void putRows(StringBuilder rows, Trimmer trimmer) {
    rows.append('[');
    String comma = "";
    String name = null;
    for (StageLine stage : told) {
      name = stage.putRow(rows.append(comma), trimmer, started, name);
      comma = ",";
    }
    for (int i = 0; i < stages.length; i++) {
      int skipped = stages[i];
      if (told.stream().noneMatch(stage -> stage.stage() == skipped)) {
        rows.append(comma).append('[').append(skipped).append(',').append(tasks[i]).append(']');
        comma = ",";
      }
    }
    rows.append(']');
  }

  private static int weight(int stages, String[] properties) {
    int bytes = 2_000 + 100 * stages;
    for (String each : properties) {
      bytes += 2 * each.length();
    }
    return bytes;
  }

  private static List<StageInfo> infos(Object sequence) {
    PartialFunction<Object, StageInfo> at = Scala.function(sequence);
    List<StageInfo> infos = new ArrayList<>();
    for (int i = 0; at.isDefinedAt(i); i++) {
      infos.add(at.apply(i));
    }
    return infos;
  }
}
