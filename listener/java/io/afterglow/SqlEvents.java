package io.afterglow;

import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.scheduler.SparkListenerEvent;
import org.apache.spark.sql.execution.ui.SparkListenerSQLAdaptiveExecutionUpdate;
import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionEnd;
import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart;

/**
 * Which lines the events of Spark SQL become. They are told by name: an application may run without Spark SQL on its
 * class path. Only the bus's thread comes here.
 */
final class SqlEvents {
  static final String START = "org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart";
  static final String END = "org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionEnd";
  static final String REPLAN = "org.apache.spark.sql.execution.ui.SparkListenerSQLAdaptiveExecutionUpdate";
  private static final int MAX_OPEN = 1_000; // executions whose end the bus lost would stay open for ever

  private final JobEvents.Outlet outlet;
  private final Map<Long, SqlLine> open = new LinkedHashMap<>();

  SqlEvents(JobEvents.Outlet outlet) {
    this.outlet = outlet;
  }

  void take(SparkListenerEvent event) {
    switch (event.getClass().getName()) {
      case START:
        start((SparkListenerSQLExecutionStart) event);
        break;
      case REPLAN:
        replan((SparkListenerSQLAdaptiveExecutionUpdate) event);
        break;
      case END:
        end((SparkListenerSQLExecutionEnd) event);
        break;
      default:
    }
  }

  /** An execution's start holds its plan as text and as a tree of about three times that. */
  private void start(SparkListenerSQLExecutionStart event) {
    SqlLine line = new SqlLine(event, 1_000 + 4 * event.physicalPlanDescription().length());
    outlet.offer(line);
    if (open.size() >= MAX_OPEN) {
      open.remove(open.keySet().iterator().next());
    }
    open.put(event.executionId(), line);
  }

  private void replan(SparkListenerSQLAdaptiveExecutionUpdate event) {
    SqlLine line = open.get(event.executionId());
    if (line != null) {
      line.replan(Plans.tree(event.physicalPlanDescription()));
    }
  }

  private void end(SparkListenerSQLExecutionEnd event) {
    SqlLine line = open.remove(event.executionId());
    if (line == null || !line.end(event)) {
      outlet.offer(new SqlEndLine(event, line == null ? null : line.lastTree()));
    }
  }
}
