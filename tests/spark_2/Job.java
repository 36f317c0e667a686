import java.util.ArrayList;
import java.util.List;

import org.apache.spark.HashPartitioner;
import org.apache.spark.ShuffleDependency;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.storage.ShuffleIndexBlockId;

import scala.Tuple2;

/** An application of which an event log tells much: see README.md. */
public final class Job {
    public static void main(String[] args) throws Exception {
        System.setProperty("java.specification.version", "1.8"); // the libraries of Spark 2 know no later one
        SparkSession spark = SparkSession.builder().appName("much of Spark 2").getOrCreate();
        JavaSparkContext sc = new JavaSparkContext(spark.sparkContext());
        sql(spark);
        failingSql(spark);
        retriedTask(sc);
        failedJob(sc);
        retriedStage(sc);
        cancelledJob(sc);
        spark.stop();
        EachCodec.stopAll();
    }

    private static void sql(SparkSession spark) {
        Dataset<Row> numbers = spark.range(0, 2000, 1, 3).selectExpr("id % 7 AS k", "id AS n");
        numbers.write().mode("overwrite").csv("numbers");
        spark.read().schema(numbers.schema()).csv("numbers").createOrReplaceTempView("numbers");
        spark.sql("SELECT k, sum(n) AS total FROM numbers GROUP BY k ORDER BY total").collectAsList();
    }

    private static void failingSql(SparkSession spark) {
        UDF1<Long, Long> refuse = n -> {
            throw new IllegalStateException("no number will do");
        };
        spark.udf().register("refuse", refuse, DataTypes.LongType);
        fails(() -> spark.range(0, 4, 1, 1).selectExpr("refuse(id)").collectAsList());
    }

    /** And then a job whose first stage is skipped. */
    private static void retriedTask(JavaSparkContext sc) {
        sc.setJobGroup("group a", "a task that succeeds at its second attempt");
        JavaPairRDD<Integer, Integer> sums = sc.parallelize(numbers(4000), 4).mapToPair(n -> {
            if (n == 1001 && TaskContext.get().attemptNumber() == 0) {
                throw new IllegalStateException("not at the first attempt");
            }
            return new Tuple2<>(n % 50, n);
        }).reduceByKey((a, b) -> a + b, 3);
        sums.collect();
        sums.count();
        sc.clearJobGroup();
    }

    private static void failedJob(JavaSparkContext sc) {
        sc.setLocalProperty("spark.job.description", "a job that fails");
        fails(() -> sc.parallelize(numbers(8), 2).map(n -> {
            if (n == 5) {
                throw new IllegalStateException("never, \"not even once\"");
            }
            return n;
        }).count());
        sc.setLocalProperty("spark.job.description", null);
    }

    /** Its input is gone: it is tried again, and with it the stage before. */
    private static void retriedStage(JavaSparkContext sc) {
        JavaPairRDD<Integer, Integer> pairs =
            sc.parallelize(numbers(300), 3).mapToPair(n -> new Tuple2<>(n % 5, n)).partitionBy(new HashPartitioner(2));
        pairs.count();
        int shuffle = ((ShuffleDependency<?, ?, ?>) pairs.rdd().dependencies().head()).shuffleId();
        for (int map = 0; map < 3; map++) {
            ShuffleIndexBlockId index = new ShuffleIndexBlockId(shuffle, map, 0);
            SparkEnv.get().blockManager().diskBlockManager().getFile(index).delete();
        }
        pairs.count();
    }

    private static void cancelledJob(JavaSparkContext sc) throws InterruptedException {
        Thread thread = new Thread(() -> {
            sc.setJobGroup("group b", "a job that is cancelled", true);
            fails(() -> sc.parallelize(numbers(3), 3).foreach(n -> Thread.sleep(60_000)));
        });
        thread.start();
        while (sc.statusTracker().getActiveJobIds().length == 0) {
            Thread.sleep(20);
        }
        Thread.sleep(500); // so that its tasks run
        sc.cancelJobGroup("group b");
        thread.join();
    }

    private static void fails(Runnable job) {
        try {
            job.run();
        } catch (Exception e) {
            return;
        }
        throw new AssertionError("it did not fail");
    }

    private static List<Integer> numbers(int count) {
        List<Integer> numbers = new ArrayList<>();
        for (int n = 0; n < count; n++) {
            numbers.add(n);
        }
        return numbers;
    }
}
