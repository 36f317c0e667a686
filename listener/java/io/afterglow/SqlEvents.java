package io.afterglow;

import org.apache.spark.scheduler.SparkListenerEvent;
import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart;

/** The events of Spark SQL. They are told by name: an application may run without Spark SQL on its class path. */
final class SqlEvents {
  static final String START = "org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart";
  static final String END = "org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionEnd";

  private SqlEvents() {}

  static boolean kept(SparkListenerEvent event) {
    String name = event.getClass().getName();
    return name.equals(START) || name.equals(END);
  }

  /** An execution's start holds its plan as text and as a tree of about three times that. */
  static int weight(SparkListenerEvent event) {
    return event.getClass().getName().equals(START)
        ? 1_000 + 4 * ((SparkListenerSQLExecutionStart) event).physicalPlanDescription().length()
        : 1_000;
  }
}
