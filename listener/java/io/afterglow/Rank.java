package io.afterglow;

/** What is given up first when the queue is full: the later here, the sooner. */
enum Rank {
  /** Runs, application, environment, executors, jobs, stages, heartbeats. */
  FACT,
  /** SQL executions: they carry plans, the largest events of most applications, and jobs tell the story without them. */
  PLAN
}
