package io.afterglow;

/** What is given up first when the queue or the journal is full: the later here, the sooner. */
enum Rank {
  /** Runs, how the application ends, and heartbeats: without them nobody knows what became of the rest. */
  VITAL,
  /** Application, environment, executors, jobs, stages. */
  FACT,
  /** SQL executions: they carry plans, the largest events of most applications, and jobs tell the story without them. */
  PLAN
}
