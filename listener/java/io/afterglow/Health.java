package io.afterglow;

import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.slf4j.LoggerFactory;

/**
 * Whether the listener is at work, and what it has lost. Once off it stays off: nothing here may cost the job more than
 * the first few errors, or fill the driver's log.
 */
final class Health {
  private static final int ERRORS_UNTIL_OFF = 10;

  private final AtomicBoolean off = new AtomicBoolean();
  private final AtomicBoolean warned = new AtomicBoolean();
  private final AtomicInteger errors = new AtomicInteger();
  private final AtomicLong dropped = new AtomicLong();

  boolean on() {
    return !off.get();
  }

  /** Events lost so far, for whatever reason. */
  long dropped() {
    return dropped.get();
  }

  void drop(long events) {
    dropped.addAndGet(events);
  }

  /** An error that should not have been: counted, and the end of it when they repeat. */
  void error(Throwable cause) {
    if (errors.incrementAndGet() >= ERRORS_UNTIL_OFF) {
      off(ERRORS_UNTIL_OFF + " errors, the last one " + cause + "; " + dropped() + " events were lost before");
    }
  }

  /** Switched off by the user: nothing to say. */
  void offQuietly() {
    off.set(true);
  }

  void off(String reason) {
    if (off.compareAndSet(false, true)) {
      log("Afterglow is off for this application, the job goes on without it: " + reason);
    }
  }

  /** Says what is wrong, the first time only. */
  void warnOnce(String message) {
    if (warned.compareAndSet(false, true)) {
      log(message);
    }
  }

  /** Says something that is no fault of the listener's. */
  void say(String message) {
    log(message);
  }

  private static void log(String message) {
    try {
      LoggerFactory.getLogger(AfterglowListener.class).warn(message);
    } catch (Throwable t) {
      // A driver without a working log: there is nobody left to tell.
    }
  }
}
