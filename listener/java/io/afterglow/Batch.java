package io.afterglow;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** Lines that were made into text and go to the file together. */
final class Batch {
  private static final int CHARS = 256 << 10;
  private static final int MAX_LINE_BYTES = (256 << 10) - 64; // so much at most is added to each

  private final Health health;
  private final Trimmer trimmer;
  private final List<QueuedLine> lines = new ArrayList<>();
  private StringBuilder text = new StringBuilder();
  private int events; // that they tell
  private long writtenLines; // before these

  Batch(Health health, Trimmer trimmer) {
    this.health = health;
    this.trimmer = trimmer;
  }

  boolean isEmpty() {
    return text.length() == 0;
  }

  boolean isFull() {
    return text.length() >= CHARS;
  }

  /** About how many bytes. */
  int size() {
    return text.length();
  }

  byte[] bytes() {
    return text.toString().getBytes(StandardCharsets.UTF_8);
  }

  /** Adds a line that is closed. One that cannot be made into text, or not into a short enough one, is lost. */
  void add(QueuedLine next) {
    int start = text.length();
    int told = next.line.events(); // asked before: it may let go of what it has told
    try {
      int untold = append(next.line, start);
      if (text.length() > start) {
        close(next, told - untold);
        health.drop(untold);
        return;
      }
    } catch (Throwable t) {
      text.setLength(start);
      health.error(t);
    }
    health.drop(told);
    next.line.lost();
    trimmer.plans().forget(); // one of them may have been in it
  }

  private void close(QueuedLine added, int told) {
    // What was lost before this line has a number too, so that every loss leaves a gap.
    text.append(",\"Seq\":").append(writtenLines + lines.size() + health.dropped()).append("}\n");
    lines.add(added);
    events += told;
  }

  /** Adds nothing where even the short form is too long. How many of its events are not told. */
  private int append(Line line, int start) throws Exception {
    line.appendTo(text, trimmer);
    int untold = 0;
    if (isTooLong(start)) {
      text.setLength(start);
      untold = line.appendShortTo(text, trimmer);
    }
    if (isTooLong(start)) {
      text.setLength(start);
    }
    return untold;
  }

  private boolean isTooLong(int start) {
    return 3L * (text.length() - start) > MAX_LINE_BYTES && utf8Bytes(start) > MAX_LINE_BYTES;
  }

  private long utf8Bytes(int start) {
    long bytes = 0;
    for (int i = start; i < text.length(); i++) {
      char c = text.charAt(i);
      bytes += c < 0x80 ? 1 : c < 0x800 || Character.isSurrogate(c) ? 2 : 3; // a pair of surrogates makes four
    }
    return bytes;
  }

  /** They are in the file. */
  void written() {
    writtenLines += lines.size();
    clear();
  }

  /** They are not, and are counted as lost, all but those that tell how the application ends: what these were. */
  List<QueuedLine> failed() {
    List<QueuedLine> ends = new ArrayList<>();
    int kept = 0;
    for (QueuedLine each : lines) {
      if (each.rank == Rank.END) {
        ends.add(each);
        kept += each.line.events();
      } else {
        each.line.lost();
      }
    }
    trimmer.plans().forget();
    health.drop(events - kept);
    clear();
    return ends;
  }

  private void clear() {
    // One huge line is no reason to keep so much memory for the next ones.
    if (text.capacity() > 4 * CHARS) {
      text = new StringBuilder();
    }
    text.setLength(0);
    lines.clear();
    events = 0;
  }
}
