package io.afterglow;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** The journal's thread: takes lines off the queue, makes them into text, appends them, and brings them to the disk. */
final class JournalWriter {
  private static final int STACK_BYTES = 16 << 20; // Spark's serialiser recurses over plans
  private static final int BATCH_CHARS = 256 << 10;
  /** So many bytes at most, were all of them ASCII; nearly all are. */
  private static final int MAX_LINE_CHARS = 256 << 10;
  /** What comes after a line is added to it for so long, where that makes less of both. */
  private static final long HOLD_NANOS = 800_000_000L;
  private static final long PAUSE_MILLIS = 100;
  private static final long PAUSE_AT_EXIT_MILLIS = 5;
  private static final long SYNC_NANOS = 5_000_000_000L;

  private final Path path;
  private final EventQueue queue;
  private final Health health;
  private final Heartbeat heartbeat;
  private final Redaction redaction;
  private final JournalLimit limit;
  private final Runnable addUp;
  private final CountDownLatch openedOrNot = new CountDownLatch(1);
  private final StringBuilder batch = new StringBuilder();
  private long batchLines;
  private long writtenLines;
  private long syncedAt = System.nanoTime();
  private volatile AppendFile file;
  private volatile JournalLock lock;
  private Trimmer trimmer;
  private volatile boolean applicationEnded;
  private volatile long pauseMillis = PAUSE_MILLIS;
  private volatile boolean failing;
  // Guarded by this: up to which line the file is wanted on the disk, and is.
  private long wanted = -1;
  private long synced = -1;

  JournalWriter(
      Path path,
      EventQueue queue,
      Health health,
      Heartbeat heartbeat,
      Redaction redaction,
      JournalLimit limit,
      Runnable addUp) {
    this.path = path;
    this.queue = queue;
    this.health = health;
    this.heartbeat = heartbeat;
    this.redaction = redaction;
    this.limit = limit;
    this.addUp = addUp;
  }

  void start(Runnable beforeExit) {
    Thread thread = new Thread(null, () -> run(beforeExit), "afterglow-journal", STACK_BYTES);
    thread.setDaemon(true);
    thread.start();
  }

  boolean opened(long millis) throws InterruptedException {
    return openedOrNot.await(millis, TimeUnit.MILLISECONDS) && health.on();
  }

  void applicationEnded() {
    applicationEnded = true;
    want(queue.lastOrder());
  }

  /** From now on every line may be the last that the JVM lets us write. */
  void hurry() {
    pauseMillis = PAUSE_AT_EXIT_MILLIS;
    queue.wake();
  }

  boolean flush(long millis) throws InterruptedException {
    long deadline = System.nanoTime() + millis * 1_000_000;
    long last = queue.lastOrder();
    want(last);
    synchronized (this) {
      for (long left = millis; synced < last && health.on() && left > 0; ) {
        wait(left);
        left = (deadline - System.nanoTime()) / 1_000_000;
      }
      return synced >= last && !failing;
    }
  }

  /** How many bytes of the file are whole lines for good. */
  long written() {
    AppendFile open = file;
    return open == null ? 0 : open.size();
  }

  /** The collector has this many bytes. Where that is all, the journal is no longer needed: nothing more is written. */
  void sent(long bytes) throws IOException {
    AppendFile open = file;
    if (open != null && open.retire(bytes)) {
      Shipment.delete(path);
      if (lock != null) {
        lock.delete();
      }
    }
  }

  private synchronized void want(long seq) {
    wanted = Math.max(wanted, seq);
    queue.wake();
  }

