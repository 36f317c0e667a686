package io.afterglow;

/**
 * How large the journal may get. Plans stop a sixteenth before that, the rest at it; ends and heartbeats, which are few,
 * go on.
 */
final class JournalLimit {
  private final long maxBytes;

  JournalLimit(long maxBytes) {
    this.maxBytes = maxBytes;
  }

  /** Whether a line of this rank may still be written to a journal of so many bytes. */
  boolean allows(Rank rank, long bytes) {
    return rank == Rank.END || bytes < (rank == Rank.PLAN ? maxBytes - maxBytes / 16 : maxBytes);
  }
}
