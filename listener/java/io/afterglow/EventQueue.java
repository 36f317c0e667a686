package io.afterglow;

import java.util.ArrayDeque;
import java.util.EnumMap;
import java.util.Map;

/**
 * Lines on their way to the journal's thread, in the order they came; bounded by number and by bytes. When it is full,
 * waiting plans make room for facts, and what finds no room is dropped and counted. Offering never waits for anything
 * slower than this object's own lock.
 */
final class EventQueue {
  private static final int MAX_LINES = 50_000;

  private final Health health;
  private final long maxBytes;
  private final Map<Rank, ArrayDeque<QueuedLine>> waiting = new EnumMap<>(Rank.class);
  private int lines;
  private long bytes;
  private long nextSeq;
  private boolean woken;

  EventQueue(Health health, long maxBytes) {
    this.health = health;
    this.maxBytes = maxBytes;
    for (Rank rank : Rank.values()) {
      waiting.put(rank, new ArrayDeque<>());
    }
  }

  synchronized boolean offer(Rank rank, Line line) {
    long seq = nextSeq++;
    int weight = line.weight();
    while (weight <= maxBytes && full(weight) && rank == Rank.FACT && !waiting.get(Rank.PLAN).isEmpty()) {
      remove(Rank.PLAN);
      health.drop(1);
    }
    if (full(weight)) {
      health.drop(1);
      return false;
    }
    waiting.get(rank).add(new QueuedLine(seq, line));
    lines++;
    bytes += weight;
    // Waking a thread costs more than all the rest here: it comes by itself ten times a second.
    if (bytes > maxBytes / 4) {
      wake();
    }
    return true;
  }

  /** The line that has waited longest, or null. */
  synchronized QueuedLine poll() {
    QueuedLine fact = waiting.get(Rank.FACT).peek();
    QueuedLine plan = waiting.get(Rank.PLAN).peek();
    if (fact == null && plan == null) {
      return null;
    }
    return remove(plan == null || fact != null && fact.seq < plan.seq ? Rank.FACT : Rank.PLAN);
  }

  /** The number of the last line that was offered, taken or not. */
  synchronized long lastSeq() {
    return nextSeq - 1;
  }

  /** All lines up to this number have left the queue. */
  synchronized long polledThrough() {
    long first = nextSeq;
    for (ArrayDeque<QueuedLine> rank : waiting.values()) {
      first = rank.isEmpty() ? first : Math.min(first, rank.peek().seq);
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
