package io.afterglow;

import org.apache.spark.scheduler.SparkListenerEvent;

/** The end of a SQL execution whose start is written, with the plan that it had in the end. */
final class SqlEndLine implements Line {
  private final SparkListenerEvent end;
  private final String lastTree;

  /** {@code lastTree} is null where the plan stayed what it was. */
  SqlEndLine(SparkListenerEvent end, String lastTree) {
    this.end = end;
    this.lastTree = lastTree;
  }

  @Override
  public int weight() {
    return 1_000 + (lastTree == null ? 0 : 2 * lastTree.length());
  }

  @Override
  public void appendTo(StringBuilder line, Trimmer trimmer) throws Exception {
    trimmer.trim(end, line);
    if (lastTree != null) {
      trimmer.plans().put(lastTree, new JsonFields(line));
    }
  }
}
