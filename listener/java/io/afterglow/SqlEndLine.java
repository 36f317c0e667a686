package io.afterglow;

/** The end of a SQL execution whose start is written, with the plan that it had in the end. */
final class SqlEndLine implements Line {
  private final SqlEnd end;
  private SqlLine start;
  private int weight;

  /** {@code start} is null where nobody saw it. */
  SqlEndLine(SqlEnd end, SqlLine start) {
    this.end = end;
    this.start = start;
    weight = end.weight() + (start == null ? 0 : start.bytesOfPlan());
  }

  @Override
  public int weight() {
    return weight;
  }

  @Override
  public boolean heavy() {
    return start != null && start.bytesOfPlan() > 0;
  }

  @Override
  public void lighten() {
    start = null;
    weight = end.weight();
  }

  @Override
  public void appendTo(StringBuilder line, Trimmer trimmer) {
    JsonFields fields = new JsonFields(line, SqlEvents.END);
    end.putError(fields.put("executionId", end.execution).put("time", end.time), trimmer);
    Plan last = start == null ? null : start.plan();
    if (last != null) {
      trimmer.plans().put(last, fields);
    }
  }
}
