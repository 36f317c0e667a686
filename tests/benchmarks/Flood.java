package io.afterglow;

import java.lang.management.ManagementFactory;
import java.util.Properties;
import org.apache.spark.SparkConf;
import org.apache.spark.Success$;
import org.apache.spark.executor.ExecutorMetrics;
import org.apache.spark.executor.TaskMetrics;
import org.apache.spark.scheduler.JobSucceeded$;
import org.apache.spark.scheduler.SparkListenerApplicationStart;
import org.apache.spark.scheduler.SparkListenerJobEnd;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.scheduler.SparkListenerStageCompleted;
import org.apache.spark.scheduler.SparkListenerStageSubmitted;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.StageInfo;
import org.apache.spark.scheduler.TaskInfo;
import org.apache.spark.scheduler.TaskLocality;
import scala.Option;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;

/**
 * A listener alone in its JVM, told of many jobs by one thread, as Spark's bus would: the heap is all its own. Of each
 * flood it prints a name, the jobs, the seconds, and the most live bytes that were added, where it looked.
 */
public final class Flood {
  private static final int BESIDE_TASKS = 4; // events a job: its start and end, and its stage's
  private static final int LOOKED_AT = 2_000; // jobs between two looks at the heap

  private final AfterglowListener listener;
  private int jobs;

  private Flood(SparkConf conf) {
    listener = new AfterglowListener(conf);
  }

  /** Arguments: the collector, then floods of four: events, how many a second (0: at once), tasks a job, look at the heap. */
  public static void main(String[] arguments) throws Exception {
    Flood flood = new Flood(new SparkConf(false).set("spark.afterglow.collector.url", arguments[0]));
    flood.begin();
    for (int at = 1; at < arguments.length; at += 4) {
      int events = Integer.parseInt(arguments[at]);
      int pace = Integer.parseInt(arguments[at + 1]);
      flood.run(events, pace, Integer.parseInt(arguments[at + 2]), Boolean.parseBoolean(arguments[at + 3]));
    }
    System.out.println("JOURNAL " + flood.listener.journal());
    System.exit(0);
  }

  private void begin() {
    listener.onApplicationStart(
        new SparkListenerApplicationStart("flood", Option.apply("flood-1"), 1L, "me", Option.empty(), Option.empty(), Option.empty()));
    listener.active();
  }

  private void run(int events, int pace, int tasks, boolean looksAtHeap) throws Exception {
    int first = jobs;
    long before = live();
    long mostBytes = 0;
    long began = System.nanoTime();
    for (int done = 0; done < events; done += tasks + BESIDE_TASKS) {
      job(jobs++, tasks);
      long early = pace == 0 ? 0 : began + (long) (1e9 * done / pace) - System.nanoTime();
      if (early > 1_000_000) {
        Thread.sleep(early / 1_000_000);
      }
      if (looksAtHeap && jobs % LOOKED_AT == 0) {
        mostBytes = Math.max(mostBytes, live() - before);
      }
    }
    double seconds = (System.nanoTime() - began) / 1e9;
    listener.flush(60_000);
    System.out.println("FLOOD " + first + " " + jobs + " " + seconds + " " + mostBytes);
  }

  private static long live() {
    System.gc();
    return ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed();
  }

  private void job(int id, int tasks) {
    StageInfo stage = stage(id, tasks);
    long time = System.currentTimeMillis();
    listener.onJobStart(new SparkListenerJobStart(id, time, seq(stage), properties(id)));
    stage.submissionTime_$eq(Option.apply((Object) time));
    listener.onStageSubmitted(new SparkListenerStageSubmitted(stage, new Properties()));
    for (int task = 0; task < tasks; task++) {
      TaskInfo info = new TaskInfo(task, task, 0, time, "1", "host", TaskLocality.ANY(), false);
      info.markFinished(org.apache.spark.TaskState.FINISHED(), time + 5);
      listener.onTaskEnd(
          new SparkListenerTaskEnd(id, 0, "ResultTask", Success$.MODULE$, info, new ExecutorMetrics(), new TaskMetrics()));
    }
    stage.completionTime_$eq(Option.apply((Object) (time + 6)));
    listener.onStageCompleted(new SparkListenerStageCompleted(stage));
    listener.onJobEnd(new SparkListenerJobEnd(id, time + 7, JobSucceeded$.MODULE$));
  }

  private static Properties properties(int id) {
    Properties properties = new Properties();
    properties.setProperty("spark.job.description", "step " + id);
    properties.setProperty("spark.job.tags", "mlflow.run_id=0123456789abcdef0123456789abcdef");
    return properties;
  }

  private static StageInfo stage(int id, int tasks) {
    return new StageInfo(id, 0, "collect at job.py:" + id, tasks, seq(), seq(), "", new TaskMetrics(), seq(),
        Option.empty(), 0, false, 0);
  }

  @SafeVarargs
  private static <T> Seq<T> seq(T... items) {
    return CollectionConverters.asScala(java.util.Arrays.asList(items)).toList();
  }
}
