package io.afterglow;

/** The task metrics of a stage, added up by Spark: the accumulables named internal.metrics.… whose value is a number. */
final class TaskMetrics implements Shape {
  @Override
  public void copy(JsonReader from, StringBuilder to) {
    from.enter('[');
    to.append('[');
    String comma = "";
    while (from.nextValue()) {
      if (metric(from, to, comma)) {
        comma = ",";
      }
    }
    to.append(']');
  }

  private static boolean metric(JsonReader from, StringBuilder to, String comma) {
    String name = "";
    String value = "";
    from.enter('{');
    for (String key = from.nextKey(); key != null; key = from.nextKey()) {
      if (key.equals("Name")) {
        name = from.peek() == '"' ? from.string() : from.raw();
      } else if (key.equals("Value")) {
        value = from.raw();
      } else {
        from.skip();
      }
    }
    // With spark.taskMetrics.trackUpdatedBlockStatuses one value is a list of blocks, as long as the stage is wide.
    if (!name.startsWith("internal.metrics.") || value.isEmpty() || "-0123456789".indexOf(value.charAt(0)) < 0) {
      return false;
    }
    JsonFields.quote(to.append(comma).append("{\"Name\":"), name);
    to.append(",\"Value\":").append(value).append('}');
    return true;
  }
}
