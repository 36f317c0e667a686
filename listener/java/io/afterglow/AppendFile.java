package io.afterglow;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.EnumSet;

/**
 * A file that only grows, by whole lines, and that only its owner may read: a journal tells much about a job. Lines that
 * were read elsewhere can be dropped from its middle: there it has zeros, which take no room on the disk, and all other
 * bytes stay where they were.
 */
final class AppendFile {
  private static final int MAX_LINE = 1 << 20; // what it is given has lines of a quarter of that

  private final Path path;
  private final long head;
  private FileChannel channel;
  private volatile long size;
  private long headBytes; // whole lines; known once something was dropped
  private volatile long dropped; // what lies between the head and here
  private boolean retired;
  private boolean dirty;

  private AppendFile(Path path, long head, FileChannel channel) {
    this.path = path;
    this.head = head;
    this.channel = channel;
  }

  /** Of {@code head} bytes at its beginning, the whole lines are never dropped. */
  static AppendFile create(Path path, long head) throws IOException {
    Path dir = path.getParent();
    // createDirectories() alone fails on a link to a folder.
    if (!Files.isDirectory(dir)) {
      Files.createDirectories(dir, mode(dir, "rwx------"));
    }
    return new AppendFile(path, head, open(path));
  }

  /** Writes all of it or, on a full disk, leaves the file as it was. */
  synchronized void append(byte[] lines) throws IOException {
    if (retired) {
      throw new IOException("the journal was sent and is closed");
    }
    ByteBuffer rest = ByteBuffer.wrap(lines);
    try {
      while (rest.hasRemaining()) {
        channel.write(rest, size + rest.position());
      }
    } catch (IOException | RuntimeException | Error e) {
      channel.truncate(size);
      throw e;
    }
    size += lines.length;
    dirty = true;
  }

  /** How many bytes are in it for good: what is behind them may be of a write that is under way. */
  long size() {
    return size;
  }

  /** How many of them take room on the disk. */
  long held() {
    return size - dropped + (dropped == 0 ? 0 : headBytes);
  }

  /** How many bytes before this position could be dropped. */
  long droppable(long position) {
    return Math.max(0, Math.min(position, size) - Math.max(dropped, headBytes));
  }

  /**
   * Drops what lies before this position, but for the head and the line that the position is in. What stays is copied
   * into a new file, which takes the place of the old one at once: who reads it finds the one or the other. Not while
   * something is appended.
   */
  synchronized void drop(long position) throws IOException {
    try (FileChannel from = FileChannel.open(path, StandardOpenOption.READ)) {
      long keptHead = dropped == 0 ? lineStart(from, head) : headBytes;
      long tail = lineStart(from, Math.min(position, size));
      if (tail - 1 > Math.max(keptHead, dropped)) {
        replace(copied(from, keptHead, tail));
        headBytes = keptHead;
        dropped = tail;
      }
    }
  }

  private FileChannel copied(FileChannel from, long keptHead, long tail) throws IOException {
    Path part = Shipment.part(path);
    Files.deleteIfExists(part);
    FileChannel copy = open(part);
    try {
      copy(from, copy, 0, keptHead);
      copy(from, copy, tail - 1, size); // with the end of the line before, which ends the zeros
      copy.force(false);
      Files.move(part, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
      return copy;
    } catch (IOException | RuntimeException | Error e) {
      copy.close();
      Files.deleteIfExists(part);
      throw e;
    }
  }

  private void replace(FileChannel copy) throws IOException {
    FileChannel old = channel;
    channel = copy;
    old.close();
  }

  private static void copy(FileChannel from, FileChannel to, long at, long end) throws IOException {
    to.position(at);
    while (at < end) {
      long moved = from.transferTo(at, end - at, to);
      if (moved <= 0) {
        throw new IOException("the journal has shrunk");
      }
      at += moved;
    }
  }

  /** Where the line begins that goes on at this position; 0 when that is too far away. */
  private static long lineStart(FileChannel from, long position) throws IOException {
    long first = Math.max(0, position - MAX_LINE);
    ByteBuffer bytes = ByteBuffer.allocate((int) (position - first));
    for (int read = 0; read >= 0 && bytes.hasRemaining(); ) {
      read = from.read(bytes, first + bytes.position());
    }
    int at = bytes.position();
    while (at > 0 && bytes.get(at - 1) != '\n') {
      at--;
    }
    return at == 0 ? 0 : first + at;
  }

  /** Takes no more, unless more than this was written: then false. */
  synchronized boolean retire(long bytes) {
    retired = retired || size == bytes;
    return retired;
  }

  /** Returns when all that was appended has reached the disk. */
  void sync() throws IOException {
    if (dirty) {
      channel.force(false);
      dirty = false;
    }
  }

  void close() throws IOException {
    channel.close();
  }

  private static FileChannel open(Path path) throws IOException {
    return FileChannel.open(
        path, EnumSet.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE), mode(path, "rw-------"));
  }

  private static FileAttribute<?>[] mode(Path path, String permissions) {
    boolean posix = path.getFileSystem().supportedFileAttributeViews().contains("posix");
    return posix
        ? new FileAttribute<?>[] {PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString(permissions))}
        : new FileAttribute<?>[0];
  }
}
