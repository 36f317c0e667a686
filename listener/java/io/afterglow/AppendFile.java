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
  private long size;
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
  void append(byte[] lines) throws IOException {
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

  /** Returns when all that was appended has reached the disk. */
  void sync() throws IOException {
    if (dirty) {
      channel.force(false);
      dirty = false;
    }
  }

  long size() {
    return size;
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
