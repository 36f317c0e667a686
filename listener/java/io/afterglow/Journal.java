package io.afterglow;

import java.io.IOException;
import java.nio.file.Path;
import java.util.UUID;
import org.apache.spark.SparkConf;

/** One application instance's journal: lines are offered here, and written by a thread of its own. */
final class Journal {
  private static final int VERSION = 1;
  private static final int GRACE = 60; // heartbeats that the journal stays open for after the application's end

  private final String instance = UUID.randomUUID().toString();
  private final long startedAt = System.currentTimeMillis();
  private final Path path;
  private final EventQueue queue;
  private final Heartbeat heartbeat;
  private final JournalWriter writer;
  private final Uploader uploader; // null where there is no collector
  private final long flushTimeoutMillis;
  private final long heartbeatMillis;
  private volatile boolean applicationEnded;

  private Journal(
      Settings settings, CollectorSettings collector, Health health, RunningJobs jobs, Runnable addUp)
      throws BadSetting {
    path = settings.journalDir().resolve(instance + ".jsonl");
    flushTimeoutMillis = settings.flushTimeoutMillis();
    queue = new EventQueue(health, settings.queueBytes());
    heartbeatMillis = settings.heartbeatMillis();
    heartbeat = new Heartbeat(queue, health, jobs, heartbeatMillis);
    JournalLimit limit = new JournalLimit(settings.journalMaxBytes());
    writer = new JournalWriter(path, queue, health, heartbeat, settings.redaction(), limit, addUp);
    queue.offer(Rank.FACT, new AfterglowLine("AfterglowJournalStart", this::describe));
    queue.offer(Rank.FACT, new AfterglowLine("SparkListenerLogStart", Journal::describeSpark));
    if (collector.wanted()) {
      writer.confirmed(0);
    }
    uploader = Uploader.start(collector, writer, health);
  }

  /**
   * Null when the settings switch Afterglow off, or cannot be understood. {@code addUp} is work that the journal's thread
   * does at each turn, before it looks for lines.
   */
  static Journal start(SparkConf conf, Health health, RunningJobs jobs, Runnable addUp) {
    try {
      Settings settings = new Settings(conf, System.getenv());
      if (!settings.enabled()) {
        health.offQuietly();
        return null;
      }
      Journal journal =
          new Journal(settings, new CollectorSettings(conf, System.getenv()), health, jobs, addUp);
      journal.writer.start(journal::beforeExit, journal::afterEnd);
      return journal;
    } catch (BadSetting e) {
      health.off(e.getMessage());
    } catch (Throwable t) {
      health.off("it did not start: " + t);
    }
    return null;
  }

  String instance() {
    return instance;
  }

  Path path() {
    return path;
  }

  /** Whether the file is open; waits for that, up to {@code millis}. */
  boolean opened(long millis) throws InterruptedException {
    return writer.opened(millis);
  }

  boolean offer(Rank rank, Line line) {
    return queue.offer(rank, line);
  }

  /** What is not taken is still the caller's, to write elsewhere or to count. */
  boolean offerOrKeep(Rank rank, Line line) {
    return queue.offerOrKeep(rank, line);
  }

  boolean flush(long millis) throws InterruptedException {
    return writer.flush(millis);
  }

  /**
   * Has all of it written and on the disk at once, without waiting for that. The journal stays open for some time: Spark
   * may still say how the last job ended, and Python how its run did.
   */
  void applicationEnded(long time) {
    heartbeat.beatAtEnd();
    // Not by way of Spark's own text of it, which may be what has failed.
    queue.offer(Rank.END, new AfterglowLine("SparkListenerApplicationEnd", fields -> fields.put("Timestamp", time)));
    applicationEnded = true;
    writer.applicationEnded(GRACE * heartbeatMillis);
  }

  private void afterEnd() {
    if (uploader != null) {
      uploader.stop();
    }
  }

  /**
   * What the JVM waits for before it exits. Spark stops its context in a shutdown hook beside this one, so the
   * application's end may be yet to come.
   */
  private void beforeExit() {
    long deadline = System.nanoTime() + flushTimeoutMillis * 1_000_000;
    try {
      writer.hurry();
      while (!applicationEnded && System.nanoTime() < deadline) {
        Thread.sleep(5);
      }
      writer.flush(Math.max(1, (deadline - System.nanoTime()) / 1_000_000));
      if (uploader != null) {
        long sent = uploader.finish((deadline - System.nanoTime()) / 1_000_000);
        if (applicationEnded) {
          writer.sent(sent);
        }
      }
    } catch (IOException e) {
      // The journal stays, and whoever sends it again is told that it is known.
    } catch (InterruptedException e) {
      // Somebody wants the JVM gone now: what was written is in the file.
    } finally {
      writer.exits();
    }
  }

  private void describe(JsonFields fields) {
    fields.put("Version", VERSION).put("Instance", instance).put("Writer", "listener");
    fields.put("Timestamp", startedAt).put("Host", HostName.own(System.getenv()));
    fields.put("Heartbeat Interval", heartbeatMillis);
  }

  private static void describeSpark(JsonFields fields) {
    fields.put("Spark Version", org.apache.spark.package$.MODULE$.SPARK_VERSION());
  }
}
