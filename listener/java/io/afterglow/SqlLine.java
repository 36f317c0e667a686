package io.afterglow;

import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionEnd;
import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart;
import scala.Option;

/**
 * A SQL execution that started; when it ends while this waits in the queue, this tells its end too. Its fields are read
 * from Spark's event: the text that Spark makes of one is long, and most of it is not kept.
 */
final class SqlLine implements Line {
  private SparkListenerSQLExecutionStart start; // null once it is told: plans are large
  private final int weight;
  private SparkListenerSQLExecutionEnd end;
  private String lastTree;
  private boolean closed;

  SqlLine(SparkListenerSQLExecutionStart start, int weight) {
    this.start = start;
    this.weight = weight;
  }

  /** The plan was changed while it ran: only the last one is told, once. */
  synchronized void replan(String tree) {
    lastTree = tree;
  }

  /** False when this is written already, and a line of its own has to tell the end. */
  synchronized boolean end(SparkListenerSQLExecutionEnd event) {
    if (!closed) {
      end = event;
    }
    return !closed;
  }

  /** The last plan, if it is not the one of the start; null otherwise. */
  synchronized String lastTree() {
    return lastTree;
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

  @Override
  public synchronized void lost() {
    closed = true;
    start = null;
  }

  @Override
  public void appendTo(StringBuilder line, Trimmer trimmer) throws Exception {
    JsonFields fields = new JsonFields(line, SqlEvents.START);
    putStart(fields, trimmer);
    if (end != null) {
      putEnd(end, new JsonFields(fields.name("End").append("{\"time\":").append(end.time())), trimmer);
      line.append('}');
    }
    start = null;
  }

  private void putStart(JsonFields fields, Trimmer trimmer) throws Exception {
    fields.put("executionId", start.executionId());
    Option<Object> root = start.rootExecutionId();
    if (root.isDefined() && (Long) root.get() != start.executionId()) {
      fields.put("rootExecutionId", (Long) root.get());
    }
    if (start.description() != null) {
      fields.put("description", trimmer.message(start.description()));
    }
    fields.put("time", start.time());
    putTags(Scala.joined(Scala.get(start, "jobTags"), ","), fields, trimmer);
    PlanFiles files = trimmer.planFiles();
    files.read(start.sparkPlanInfo());
    files.put(fields);
    String replanned = end == null ? null : lastTree();
    trimmer.plans().put(replanned == null ? Plans.tree(start.physicalPlanDescription()) : replanned, fields);
  }

  private static void putTags(String all, JsonFields fields, Trimmer trimmer) {
    String own = Trimmer.ownTags(all);
    if (own.isEmpty()) {
      return;
    }
    StringBuilder to = fields.name("jobTags");
    String open = "[";
    for (String tag : own.split(",")) {
      JsonFields.quote(to.append(open), trimmer.name(tag));
      open = ",";
    }
    to.append(']');
  }

  /** Why it failed, where it did. */
  static void putEnd(SparkListenerSQLExecutionEnd end, JsonFields fields, Trimmer trimmer) {
    Option<String> error = end.errorMessage();
    if (error.isDefined() && !error.get().isEmpty()) {
      fields.put("errorMessage", trimmer.message(error.get()));
    }
  }
}
