package io.afterglow;

/**
 * How often values of some size were seen, in bins that are the same everywhere: docs/journal.md has them. Up to 31 each
 * value has its own; above that every power of two is cut into 16, so that a bin's middle is at most 1/32 away from any
 * value in it.
 */
final class Histogram {
  private static final int PARTS = 16;

  private long count;
  private long zeros; // most tasks spill nothing, and many read nothing: no bin is needed for that
  private long min = Long.MAX_VALUE;
  private long max;
  /** The bins from {@code first} on: only as many as lie between the smallest and the largest value. */
  private int[] bins = new int[0];
  private int first;

  void add(long value) {
    long size = Math.max(0, value); // clocks that jump make negative durations
    count++;
    min = Math.min(min, size);
    max = Math.max(max, size);
    if (size == 0) {
      zeros++;
      return;
    }
    int bin = bin(size);
    if (bins.length == 0) {
      first = Math.max(0, bin - 4);
      bins = new int[PARTS];
    }
    reach(bin);
    bins[bin - first]++;
  }

  boolean allAlike() {
    return min >= max;
  }

  /** Smallest and largest; of more than two values, between them, those that 25, 50, 75, 95 and 99 % do not exceed. */
  void put(StringBuilder to) {
    to.append('[').append(min);
    if (count > 2) {
      for (int percent : new int[] {25, 50, 75, 95, 99}) {
        to.append(',').append(quantile(percent));
      }
    }
    to.append(',').append(max).append(']');
  }

  long quantile(int percent) {
    long rank = (count * percent + 99) / 100;
    long seen = zeros;
    if (seen >= rank) {
      return 0;
    }
    for (int i = 0; i < bins.length; i++) {
      seen += bins[i];
      if (seen >= rank) {
        return Math.max(min, Math.min(max, middle(first + i)));
      }
    }
    return max;
  }

  static int bin(long value) {
    int shift = Math.max(0, 59 - Long.numberOfLeadingZeros(value));
    return shift * PARTS + (int) (value >>> shift);
  }

  static long middle(int bin) {
    int shift = Math.max(0, bin / PARTS - 1);
    long low = (long) (bin - shift * PARTS) << shift;
    return low + ((1L << shift) >> 1);
  }

  private void reach(int bin) {
    int below = Math.max(0, first - bin);
    int needed = Math.max(bins.length, bin - first + 1) + below;
    if (needed > bins.length) {
      int spare = below > 0 ? Math.min(first - below, PARTS) : PARTS;
      int[] wider = new int[needed + spare];
      int shifted = below > 0 ? below + spare : 0;
      System.arraycopy(bins, 0, wider, shifted, bins.length);
      first -= shifted;
      bins = wider;
    }
  }
}
