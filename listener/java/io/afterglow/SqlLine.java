package io.afterglow;

import org.apache.spark.scheduler.SparkListenerEvent;

/** A SQL execution that started; when it ends while this waits in the queue, this tells its end too. */
final class SqlLine implements Line {
  private SparkListenerEvent start; // null once it is told: plans are large
  private final int weight;
  private SparkListenerEvent end;
  private String lastTree;
  private boolean closed;

  SqlLine(SparkListenerEvent start, int weight) {
    this.start = start;
    this.weight = weight;
  }

  /** The plan was changed while it ran: only the last one is told, once. */
  synchronized void replan(String tree) {
    lastTree = tree;
  }

  /** False when this is written already, and a line of its own has to tell the end. */
  synchronized boolean end(SparkListenerEvent event) {
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
    trimmer.trimSql(start, end == null ? null : lastTree(), line);
    if (end != null) {
      trimmer.trimInside("End", end, line);
    }
    start = null;
  }
}
