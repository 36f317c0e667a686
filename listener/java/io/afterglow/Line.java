package io.afterglow;

/** One line of the journal before it is written. */
interface Line {
  /** About how many bytes it keeps alive while it waits in the queue. */
  int weight();

  /** Adds the event as a JSON object without the closing brace, so that {@code Seq} can follow. */
  void appendTo(StringBuilder line, Trimmer trimmer) throws Exception;
}
