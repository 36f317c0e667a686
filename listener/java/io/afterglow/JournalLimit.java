package io.afterglow;

/**
 * How large the journal may get. Plans stop a sixteenth before that, the rest at it; what is vital has another sixteenth
 * for itself.
 */
final class JournalLimit {
  private final long maxBytes;
  private final long reserve;

  JournalLimit(long maxBytes) {
    this.maxBytes = maxBytes;
    reserve = maxBytes / 16;
  }

  /** Whether a line of this rank may still be written to a journal of so many bytes. */
  boolean allows(Rank rank, long bytes) {
    return bytes < maxBytes + (rank == Rank.VITAL ? reserve : rank == Rank.PLAN ? -reserve : 0);
  }
}
