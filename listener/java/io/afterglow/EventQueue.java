package io.afterglow;

import java.util.ArrayDeque;
import java.util.EnumMap;
import java.util.Map;

/**
 * Lines on their way to the journal's thread, in the order they came; bounded by number and by bytes. When it is full,
 * plans are given up first, then what waits makes room for what ranks higher; what finds no room is dropped and counted.
 * Offering never waits for anything slower than this object's own lock.
 */
final class EventQueue {
  private static final int MAX_LINES = 50_000;
  private static final Rank[] RANKS = Rank.values();

  private final Health health;
  private final long maxBytes;
  private final Map<Rank, ArrayDeque<QueuedLine>> waiting = new EnumMap<>(Rank.class);
  private final ArrayDeque<QueuedLine> heavy = new ArrayDeque<>(); // those of them that can be lightened; of one rank
  private int lines;
  private long bytes;
  private long nextOrder;
  private boolean woken;
  private boolean closed;

  EventQueue(Health health, long maxBytes) {
    this.health = health;
    this.maxBytes = maxBytes;
    for (Rank rank : RANKS) {
      waiting.put(rank, new ArrayDeque<>());
    }
  }

  /** Takes no more from now on, unless something waits: then false. */
  synchronized boolean closeWhenEmpty() {
    closed = closed || lines == 0;
    return closed;
  }

  /** What finds no room is lost, and counted. */
  synchronized boolean offer(Rank rank, Line line) {
    boolean taken = offerOrKeep(rank, line);
    if (!taken && !closed) {
      lose(line);
    }
    return taken;
  }

  /** What finds no room is still the caller's. */
  synchronized boolean offerOrKeep(Rank rank, Line line) {
    if (closed) {
      return false;
    }
    QueuedLine next = new QueuedLine(nextOrder, rank, line);
    if (full(next)) {
      makeRoom(next);
    }
    if (full(next)) {
      return false;
    }
    nextOrder++;
    add(next);
    // Waking a thread costs more than all the rest here: it comes by itself ten times a second.
    if (filling()) {
      wake();
    }
    return true;
  }

  private void add(QueuedLine next) {
    waiting.get(next.rank).add(next);
    if (next.line.heavy()) {
      heavy.add(next);
    }
    lines++;
    bytes += next.weight;
  }

  private void makeRoom(QueuedLine next) {
    lighten(next);
    while (tooHeavy(next) && next.weight <= maxBytes && !heavy.isEmpty()) {
      QueuedLine oldest = heavy.remove();
      bytes -= oldest.weight;
      lighten(oldest);
      bytes += oldest.weight;
    }
    for (int lower = RANKS.length - 1; lower > next.rank.ordinal() && next.weight <= maxBytes && full(next); ) {
      if (waiting.get(RANKS[lower]).isEmpty()) {
        lower--;
      } else {
        lose(remove(RANKS[lower]).line);
      }
    }
  }

  private static void lighten(QueuedLine each) {
    if (each.line.heavy()) {
      each.line.lighten();
      each.weight = each.line.weight();
    }
  }

  private void lose(Line line) {
    int events = line.close() ? line.events() : 0; // of one that another line tells, nothing is lost
    line.lost();
    health.drop(events);
  }

  /**
   * The line that has waited longest, if it came before {@code nanos}, the queue fills up or something vital waits;
   * otherwise null.
   */
  synchronized QueuedLine poll(long nanos) {
    QueuedLine first = null;
    for (Rank rank : RANKS) {
      QueuedLine each = waiting.get(rank).peek();
      first = first == null || each != null && each.order < first.order ? each : first;
    }
    boolean due = first != null && (filling() || hurries() || first.sinceNanos - nanos < 0);
    return due ? remove(first.rank) : null;
  }

  /** The line that has waited longest, or null. */
  QueuedLine poll() {
    return poll(System.nanoTime() + 1_000_000_000L);
  }

  /** The order of the last line that was taken. */
  synchronized long lastOrder() {
    return nextOrder - 1;
  }

  /** All lines up to this order have left the queue. */
  synchronized long polledThrough() {
    long first = nextOrder;
    for (ArrayDeque<QueuedLine> rank : waiting.values()) {
      first = rank.isEmpty() ? first : Math.min(first, rank.peek().order);
    }
    return first - 1;
  }

  synchronized void await(long millis) throws InterruptedException {
    if (!woken) {
      wait(millis);
    }
    woken = false;
  }

  synchronized void wake() {
    if (!woken) {
      woken = true;
      notifyAll();
    }
  }

  private boolean filling() {
    return bytes > maxBytes / 4 || lines > MAX_LINES / 4;
  }

  /** Who looks for a run finds it at once. */
  private boolean hurries() {
    return !waiting.get(Rank.END).isEmpty() || !waiting.get(Rank.VITAL).isEmpty();
  }

  private boolean full(QueuedLine next) {
    return lines >= MAX_LINES || tooHeavy(next);
  }

  private boolean tooHeavy(QueuedLine next) {
    return bytes + next.weight > maxBytes;
  }

  private QueuedLine remove(Rank rank) {
    QueuedLine first = waiting.get(rank).remove();
    if (heavy.peek() == first) {
      heavy.remove();
    }
    lines--;
    bytes -= first.weight;
    return first;
  }
}
