package io.afterglow;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.spark.SparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerJobEnd;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.JobSucceeded$;

/** What a listener meets on a real bus, made to order for tests/test_listener_trouble.py. */
public final class Trouble {
  private Trouble() {}

  private static final CountDownLatch RELEASED = new CountDownLatch(1);

  /** A neighbour on the queue of the bus that does not get on with it until it is released. */
  public static final class Slow extends SparkListener {
    @Override
    public void onTaskEnd(SparkListenerTaskEnd event) {
      try {
        RELEASED.await(120, TimeUnit.SECONDS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
  }

  public static void release() {
    RELEASED.countDown();
  }

  /** A job's end that throws what it is told to, or interrupts, but only where our listener reads it. */
  private static final class Bad extends SparkListenerJobEnd {
    private static final long serialVersionUID = 1L;
    private final String kind;

    Bad(String kind) {
      super(1_000_000, 1L, JobSucceeded$.MODULE$);
      this.kind = kind;
    }

    @Override
    public int jobId() {
      for (StackTraceElement frame : new Throwable().getStackTrace()) {
        if (frame.getClassName().startsWith("io.afterglow.JobEvents")) {
          harm();
        }
      }
      return super.jobId();
    }

    private void harm() {
      switch (kind) {
        case "OutOfMemoryError":
          throw new OutOfMemoryError("made up");
        case "StackOverflowError":
          throw new StackOverflowError("made up");
        case "NoClassDefFoundError":
          throw new NoClassDefFoundError("made/up");
        default:
          Thread.currentThread().interrupt();
      }
    }
  }

  public static void post(SparkContext context, String kind, int times) throws Exception {
    for (int i = 0; i < times; i++) {
      context.listenerBus().post(new Bad(kind));
    }
    context.listenerBus().waitUntilEmpty();
  }

  /** A listener without a context, in a JVM whose JsonProtocol is not Spark's: one line is said, nothing else happens. */
  public static void main(String[] arguments) throws Exception {
    AfterglowListener listener = new AfterglowListener(new org.apache.spark.SparkConf(false));
    for (int i = 0; i < 20; i++) {
      listener.onJobEnd(new SparkListenerJobEnd(i, 1L, JobSucceeded$.MODULE$));
    }
    System.out.println("ACTIVE " + listener.active() + " " + listener.flush(1_000) + " [" + listener.journal() + "]");
  }
}
