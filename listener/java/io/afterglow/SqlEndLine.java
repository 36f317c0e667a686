package io.afterglow;

import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionEnd;

/** The end of a SQL execution whose start is written, with the plan that it had in the end. */
final class SqlEndLine implements Line {
  private final SparkListenerSQLExecutionEnd end;
  private final String lastTree;

  /** {@code lastTree} is null where the plan stayed what it was. */
  SqlEndLine(SparkListenerSQLExecutionEnd end, String lastTree) {
    this.end = end;
    this.lastTree = lastTree;
  }

  @Override
  public int weight() {
    return 1_000 + (lastTree == null ? 0 : 2 * lastTree.length());
  }

  @Override
  public void appendTo(StringBuilder line, Trimmer trimmer) throws Exception {
    JsonFields fields = new JsonFields(line, SqlEvents.END);
    fields.put("executionId", end.executionId()).put("time", end.time());
    SqlLine.putEnd(end, fields, trimmer);
    if (lastTree != null) {
      trimmer.plans().put(lastTree, fields);
    }
  }
}
