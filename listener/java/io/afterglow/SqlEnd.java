package io.afterglow;

import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionEnd;
import scala.Option;

/** What is told of a SQL execution's end. Spark's own event of it holds the whole query with all its plans. */
final class SqlEnd {
  private static final int MAX_CHARS = 4_000; // of the error: whoever cuts it reads no more

  final long execution;
  final long time;
  private final String error;

  SqlEnd(SparkListenerSQLExecutionEnd event) {
    execution = event.executionId();
    time = event.time();
    Option<String> message = event.errorMessage();
    String all = message.isDefined() && message.get() != null ? message.get() : "";
    error = all.length() > MAX_CHARS ? all.substring(0, MAX_CHARS) : all;
  }

  /** About how many bytes it keeps alive. */
  int weight() {
    return 500 + 2 * error.length();
  }

  /** Why it failed, where it did. */
  void putError(JsonFields fields, Trimmer trimmer) {
    if (!error.isEmpty()) {
      fields.put("errorMessage", trimmer.message(error));
    }
  }
}
