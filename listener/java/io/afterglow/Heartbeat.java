package io.afterglow;

/** Says every few seconds that the application is alive, how far its jobs are, and how much was lost so far. */
final class Heartbeat {
  /** Where the journal has room for little more, so that this lasts for years. Beats are short then. */
  private static final long RARE_MILLIS = 600_000;

  private final EventQueue queue;
  private final Health health;
  private final RunningJobs jobs;
  private final BusDrops busDrops = new BusDrops();
  private final long intervalMillis;
  private long lastAt = System.nanoTime();
  private boolean rare;
  private boolean wasRare;

  Heartbeat(EventQueue queue, Health health, RunningJobs jobs, long intervalMillis) {
    this.queue = queue;
    this.health = health;
    this.jobs = jobs;
    this.intervalMillis = intervalMillis;
  }

  /** Only the journal's thread comes here. {@code full}: the journal has room for little more. */
  void beatWhenDue(long now, boolean full) {
    if (jobs.any()) {
      busDrops.find();
    }
    boolean changed = full && !rare; // said at once, or the silence that begins would be taken for death
    rare = full;
    wasRare |= full;
    if (changed || now - lastAt >= millis() * 1_000_000) {
      lastAt = now;
      beat(Rank.VITAL);
    }
  }

  /** At the application's end, so that no loss stays unsaid. */
  void beatAtEnd() {
    beat(Rank.END);
  }

  private void beat(Rank rank) {
    queue.offer(rank, AfterglowLine.beat(this::describe));
  }

  private long millis() {
    return rare ? Math.max(RARE_MILLIS, intervalMillis) : intervalMillis;
  }

  private void describe(JsonFields fields) {
    fields.put("Timestamp", System.currentTimeMillis());
    fields.put("Dropped", health.dropped());
    fields.name("Bus Dropped").append(busDrops.count());
    if (rare || !health.listening()) {
      fields.name("Running Jobs").append("[]"); // their ends are no longer told
    } else {
      jobs.put(fields.name("Running Jobs"));
    }
    if (wasRare) {
      fields.put("Heartbeat Interval", millis());
    }
    String trouble = health.trouble();
    if (trouble != null) {
      fields.put("Trouble", trouble);
    }
  }
}
