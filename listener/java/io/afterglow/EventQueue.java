package io.afterglow;

import java.util.ArrayDeque;
import java.util.EnumMap;
import java.util.Map;

/**
 * Lines on their way to the journal's thread, in the order they came; bounded by number and by bytes. When it is full,
 * what waits makes room for what ranks higher, and what finds no room is dropped and counted. Offering never waits for
 * anything slower than this object's own lock.
 */
final class EventQueue {
  private static final int MAX_LINES = 50_000;
  private static final Rank[] RANKS = Rank.values();

  private final Health health;
  private final long maxBytes;
  private final Map<Rank, ArrayDeque<QueuedLine>> waiting = new EnumMap<>(Rank.class);
  private int lines;
  private long bytes;
  private long nextOrder;
  private boolean woken;

  EventQueue(Health health, long maxBytes) {
    this.health = health;
    this.maxBytes = maxBytes;
    for (Rank rank : RANKS) {
      waiting.put(rank, new ArrayDeque<>());
    }
  }

  synchronized boolean offer(Rank rank, Line line) {
    long order = nextOrder++;
    int weight = line.weight();
    for (int lower = RANKS.length - 1; lower > rank.ordinal() && weight <= maxBytes && full(weight); ) {
      if (waiting.get(RANKS[lower]).isEmpty()) {
        lower--;
      } else {
        remove(RANKS[lower]).line.lost();
        health.drop(1);
      }
    }
    if (full(weight)) {
      line.lost();
      health.drop(1);
      return false;
    }
    waiting.get(rank).add(new QueuedLine(order, rank, line));
    lines++;
    bytes += weight;
    // Waking a thread costs more than all the rest here: it comes by itself ten times a second.
    if (filling()) {
      wake();
    }
    return true;
  }

  /** The line that has waited longest, if it came before {@code nanos}, the queue fills up or something vital waits; otherwise null. */
  synchronized QueuedLine poll(long nanos) {
    QueuedLine first = null;
    for (Rank rank : RANKS) {
      QueuedLine each = waiting.get(rank).peek();
      first = first == null || each != null && each.order < first.order ? each : first;
    }
    boolean now = filling() || !waiting.get(Rank.VITAL).isEmpty(); // who looks for a run finds it at once
    boolean due = first != null && (now || first.sinceNanos - nanos < 0);
    return due ? remove(first.rank) : null;
  }

  /** The line that has waited longest, or null. */
  QueuedLine poll() {
    return poll(System.nanoTime() + 1_000_000_000L);
  }

  /** The order of the last line that was offered, taken or not. */
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

  private boolean full(int weight) {
    return lines >= MAX_LINES || bytes + weight > maxBytes;
  }

  private QueuedLine remove(Rank rank) {
    QueuedLine first = waiting.get(rank).remove();
    lines--;
    bytes -= first.line.weight();
    return first;
  }
}
