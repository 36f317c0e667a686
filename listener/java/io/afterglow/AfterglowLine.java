package io.afterglow;

import java.util.function.Consumer;

/** An event that Spark does not have and the listener makes itself. Its fields are read when it is written. */
final class AfterglowLine implements Line {
  private final String event;
  private final Consumer<JsonFields> fields;
  private final int events;

  AfterglowLine(String event, Consumer<JsonFields> fields) {
    this(event, fields, 1);
  }

  private AfterglowLine(String event, Consumer<JsonFields> fields, int events) {
    this.event = event;
    this.fields = fields;
    this.events = events;
  }

  /** The next one says all that one does: nothing is lost with it. */
  static AfterglowLine beat(Consumer<JsonFields> fields) {
    return new AfterglowLine("AfterglowHeartbeat", fields, 0);
  }

  @Override
  public int events() {
    return events;
  }

  @Override
  public int weight() {
    return 200;
  }

  @Override
  public void appendTo(StringBuilder line, Trimmer trimmer) {
    fields.accept(new JsonFields(line, event));
  }
}
