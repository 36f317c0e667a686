import org.apache.spark.scheduler.SparkListener;

/** What Spark's bus takes for a listener on its shared queue, whatever that does. */
public class EmptyListener extends SparkListener {}
