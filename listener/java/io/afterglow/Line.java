package io.afterglow;

/** One line of the journal before it is written. */
interface Line {
  /** About how many bytes it keeps alive while it waits in the queue. */
  int weight();

  /**
   * Called once, when its turn has come: nothing is added to it from now on. False when another line tells all of it, so
   * that there is nothing to write.
   */
  default boolean close() {
    return true;
  }

  /** How many events it tells, once it is closed. */
  default int events() {
    return 1;
  }

  /** Called when it is closed and nobody will write it: what it holds is given back. */
  default void lost() {}

  /** Whether it carries something large that it can be told without: a plan. */
  default boolean heavy() {
    return false;
  }

  /** Gives that up, for want of room. */
  default void lighten() {}

  /** Adds the event as a JSON object without the closing brace, so that {@code Seq} can follow. */
  void appendTo(StringBuilder line, Trimmer trimmer) throws Exception;

  /**
   * The same in fewer words, for an event that became too long; adds nothing when there are none. How many of its events
   * these words leave out.
   */
  default int appendShortTo(StringBuilder line, Trimmer trimmer) {
    return 0;
  }
}
