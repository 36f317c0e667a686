package io.afterglow;

/** Says every few seconds that the application is alive, how far its jobs are, and how much was lost so far. */
final class Heartbeat {
  private final EventQueue queue;
  private final Health health;
  private final RunningJobs jobs;
  private final BusDrops busDrops = new BusDrops();
  private final long intervalNanos;
  private long lastAt = System.nanoTime();

  Heartbeat(EventQueue queue, Health health, RunningJobs jobs, long intervalMillis) {
    this.queue = queue;
    this.health = health;
    this.jobs = jobs;
    this.intervalNanos = intervalMillis * 1_000_000;
  }

  void beatWhenDue(long now) {
    if (now - lastAt >= intervalNanos) {
      lastAt = now;
      beat();
    }
  }

  /** Also at the application's end, so that no loss stays unsaid. */
  void beat() {
    busDrops.find();
    queue.offer(Rank.VITAL, new AfterglowLine("AfterglowHeartbeat", this::describe));
  }

  private void describe(JsonFields fields) {
    fields.put("Timestamp", System.currentTimeMillis());
    fields.put("Dropped", health.dropped());
    fields.name("Bus Dropped").append(busDrops.count());
    jobs.put(fields.name("Running Jobs"));
  }
}
