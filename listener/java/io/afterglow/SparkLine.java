package io.afterglow;

import org.apache.spark.scheduler.SparkListenerEvent;

/** An event as Spark posted it. It is made into text on the journal's thread, not on the thread of the bus. */
final class SparkLine implements Line {
  private final SparkListenerEvent event;
  private final int weight;

  SparkLine(SparkListenerEvent event, int weight) {
    this.event = event;
    this.weight = weight;
  }

  @Override
  public int weight() {
    return weight;
  }

  @Override
  public void appendTo(StringBuilder line, Trimmer trimmer) throws Exception {
    trimmer.trim(event, line);
  }
}