  private void run(Runnable beforeExit) {
    try {
      trimmer = new Trimmer(SparkJson.find(), redaction);
      file = AppendFile.create(path);
      lock = JournalLock.take(path);
      openedOrNot.countDown();
      Runtime.getRuntime().addShutdownHook(new Thread(beforeExit, "afterglow-exit"));
    } catch (IOException e) {
      health.off("it cannot write to " + path.getParent() + " (" + e + "); see spark.afterglow.journal.dir");
    } catch (ReflectiveOperationException e) {
      health.off("this Spark has no JsonProtocol.sparkEventToJsonString (" + e + ")");
    } catch (IllegalStateException e) {
      // The JVM is on its way out already: what can be written is written, and nobody waits for it.
    } catch (Throwable t) {
      health.off("its journal did not start: " + t);
    }
    openedOrNot.countDown();
    while (health.on()) {
      turn();
    }
    giveUp();
  }

  /** Off for good: what waits is lost, and its memory is the job's again. */
  private void giveUp() {
    while (queue.poll() != null) {
      health.drop(1);
    }
    try {
      if (file != null) {
        file.close();
      }
    } catch (IOException e) {
      // There is nothing left to save.
    }
  }

  private void turn() {
    try {
      addUp.run();
      if (!applicationEnded) {
        heartbeat.beatWhenDue(System.nanoTime());
      }
      boolean drained = writeBatch();
      syncWhenDue();
      if (drained) {
        queue.await(pauseMillis);
      }
    } catch (Throwable t) {
      health.error(t);
    }
  }

  /** True when nothing is left in the queue that has been there for long enough. */
  private boolean writeBatch() {
    QueuedLine next = null;
    batchLines = 0;
    long due = System.nanoTime() + (hurried() ? HOLD_NANOS : -HOLD_NANOS);
    while (batch.length() < BATCH_CHARS && (next = queue.poll(due)) != null) {
      if (next.line.close()) {
        add(next);
      }
    }
    if (batch.length() > 0) {
      append();
    }
    return next == null;
  }

  private boolean hurried() {
    synchronized (this) {
      return applicationEnded || pauseMillis != PAUSE_MILLIS || wanted > synced;
    }
  }

  /** An event that cannot be made into text is lost, and only that one. */
  private void add(QueuedLine next) {
    int start = batch.length();
    if (!limit.allows(next.rank, file.size() + start)) {
      health.drop(1);
      health.warnOnce(
          path + " is as large as spark.afterglow.journal.maxSize allows: Afterglow counts what it leaves out of it");
      return;
    }
    try {
      next.line.appendTo(batch, trimmer);
      if (batch.length() - start > MAX_LINE_CHARS) {
        batch.setLength(start);
        next.line.appendShortTo(batch, trimmer);
      }
      if (batch.length() - start > MAX_LINE_CHARS || batch.length() == start) {
        throw new IllegalStateException("an event of more than " + MAX_LINE_CHARS + " characters");
      }
      // What was lost before this line has a number too, so that every loss leaves a gap.
      batch.append(",\"Seq\":").append(writtenLines + health.dropped()).append("}\n");
      writtenLines++;
      batchLines++;
    } catch (Throwable t) {
      batch.setLength(start);
      health.drop(1);
      health.error(t);
    }
  }

  private void append() {
    try {
      file.append(batch.toString().getBytes(StandardCharsets.UTF_8));
      failing = false;
    } catch (IOException e) {
      health.drop(batchLines);
      writtenLines -= batchLines;
      failing = true;
      health.warnOnce("Afterglow cannot write to " + path + " and counts what it loses until it can: " + e);
    } finally {
      batch.setLength(0);
    }
  }

  private void syncWhenDue() {
    long written = queue.polledThrough();
    boolean asked;
    synchronized (this) {
      asked = wanted > synced && written > synced;
    }
    if (!asked && System.nanoTime() - syncedAt < SYNC_NANOS) {
      return;
    }
    syncedAt = System.nanoTime();
    try {
      file.sync();
    } catch (IOException e) {
      failing = true;
      health.warnOnce("Afterglow cannot bring " + path + " to the disk: " + e);
    }
    synchronized (this) {
      synced = written;
      notifyAll();
    }
  }
}
