package io.afterglow;

import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart;
import scala.Option;

/** What the start of a SQL execution says beside its plan. */
final class SqlHead {
  private static final int DESCRIPTION = 4_000; // characters: no more of it is read by whoever cuts it

  private final long execution;
  private final Option<Object> root;
  private final String description;
  private final long time;
  private final String tags;

  SqlHead(SparkListenerSQLExecutionStart start) {
    execution = start.executionId();
    root = start.rootExecutionId();
    time = start.time();
    String all = start.description();
    description = all != null && all.length() > DESCRIPTION ? all.substring(0, DESCRIPTION) : all;
    tags = tags(start);
  }

  /** About how many bytes it keeps alive. */
  int weight() {
    return 500 + 2 * (tags.length() + (description == null ? 0 : description.length()));
  }

  void put(JsonFields fields, Trimmer trimmer) {
    fields.put("executionId", execution);
    if (root.isDefined() && (Long) root.get() != execution) {
      fields.put("rootExecutionId", (Long) root.get());
    }
    if (description != null) {
      fields.put("description", trimmer.message(description));
    }
    fields.put("time", time);
    putTags(Trimmer.ownTags(tags), fields, trimmer);
  }

  private static String tags(SparkListenerSQLExecutionStart start) {
    try {
      return Scala.joined(Scala.get(start, "jobTags"), ",");
    } catch (ReflectiveOperationException e) {
      return ""; // another Spark's: the jobs have them as well
    }
  }

  private static void putTags(String own, JsonFields fields, Trimmer trimmer) {
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
}
