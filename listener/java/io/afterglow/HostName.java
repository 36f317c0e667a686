package io.afterglow;

import java.io.IOException;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Map;

/**
 * The machine's own name, as it is set there: Java's own way to it asks a name server, and one that does not answer
 * would hold up the journal's first byte.
 */
final class HostName {
  private static final Path OF_LINUX = Paths.get("/proc/sys/kernel/hostname");

  private HostName() {}

  /** "" where nobody knows it. */
  static String own(Map<String, String> environment) {
    try {
      return new String(Files.readAllBytes(OF_LINUX), StandardCharsets.UTF_8).trim();
    } catch (IOException | RuntimeException e) {
      String ofWindows = environment.getOrDefault("COMPUTERNAME", "");
      return ofWindows.isEmpty() ? ofNetwork() : ofWindows;
    }
  }

  private static String ofNetwork() {
    try {
      return InetAddress.getLocalHost().getHostName();
    } catch (IOException | RuntimeException e) {
      return "";
    }
  }
}
