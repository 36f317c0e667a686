package io.afterglow;

/**
 * How large the journal may get on the disk. Plans stop a sixteenth before that, the rest at it; what is vital has
 * another sixteenth for itself, and how the application ends is always written.
 */
final class JournalLimit {
  private final long maxBytes;
  private final long reserve;

  JournalLimit(long maxBytes) {
    this.maxBytes = maxBytes;
    reserve = maxBytes / 16;
  }

  /** Whether a line of this rank may still be written to a journal that takes so many bytes. */
  boolean allows(Rank rank, long bytes) {
    return rank == Rank.END || bytes < maxBytes + (rank == Rank.VITAL ? reserve : 0);
  }

  boolean allowsPlans(long bytes) {
    return bytes < maxBytes - reserve;
  }

  /** Whether there is only room for what is vital. */
  boolean reached(long bytes) {
    return bytes >= maxBytes;
  }

  /**
   * Whether to drop what the collector has: not before it takes much room, and never to copy more than that gives back.
   */
  boolean worthDropping(long bytes, long confirmed) {
    return bytes > maxBytes / 2 && confirmed > bytes / 2;
  }

  /** How much of the beginning stays: who reads the journal from there on is told of which application it is. */
  long head() {
    return Math.min(256 << 10, maxBytes / 8);
  }

  /** How much more has to be written before dropping is tried again, where it failed. */
  long patience() {
    return reserve;
  }
}
