package io.afterglow;

import java.lang.reflect.Method;

/**
 * How many events Spark itself threw away because its listeners were too slow for the queue that they share. Spark has
 * counters for that, but none that a listener is given: looked up by name, for they may be elsewhere in another Spark.
 */
final class BusDrops {
  private static final String COUNTER = "queue.shared.numDroppedEvents";

  private static final int MOST_TRIES = 600; // ten a second; in another Spark it may be elsewhere

  private int tries;
  private Object counter;
  private Method count;

  /**
   * Looks for the counter while the context is there; it stays readable after that. Not on the bus's own thread, and not
   * before there are jobs: Spark's lock, which this takes, is held for as long as a context is made, and by one that
   * failed, until its bus has stopped.
   */
  synchronized void find() {
    try {
      if (counter == null && tries < MOST_TRIES) {
        tries++;
        Object context = Class.forName("org.apache.spark.SparkContext$").getField("MODULE$").get(null);
        Object active = call(call(context, "getActive"), "get"); // throws where there is none, or none yet
        Object registry = call(call(call(active, "listenerBus"), "metrics"), "metricRegistry");
        Method byName = registry.getClass().getMethod("counter", String.class);
        Object found = byName.invoke(registry, COUNTER);
        count = found.getClass().getMethod("getCount");
        counter = found;
      }
    } catch (Exception | LinkageError e) {
      // Not known, then: the heartbeat says null.
    }
  }

  /** Null when it is not known. */
  synchronized Long count() {
    try {
      return counter == null ? null : (Long) count.invoke(counter);
    } catch (ReflectiveOperationException e) {
      return null;
    }
  }

  private static Object call(Object of, String method) throws ReflectiveOperationException {
    return of.getClass().getMethod(method).invoke(of);
  }
}
