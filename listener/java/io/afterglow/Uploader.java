package io.afterglow;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.concurrent.ThreadLocalRandom;

/**
 * Sends the journal's bytes to the collector, on a daemon thread of its own: what was written is in the file, so that
 * nothing waits in memory, however long the collector is away. Once it answers, journals that dead drivers left in the
 * same folder follow.
 */
final class Uploader {
  private static final long INTERVAL_MILLIS = 700;
  private static final long FIRST_PAUSE_MILLIS = 1_000;
  private static final long LONGEST_PAUSE_MILLIS = 60_000;
  private static final long PAUSE_AT_EXIT_MILLIS = 100;
  private static final long LEFTOVERS_PAUSE_NANOS = 10_000_000_000L;
  private static final long NOBODY = -1;

  /** The journal that is sent while it is written. */
  interface Outbox {
    Path path();

    /** How many bytes of it are whole lines for good. */
    long written();

    /** The collector has so many of them; -1: there is none who sends them. */
    void confirmed(long bytes);
  }

  private final CollectorSettings settings;
  private final Outbox outbox;
  private final Path journal;
  private final Health health;
  private byte[] buffer = new byte[Shipment.CHUNK_BYTES];
  private final ArrayDeque<Path> leftovers = new ArrayDeque<>();
  private Collector collector;
  private Shipment own;
  private boolean searched;
  private long leftoversAfter = System.nanoTime();
  private boolean warned;
  private int failures;
  // Guarded by this.
  private boolean over;
  private boolean finishing;
  private long deadline;

  private Uploader(CollectorSettings settings, Outbox outbox, Health health) {
    this.settings = settings;
    this.outbox = outbox;
    this.health = health;
    journal = outbox.path();
  }

  /** Null where there is no collector to send to. */
  static Uploader start(CollectorSettings settings, Outbox outbox, Health health) {
    if (!settings.wanted()) {
      return null;
    }
    Uploader uploader = new Uploader(settings, outbox, health);
    Thread thread = new Thread(uploader::run, "afterglow-upload");
    thread.setDaemon(true);
    thread.start();
    return uploader;
  }

  /**
   * The JVM exits: sends what is left within this time. How many bytes of the journal are confirmed then, -1 where that
   * is not known.
   */
  synchronized long finish(long millis) throws InterruptedException {
    finishing = true;
    deadline = System.nanoTime() + millis * 1_000_000;
    notifyAll();
    for (long left = millis; !over && left > 0; left = (deadline - System.nanoTime()) / 1_000_000) {
      wait(left);
    }
    return over && own != null ? own.confirmed() : -1;
  }

  /** Nothing more is to come, and all of it is sent. */
  void stop() {
    end();
  }

  private void run() {
    try {
      collector = new Collector(settings.url(), settings.secret());
      own = new Shipment(journal, outbox::written, collector);
      while (!over()) {
        await(turn());
      }
      collector.close();
    } catch (BadSetting e) {
      health.say("Afterglow sends nothing, and keeps the journal in " + journal.getParent() + ": " + e.getMessage());
    } catch (Throwable t) {
      health.say("Afterglow sends no more of its journal " + journal + ": " + t);
    } finally {
      buffer = null;
      if (!sentAll()) {
        outbox.confirmed(NOBODY); // whoever writes the journal need not wait for us
      }
      end();
    }
  }

  private boolean sentAll() {
    try {
      return own != null && own.done();
    } catch (IOException e) {
      return false;
    }
  }

  /**
   * Sends one chunk, if there is one. How long to wait before the next turn, in ms. Whatever goes wrong in it, also
   * where no memory was left, is tried again later.
   */
  private long turn() {
    try {
      if (!own.done()) {
        own.send(buffer, left());
        outbox.confirmed(own.confirmed());
      } else if (isFinishing()) {
        end();
        return 0;
      } else if (!sendLeftover()) {
        return INTERVAL_MILLIS;
      }
      failures = 0;
      // An application that always has more to say still looks for leftovers: in the moment after it was heard.
      return own.done() && searched && !leftoversWait() && !isFinishing() ? INTERVAL_MILLIS : 0;
    } catch (Throwable t) {
      return pauseAfter(t);
    }
  }

  private long pauseAfter(Throwable why) {
    warn(why);
    if (isFinishing()) {
      return PAUSE_AT_EXIT_MILLIS;
    }
    long pause = Math.min(LONGEST_PAUSE_MILLIS, FIRST_PAUSE_MILLIS << Math.min(failures++, 10));
    return (long) (pause * (0.5 + ThreadLocalRandom.current().nextDouble() / 2));
  }

  private void warn(Throwable why) {
    try {
      if (!warned) {
        warned = true;
        health.say(
            "Afterglow cannot send its journal to " + collector.url() + " and keeps it in " + journal.getParent()
                + " until it can: " + why);
      }
    } catch (Throwable t) {
      // It was no more than a word.
    }
  }

  // What dead drivers left. A journal's lock is held while it is sent, so that no two send the same. -----------------

  /** False when there is none, or none any more, or the collector has not answered yet. */
  private boolean sendLeftover() throws IOException {
    if (!searched && own.confirmed() > 0) {
      searched = true;
      search();
    }
    if (!leftoversWait()) {
      return false;
    }
    Path next = leftovers.peek();
    JournalLock lock = JournalLock.ofDead(next);
    if (lock == null) {
      leftovers.remove();
      return true;
    }
    boolean gone = false;
    try {
      gone = send(next);
    } catch (IOException | RuntimeException | Error e) {
      leftovers.add(leftovers.remove()); // the others need not wait for this one, nor our own journal
      leftoversAfter = System.nanoTime() + LEFTOVERS_PAUSE_NANOS;
    } finally {
      if (gone) {
        lock.delete();
      } else {
        lock.release();
      }
    }
    return true;
  }

  private boolean leftoversWait() {
    return !leftovers.isEmpty() && System.nanoTime() - leftoversAfter >= 0;
  }

  /** All of it; whether that was done, and the journal is gone. Our own comes first again when that has more. */
  private boolean send(Path left) throws IOException {
    Shipment shipment = new Shipment(left, () -> Files.size(left), collector);
    while (!shipment.done()) {
      if (isFinishing() || !own.done()) {
        return false;
      }
      shipment.send(buffer, left());
    }
    Shipment.delete(left);
    leftovers.remove();
    return true;
  }

  private void search() throws IOException {
    try (DirectoryStream<Path> locks = Files.newDirectoryStream(journal.getParent(), "*.lock")) {
      for (Path lock : locks) {
        String name = lock.getFileName().toString().replaceFirst("lock$", "jsonl");
        if (!journal.endsWith(name)) {
          leftovers.add(lock.resolveSibling(name));
        }
      }
    }
  }

  // -------------------------------------------------------------------------------------------------------------------

  private synchronized boolean over() {
    return over || finishing && System.nanoTime() >= deadline;
  }

  private synchronized boolean isFinishing() {
    return finishing;
  }

  private synchronized void end() {
    over = true;
    notifyAll();
  }

  private synchronized long left() {
    return finishing ? (deadline - System.nanoTime()) / 1_000_000 : Long.MAX_VALUE;
  }

  /** Until then, or until the end begins. */
  private synchronized void await(long millis) throws InterruptedException {
    long until = System.nanoTime() + millis * 1_000_000;
    boolean before = finishing;
    for (long left = millis; !over && finishing == before && left > 0; left = (until - System.nanoTime()) / 1_000_000) {
      wait(left);
    }
  }
}
