package io.afterglow;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.ConcurrentModificationException;
import org.apache.spark.scheduler.SparkListenerEvent;

/** Spark's own text of an event. Looked up by name, since some vendors' Spark has it elsewhere. */
final class SparkJson {
  private static final int TRIES = 3;

  private final Method toJson;

  private SparkJson(Method toJson) {
    this.toJson = toJson;
  }

  static SparkJson find() throws ReflectiveOperationException {
    ClassLoader spark = SparkListenerEvent.class.getClassLoader();
    Class<?> protocol = Class.forName("org.apache.spark.util.JsonProtocol", true, spark);
    return new SparkJson(protocol.getMethod("sparkEventToJsonString", SparkListenerEvent.class));
  }

  String of(SparkListenerEvent event) throws Exception {
    for (int tried = 1; ; tried++) {
      try {
        return (String) toJson.invoke(null, event);
      } catch (InvocationTargetException e) {
        // The event is still Spark's: its properties may change under our hands. A moment later they do not.
        boolean changing = e.getCause() instanceof ConcurrentModificationException;
        if (!changing || tried == TRIES) {
          throw e;
        }
      }
    }
  }
}
