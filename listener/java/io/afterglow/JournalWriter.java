package io.afterglow;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** The journal's thread: takes lines off the queue, makes them into text, appends them, and brings them to the disk. */
final class JournalWriter implements Uploader.Outbox {
  private static final int STACK_BYTES = 16 << 20; // Spark's serialiser recurses over plans
  /** What comes after a line is added to it for so long, where that makes less of both. */
  private static final long HOLD_NANOS = 800_000_000L;
  private static final long PAUSE_MILLIS = 100;
  private static final long PAUSE_AT_EXIT_MILLIS = 5;
  private static final long SYNC_NANOS = 5_000_000_000L;
  private static final long DROP_AGAIN_NANOS = 60_000_000_000L;

  private final Path path;
  private final EventQueue queue;
  private final Health health;
  private final Heartbeat heartbeat;
  private final Redaction redaction;
  private final JournalLimit limit;
  private final Runnable addUp;
  private Thread exit;
  private final CountDownLatch openedOrNot = new CountDownLatch(1);
  private long syncedAt = System.nanoTime();
  private long dropAgainAt; // bytes held, where dropping has failed …
  private long dropAgainNanos = System.nanoTime(); // … or then, if that comes first
  private volatile AppendFile file;
  private volatile JournalLock lock;
  private Batch batch;
  private long lastLineAt = System.nanoTime();
  private volatile long graceNanos;
  private volatile boolean applicationEnded;
  private volatile long pauseMillis = PAUSE_MILLIS;
  private volatile boolean failing;
  private volatile long confirmed = -1; // where there is no collector
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

  /** {@code beforeExit} of the JVM, {@code afterEnd} of this thread, when nothing more is to come. */
  void start(Runnable beforeExit, Runnable afterEnd) {
    exit = new Thread(beforeExit, "afterglow-exit");
    Thread thread = new Thread(null, () -> run(afterEnd), "afterglow-journal", STACK_BYTES);
    thread.setDaemon(true);
    thread.start();
  }

  boolean opened(long millis) throws InterruptedException {
    return openedOrNot.await(millis, TimeUnit.MILLISECONDS) && health.on();
  }

