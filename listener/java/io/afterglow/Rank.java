package io.afterglow;

/** What is given up first when the queue or the journal is full: the later here, the sooner. Plans go before all. */
enum Rank {
  /** How the application ends, and what was lost by then: a handful of lines, for which there is always room. */
  END,
  /** Runs, and heartbeats: without them nobody knows what became of the rest. */
  VITAL,
  /** Application, environment, executors, jobs, stages, SQL executions. */
  FACT
}
