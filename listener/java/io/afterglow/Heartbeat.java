package io.afterglow;

import java.util.Set;

/** Says every few seconds that the application is alive, what it runs, and how much was lost so far. */
final class Heartbeat {
  private final EventQueue queue;
  private final Health health;
  private final Set<Integer> runningJobs;
  private final long intervalNanos;
  private long lastAt = System.nanoTime();

  Heartbeat(EventQueue queue, Health health, Set<Integer> runningJobs, long intervalMillis) {
    this.queue = queue;
    this.health = health;
    this.runningJobs = runningJobs;
    this.intervalNanos = intervalMillis * 1_000_000;
  }

  void beatWhenDue(long now) {
    if (now - lastAt >= intervalNanos) {
      lastAt = now;
      queue.offer(Rank.FACT, new AfterglowLine("AfterglowHeartbeat", this::describe));
    }
  }

  private void describe(JsonFields fields) {
    fields.put("Timestamp", System.currentTimeMillis());
    fields.put("Dropped", health.dropped());
    fields.put("Running Jobs", runningJobs);
  }
}