  /** When nothing came for {@code graceMillis} after that, nothing more will. */
  void applicationEnded(long graceMillis) {
    graceNanos = graceMillis * 1_000_000;
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

  // What the uploader asks and tells. ---------------------------------------------------------------------------------

  @Override
  public Path path() {
    return path;
  }

  @Override
  public long written() {
    AppendFile open = file;
    return open == null ? 0 : open.size();
  }

  @Override
  public void confirmed(long bytes) {
    confirmed = bytes;
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

  /** The JVM does, and nothing more is to come. */
  void exits() {
    JournalLock held = lock;
    if (held != null) {
      held.giveUpReserve();
    }
  }

  // -------------------------------------------------------------------------------------------------------------------

  private synchronized void want(long seq) {
    wanted = Math.max(wanted, seq);
    queue.wake();
  }

  private void run(Runnable afterEnd) {
    try {
      batch = new Batch(health, new Trimmer(SparkJson.find(), redaction));
      file = AppendFile.create(path, limit.head());
      lock = JournalLock.take(path);
      openedOrNot.countDown();
      Runtime.getRuntime().addShutdownHook(exit);
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
    while (health.on() && !(isOver() && queue.closeWhenEmpty())) {
      turn();
    }
    if (health.on()) {
      end();
    } else {
      giveUp();
    }
    afterEnd.run();
  }

  /** The application's end is long ago, and the collector has all, where there is one. */
  private boolean isOver() {
    return applicationEnded
        && System.nanoTime() - lastLineAt > graceNanos
        && (confirmed < 0 || confirmed == file.size());
  }

  /** The JVM may make many contexts, one after the other. What Python says later goes into a journal of its own. */
  private void end() {
    health.offQuietly();
    try {
      Runtime.getRuntime().removeShutdownHook(exit);
      file.sync();
      if (confirmed > 0) {
        sent(confirmed);
      }
      file.close();
      if (lock != null) {
        lock.giveUpReserve();
        lock.release();
      }
    } catch (IOException e) {
      // It was synced before.
    } catch (IllegalStateException e) {
      // The JVM exits just now.
    }
  }

  /** It did not start: what waits is lost, and its memory is the job's again. */
  private void giveUp() {
    while (queue.poll() != null) {
      health.drop(1);
    }
  }

  private void turn() {
    try {
      addUp.run();
      if (!applicationEnded) {
        heartbeat.beatWhenDue(System.nanoTime(), limit.reached(file.held()));
      }
      boolean drained = writeBatch();
      syncWhenDue();
      dropWhatIsConfirmed();
      if (drained) {
        queue.await(pauseMillis);
      }
    } catch (Throwable t) {
      health.error(t);
      pause(); // what is wrong now may be wrong for long
    }
  }

  private void pause() {
    try {
      Thread.sleep(pauseMillis);
    } catch (InterruptedException e) {
      // Nobody who interrupts it has a reason that we know.
    }
  }

  /** True when nothing is left in the queue that has been there for long enough. */
  private boolean writeBatch() {
    QueuedLine next = null;
    long due = System.nanoTime() + (hurried() ? HOLD_NANOS : -HOLD_NANOS);
    while (!batch.isFull() && (next = queue.poll(due)) != null) {
      lastLineAt = System.nanoTime();
      if (next.line.close()) {
        add(next);
      }
    }
    if (!batch.isEmpty()) {
      append();
    }
    return next == null;
  }

  private boolean hurried() {
    synchronized (this) {
      return applicationEnded || pauseMillis != PAUSE_MILLIS || wanted > synced;
    }
  }

  private void add(QueuedLine next) {
    long held = file.held() + batch.size();
    if (!limit.allows(next.rank, held)) {
      health.drop(next.line.events());
      next.line.lost();
      health.warnOnce(
          path + " is as large as spark.afterglow.journal.maxSize allows",
          ": Afterglow counts what it leaves out of it");
      return;
    }
    if (!limit.allowsPlans(held) && next.line.heavy()) {
      next.line.lighten();
    }
    batch.add(next);
  }

  private void append() {
    if (!appended()) {
      appendEnds(batch.failed());
    }
  }

  private boolean appended() {
    try {
      file.append(batch.bytes());
      batch.written();
      failing = false;
      return true;
    } catch (Throwable t) {
      failing = true;
      health.warnOnce("Afterglow cannot write to " + path + " and counts what it loses until it can", ": " + t);
      return false;
    }
  }

  /** A disk may stay full to the end, which is when people look: a little of it was taken for that. */
  private void appendEnds(List<QueuedLine> ends) {
    if (ends.isEmpty()) {
      return;
    }
    if (lock != null) {
      lock.giveUpReserve();
    }
    ends.forEach(batch::add);
    if (!appended()) {
      batch.failed().forEach(each -> health.drop(each.line.events()));
    }
    failing = true; // the others of their batch are lost all the same
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
      health.warnOnce("Afterglow cannot bring " + path + " to the disk", ": " + e);
    }
    synchronized (this) {
      synced = written;
      notifyAll();
    }
  }

  /** So that an application that never ends, and whose journal is sent, never fills it. */
  private void dropWhatIsConfirmed() {
    long held = file.held();
    if (held < dropAgainAt && System.nanoTime() - dropAgainNanos < 0) {
      return;
    }
    if (!limit.worthDropping(held, file.droppable(confirmed))) {
      return;
    }
    try {
      file.drop(confirmed);
    } catch (IOException e) {
      dropAgainNanos = System.nanoTime() + DROP_AGAIN_NANOS;
      dropAgainAt = held + limit.patience(); // no room for the copy, or no file system for it
    }
  }
}
