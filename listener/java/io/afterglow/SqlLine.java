package io.afterglow;

import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart;

/**
 * A SQL execution that started; when it ends while this waits in the queue, this tells its end too. Its fields are read
 * from Spark's event: the text that Spark makes of one is long, and most of it is not kept.
 */
final class SqlLine implements Line {
  private SparkListenerSQLExecutionStart start; // null once it is told, or lightened: plans are large
  private SqlHead head; // what is left of it then
  private int weight;
  private SqlEnd end;
  private String replanned; // the head of Spark's text, until the plan is made of it
  private Plan plan; // null where it stayed what it was
  private boolean closed;

  SqlLine(SparkListenerSQLExecutionStart start, int weight) {
    this.start = start;
    this.weight = weight;
  }

  /** The plan was changed while it ran: only the last one is told, once. True when {@link #plan} is due. */
  synchronized boolean replan(String text) {
    boolean first = replanned == null;
    replanned = text;
    return first;
  }

  /** The last plan, if it is not the one of the start; null otherwise. */
  Plan plan() {
    for (String text = takeText(); text != null; text = takeText()) {
      keep(Plan.of(text)); // without the lock: it takes its time, and the bus's thread may come with another one
    }
    return kept();
  }

  private synchronized String takeText() {
    String text = replanned;
    replanned = null;
    return text;
  }

  private synchronized void keep(Plan last) {
    plan = last;
  }

  private synchronized Plan kept() {
    return plan;
  }

  synchronized int bytesOfPlan() {
    return 2 * (replanned != null ? replanned.length() : plan != null ? plan.tree().length() : 0);
  }

  /** False when this is written already, and a line of its own has to tell the end. */
  synchronized boolean end(SqlEnd last) {
    if (!closed) {
      end = last;
    }
    return !closed;
  }

  @Override
  public synchronized int weight() {
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
    head = null;
    end = null;
  }

  @Override
  public synchronized int events() {
    return end == null ? 1 : 2;
  }

  @Override
  public synchronized boolean heavy() {
    return start != null;
  }

  /** It is told without plan and files. */
  @Override
  public synchronized void lighten() {
    head = new SqlHead(start);
    weight = head.weight();
    start = null;
  }

  @Override
  public void appendTo(StringBuilder line, Trimmer trimmer) throws Exception {
    JsonFields fields = new JsonFields(line, SqlEvents.START);
    (start == null ? head : new SqlHead(start)).put(fields, trimmer);
    if (start != null) {
      putPlan(fields, trimmer);
    }
    if (end != null) {
      end.putError(new JsonFields(fields.name("End").append("{\"time\":").append(end.time)), trimmer);
      line.append('}');
    }
    start = null;
    head = null;
  }

  private void putPlan(JsonFields fields, Trimmer trimmer) throws Exception {
    PlanFiles files = trimmer.planFiles();
    files.read(start.sparkPlanInfo(), start.physicalPlanDescription());
    files.put(fields);
    Plan last = end == null ? null : plan();
    trimmer.plans().put(last == null ? Plan.of(start.physicalPlanDescription()) : last, fields);
  }
}
