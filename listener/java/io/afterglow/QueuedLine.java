package io.afterglow;

/** A line with the order of its coming. */
final class QueuedLine {
  final long order;
  final Rank rank;
  final Line line;
  final long sinceNanos = System.nanoTime();
  int weight;

  QueuedLine(long order, Rank rank, Line line) {
    this.order = order;
    this.rank = rank;
    this.line = line;
    weight = line.weight();
  }
}
