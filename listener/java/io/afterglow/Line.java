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

  /** Called instead when it found no room: nothing is added to it, and nobody will write it. */
  default void lost() {
    close();
  }

  /** Adds the event as a JSON object without the closing brace, so that {@code Seq} can follow. */
  void appendTo(StringBuilder line, Trimmer trimmer) throws Exception;

  /** The same in fewer words, for an event that became too long; false when there are none. */
  default boolean appendShortTo(StringBuilder line, Trimmer trimmer) {
    return false;
  }
}
