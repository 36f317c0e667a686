package io.afterglow;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import org.apache.spark.scheduler.SparkListenerEvent;
import org.apache.spark.sql.execution.ui.SparkListenerSQLAdaptiveExecutionUpdate;
import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionEnd;
import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart;

/**
 * Which lines the events of Spark SQL become. They are told by name: an application may run without Spark SQL on its
 * class path. On the bus's thread; what becomes of a plan while it runs is only put aside there, since its text may be
 * long, and made small on the journal's thread, unless there is too much of it.
 */
final class SqlEvents {
  static final String START = "org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart";
  static final String END = "org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionEnd";
  static final String REPLAN = "org.apache.spark.sql.execution.ui.SparkListenerSQLAdaptiveExecutionUpdate";
  private static final int MAX_OPEN = 500; // executions whose end the bus lost would stay open for ever
  private static final int MAX_ASIDE = 32; // of 100 KB each

  private final JobEvents.Outlet outlet;
  private final Map<Long, SqlLine> open = new LinkedHashMap<>(); // only the bus's thread comes here
  private final BlockingQueue<SqlLine> aside = new ArrayBlockingQueue<>(MAX_ASIDE);

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
        end(new SqlEnd((SparkListenerSQLExecutionEnd) event));
        break;
      default:
    }
  }

  /** Makes the plans small that were put aside. On the journal's thread. */
  void addUp() {
    for (SqlLine line = aside.poll(); line != null; line = aside.poll()) {
      line.plan();
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
    if (line != null && line.replan(Plan.head(event.physicalPlanDescription())) && !aside.offer(line)) {
      line.plan();
    }
  }

  private void end(SqlEnd end) {
    SqlLine line = open.remove(end.execution);
    if (line == null || !line.end(end)) {
      outlet.offer(new SqlEndLine(end, line));
    }
  }
}
