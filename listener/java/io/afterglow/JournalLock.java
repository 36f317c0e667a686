package io.afterglow;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * Tells whether the writer of a journal lives: it holds a lock on the file {@code <instance>.lock} beside the journal,
 * and the operating system lets go of that when it dies, however it dies. Python's side takes the same kind of lock.
 *
 * <p>Closing any channel of a file gives up this process's locks on it. So a lock file is opened once in a JVM: whose
 * journals live in this one is known by system properties, which two class loaders share, too.
 */
final class JournalLock {
  private static final String HERE = "io.afterglow.journal.";
  private static final int RESERVE_BYTES = 32 << 10;

  private final Path file;
  private final String property;
  private final FileChannel channel;

  private JournalLock(Path file, String property, FileChannel channel) {
    this.file = file;
    this.property = property;
    this.channel = channel;
  }

  /** The lock of a new journal; null where the file system has none, and then nobody ever takes its writer for dead. */
  static JournalLock take(Path journal) {
    JournalLock lock = take(journal, StandardOpenOption.CREATE);
    if (lock != null) {
      lock.reserve();
    }
    return lock;
  }

  /** The lock of a journal whose writer is dead, and which nobody else is sending; null of any other. */
  static JournalLock ofDead(Path journal) {
    JournalLock lock = Files.exists(file(journal)) ? take(journal, StandardOpenOption.WRITE) : null;
    if (lock != null && !Files.exists(journal)) {
      lock.delete(); // it was sent, and is gone
      return null;
    }
    return lock;
  }

  private static JournalLock take(Path journal, StandardOpenOption how) {
    String property = HERE + Shipment.instance(journal);
    FileChannel channel = null;
    try {
      if (System.getProperties().putIfAbsent(property, "") != null) {
        return null;
      }
      channel = FileChannel.open(file(journal), StandardOpenOption.WRITE, how);
      FileLock lock = channel.tryLock();
      if (lock != null) {
        return new JournalLock(file(journal), property, channel);
      }
    } catch (IOException | RuntimeException e) {
      // As without a lock.
    }
    release(property, channel);
    return null;
  }

  /** Takes a little of the disk, for the journal's last lines. */
  private void reserve() {
    try {
      channel.write(ByteBuffer.allocate(RESERVE_BYTES), 0);
    } catch (IOException e) {
      // As without a reserve.
    }
  }

  void giveUpReserve() {
    try {
      channel.truncate(0);
    } catch (IOException e) {
      // Then there is none.
    }
  }

  /** Lets go of it: whoever takes it next takes the writer for dead. */
  void release() {
    release(property, channel);
  }

  /** The journal is gone, and its lock with it. */
  void delete() {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      // It does no harm.
    }
    release();
  }

  private static void release(String property, FileChannel channel) {
    try {
      if (channel != null) {
        channel.close();
      }
    } catch (IOException e) {
      // The operating system closes it in the end.
    }
    System.clearProperty(property);
  }

  private static Path file(Path journal) {
    return journal.resolveSibling(Shipment.instance(journal) + ".lock");
  }
}
