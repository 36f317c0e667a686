package io.afterglow;

/** A line with its number. The number is given when the line is offered, so that a loss later on leaves a gap. */
final class QueuedLine {
  final long seq;
  final Line line;

  QueuedLine(long seq, Line line) {
    this.seq = seq;
    this.line = line;
  }
}
