package io.afterglow;

import java.util.Collections;
import org.apache.spark.SparkConf;
import org.apache.spark.executor.TaskMetrics;
import org.apache.spark.scheduler.SparkListenerStageCompleted;
import org.apache.spark.scheduler.SparkListenerStageSubmitted;
import org.apache.spark.scheduler.StageInfo;
import org.apache.spark.sql.execution.SparkPlanInfo;
import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart;
import scala.Option;
import scala.collection.immutable.Map$;
import scala.collection.immutable.Nil$;
import scala.collection.immutable.Seq;
import scala.collection.immutable.Set$;

/** A listener whose file may not grow beyond what tests/test_listener_trouble.py allows: for a moment it has no room. */
final class NoRoom {
  private static final Object EMPTY = Nil$.MODULE$;

  public static void main(String[] arguments) throws Exception {
    AfterglowListener listener = new AfterglowListener(new SparkConf(false));
    System.out.println("OPEN " + listener.active() + " " + listener.flush(10_000));
    StageInfo stage = new StageInfo(7, 0, "count at job.py:7", 2, none(), none(), "", new TaskMetrics(), none(),
        Option.empty(), 0, false, 0);
    listener.onOtherEvent(query(1));
    listener.onStageSubmitted(new SparkListenerStageSubmitted(stage, null));
    String large = String.join("", Collections.nCopies(100_000, "x"));
    listener.record("{\"Event\":\"AfterglowRunStart\",\"Timestamp\":1,\"Run ID\":\"a\",\"Run\":{\"x\":\"" + large + "\"}}");
    System.out.println("NO ROOM " + listener.flush(10_000));
    listener.onOtherEvent(query(2));
    stage.submissionTime_$eq(Option.apply((Object) 1L));
    stage.completionTime_$eq(Option.apply((Object) 2L));
    listener.onStageCompleted(new SparkListenerStageCompleted(stage));
    System.out.println("ROOM " + listener.flush(10_000));
    System.out.println("JOURNAL " + listener.journal());
    System.exit(0);
  }

  private static SparkListenerSQLExecutionStart query(long id) {
    SparkPlanInfo plan = new SparkPlanInfo("Project", "Project [a]", none(), Map$.MODULE$.empty(), none());
    return new SparkListenerSQLExecutionStart(id, Option.empty(), "count", "", "== Physical Plan ==\nProject (1)", plan, 1L,
        Map$.MODULE$.empty(), Set$.MODULE$.empty(), Option.empty(), Option.empty());
  }

  @SuppressWarnings("unchecked")
  private static <T> Seq<T> none() {
    return (Seq<T>) EMPTY;
  }
}
