package io.afterglow;

/** The line of a stage's task sums, of tasks that ended after it, with the values of the moment in which it is written. */
final class StageTasksLine implements Line {
  private final TaskSums sums;

  StageTasksLine(TaskSums sums) {
    this.sums = sums;
  }

  @Override
  public int weight() {
    return 400;
  }

  /** Nobody will write these sums: those that tasks to come add up to have to be. */
  @Override
  public void lost() {
    sums.waiting.set(false);
  }

  @Override
  public void appendTo(StringBuilder line, Trimmer trimmer) {
    sums.waiting.set(false); // before they are read: what comes after that is for the next line
    new JsonFields(line, "AfterglowStageTasks").put("Stage ID", sums.stage).put("Stage Attempt ID", sums.attempt);
    sums.put(line, ",");
  }
}
