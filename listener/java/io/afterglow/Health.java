package io.afterglow;

import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import org.slf4j.LoggerFactory;

/**
 * Whether the listener is at work, and what it has lost. Nothing here may cost the job more than the first few errors,
 * fill the driver's log, or throw: it is told where something has gone wrong already.
 */
final class Health {
  private static final int ERRORS = 10;
  private static final long WITHIN_NANOS = 3_600_000_000_000L;

  private final AtomicLong dropped = new AtomicLong();
  private final Set<String> warned = new HashSet<>();
  private volatile boolean off;
  private volatile boolean listening = true;
  private volatile String trouble;
  // Guarded by this.
  private int errors;
  private long since;

  /** Whether there is a journal to write to, now or soon. Once off it stays off. */
  boolean on() {
    return !off;
  }

  /**
   * Whether Spark's events are still looked at. After repeated errors they are only counted, for good; the journal goes
   * on with what needs none of them: that the application lives, what became of its runs, and how it ends.
   */
  boolean listening() {
    return listening && !off;
  }

  /** Why Spark's events are no longer looked at, null as long as they are. */
  String trouble() {
    return trouble;
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
    error(cause, System.nanoTime());
  }

  /** One error a day would be ten in the life of a stream: that is no reason to stop. */
  synchronized void error(Throwable cause, long now) {
    if (errors == 0 || now - since > WITHIN_NANOS) {
      errors = 0;
      since = now;
    }
    if (++errors == ERRORS && listening) {
      listening = false;
      stopListening(cause);
    }
  }

  private void stopListening(Throwable cause) {
    try {
      trouble = ERRORS + " errors within an hour, the last one " + cause.getClass().getName();
      log(
          "Afterglow counts this application's events from now on, but no longer looks at them; the job goes on without"
              + " it: " + ERRORS + " errors, the last one " + said(cause) + "; " + dropped()
              + " events were lost before");
    } catch (Throwable t) {
      // There is no memory for a word.
    }
  }

  private static String said(Throwable cause) {
    try {
      return cause.toString();
    } catch (Throwable t) {
      return cause.getClass().getName();
    }
  }

  /** Switched off by the user: nothing to say. */
  void offQuietly() {
    off = true;
  }

  synchronized void off(String reason) {
    if (!off) {
      off = true;
      log("Afterglow is off for this application, the job goes on without it: " + reason);
    }
  }

  /** Says what is wrong, the first time only; {@code details} may be others the next time. */
  synchronized void warnOnce(String what, String details) {
    if (warned.add(what)) {
      log(what + details);
    }
  }

  /** Says something that is no fault of the listener's. */
  void say(String message) {
    log(message);
  }

  static void log(String message) {
    try {
      LoggerFactory.getLogger(AfterglowListener.class).warn(message);
    } catch (Throwable t) {
      // A driver without a working log: there is nobody left to tell.
    }
  }
}
