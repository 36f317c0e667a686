package io.afterglow;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.zip.GZIPOutputStream;

/** One journal on its way to the collector. How far it got is noted beside it, in {@code <instance>.offset}. */
final class Shipment {
  static final int CHUNK_BYTES = 1 << 20;

  /** How many bytes of a journal there are to send. */
  interface Size {
    long get() throws IOException;
  }

  private final Path journal;
  private final Size size;
  private final Collector collector;
  private long confirmed;

  Shipment(Path journal, Size size, Collector collector) {
    this.journal = journal;
    this.size = size;
    this.collector = collector;
    this.confirmed = noted();
  }

  static String instance(Path journal) {
    return journal.getFileName().toString().replaceFirst("\\.jsonl$", "");
  }

  /** Bytes that the collector has, by its own word. */
  long confirmed() {
    return confirmed;
  }

  boolean done() throws IOException {
    return confirmed >= size.get();
  }

  /** Sends the next chunk. An IOException says why the collector did not take it; then it is as before. */
  void send(byte[] buffer, long withinMillis) throws IOException {
    int length = read(buffer);
    ByteArrayOutputStream packed = new ByteArrayOutputStream(Math.max(1_024, length / 4));
    try (GZIPOutputStream gzip = new GZIPOutputStream(packed)) {
      gzip.write(buffer, 0, length);
    }
    byte[] body = packed.toByteArray();
    long position = collector.put(instance(journal), confirmed, body, body.length, withinMillis);
    if (position == confirmed) {
      throw new IOException("it took nothing");
    }
    confirmed = position;
    note();
  }

  /** All of it was confirmed: only its lock is left. */
  static void delete(Path journal) throws IOException {
    Files.deleteIfExists(journal);
    Files.deleteIfExists(notes(journal));
    Files.deleteIfExists(part(journal));
  }

  /** Where a journal is copied without what was dropped; it is there for a moment, or where a driver died in that. */
  static Path part(Path journal) {
    return journal.resolveSibling(instance(journal) + ".part");
  }

  private int read(byte[] buffer) throws IOException {
    int want = (int) Math.min(buffer.length, size.get() - confirmed);
    ByteBuffer into = ByteBuffer.wrap(buffer, 0, Math.max(0, want));
    try (FileChannel channel = FileChannel.open(journal, StandardOpenOption.READ)) {
      long at = confirmed;
      for (int read = 0; read >= 0 && into.hasRemaining(); at += read) {
        read = channel.read(into, at);
      }
    }
    return into.position();
  }

  private long noted() {
    try {
      return Long.parseLong(new String(Files.readAllBytes(notes(journal)), StandardCharsets.US_ASCII).trim());
    } catch (NoSuchFileException e) {
      return 0;
    } catch (IOException | RuntimeException e) {
      return 0; // the collector knows better anyway
    }
  }

  /** On a full disk it stays what it was, and whoever sends the rest is told more by the collector. */
  private void note() {
    try {
      Files.write(notes(journal), Long.toString(confirmed).getBytes(StandardCharsets.US_ASCII));
    } catch (IOException e) {
      // The chunk was taken all the same.
    }
  }

  private static Path notes(Path journal) {
    return journal.resolveSibling(instance(journal) + ".offset");
  }
}
