package io.afterglow;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.EnumSet;

/** A file that only grows, by whole lines, and that only its owner may read: a journal tells much about a job. */
final class AppendFile {
  private final FileChannel channel;
  private volatile long size;
  private boolean retired;
  private boolean dirty;

  private AppendFile(FileChannel channel) {
    this.channel = channel;
  }

  static AppendFile create(Path path) throws IOException {
    Path dir = path.getParent();
    // createDirectories() alone fails on a link to a folder.
    if (!Files.isDirectory(dir)) {
      Files.createDirectories(dir, mode(dir, "rwx------"));
    }
    return new AppendFile(
        FileChannel.open(
            path,
            EnumSet.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
            mode(path, "rw-------")));
  }

  /** Writes all of it or, on a full disk, leaves the file as it was. */
  synchronized void append(byte[] lines) throws IOException {
    if (retired) {
      throw new IOException("the journal was sent and is closed");
    }
    ByteBuffer rest = ByteBuffer.wrap(lines);
    try {
      while (rest.hasRemaining()) {
        channel.write(rest);
      }
    } catch (IOException e) {
      channel.truncate(size);
      channel.position(size);
      throw e;
    }
    size += lines.length;
    dirty = true;
  }

  /** How many bytes are in it for good: what is behind them may be of a write that is under way. */
  long size() {
    return size;
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

  private static FileAttribute<?>[] mode(Path path, String permissions) {
    boolean posix = path.getFileSystem().supportedFileAttributeViews().contains("posix");
    return posix
        ? new FileAttribute<?>[] {PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString(permissions))}
        : new FileAttribute<?>[0];
  }
}
