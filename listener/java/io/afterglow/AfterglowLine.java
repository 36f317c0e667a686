package io.afterglow;

import java.util.function.Consumer;

/** An event that Spark does not have and the listener makes itself. Its fields are read when it is written. */
final class AfterglowLine implements Line {
  private final String event;
  private final Consumer<JsonFields> fields;

  AfterglowLine(String event, Consumer<JsonFields> fields) {
    this.event = event;
    this.fields = fields;
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
