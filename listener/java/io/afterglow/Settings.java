package io.afterglow;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import org.apache.spark.SparkConf;

/** What the user may set: each key has one accessor here, with its default beside it. */
final class Settings {
  private static final Pattern REMOTE = Pattern.compile("(?!file:)[A-Za-z][A-Za-z0-9+.-]+:.*");

  private final SparkConf conf;
  private final Map<String, String> environment;

  Settings(SparkConf conf, Map<String, String> environment) {
    this.conf = conf;
    this.environment = environment;
  }

  boolean enabled() throws BadSetting {
    String everywhere = environment.getOrDefault("AFTERGLOW_DISABLED", "").trim();
    if (everywhere.matches("(?i)1|true|yes|on")) {
      return false;
    }
    String here = conf.get("spark.afterglow.enabled", "true").trim().toLowerCase(Locale.ROOT);
    if (!here.equals("true") && !here.equals("false")) {
      throw new BadSetting("spark.afterglow.enabled", here, "true or false");
    }
    return here.equals("true");
  }

  Path journalDir() throws BadSetting {
    String dir = conf.get("spark.afterglow.journal.dir", "").trim();
    return dir.isEmpty() ? home().resolve("journal") : folder("spark.afterglow.journal.dir", dir);
  }

  private Path home() throws BadSetting {
    String home = environment.getOrDefault("AFTERGLOW_HOME", "").trim();
    return folder("AFTERGLOW_HOME", home.isEmpty() ? "~/.afterglow" : home);
  }

  long flushTimeoutMillis() throws BadSetting {
    return millis("spark.afterglow.flush.timeout", "2s", 0);
  }

  long queueBytes() throws BadSetting {
    return bytes("spark.afterglow.queue.bytes", "16m");
  }

  long journalMaxBytes() throws BadSetting {
    return bytes("spark.afterglow.journal.maxSize", "256m");
  }

  long heartbeatMillis() throws BadSetting {
    return millis("spark.afterglow.heartbeat.interval", "10s", 100);
  }

  /** Spark's own key. The default is that of the newest Spark, which knows more secrets than the older ones. */
  Redaction redaction() throws BadSetting {
    String regex = conf.get("spark.redaction.regex", "(?i)secret|password|token|access[.]?key|credential");
    try {
      return new Redaction(Pattern.compile(regex), conf.contains("spark.redaction.regex"));
    } catch (PatternSyntaxException e) {
      throw new BadSetting("spark.redaction.regex", regex, "a regular expression");
    }
  }

  private long bytes(String key, String preset) throws BadSetting {
    String value = conf.get(key, preset);
    try {
      long bytes = conf.getSizeAsBytes(key, preset);
      if (bytes >= 1 << 20) {
        return bytes;
      }
    } catch (RuntimeException e) {
      // Said below, together with the sizes that are too small.
    }
    throw new BadSetting(key, value, "a size of at least 1m, such as " + preset);
  }

  private long millis(String key, String preset, long least) throws BadSetting {
    String value = conf.get(key, preset);
    try {
      long millis = conf.getTimeAsMs(key, preset);
      if (millis >= least) {
        return millis;
      }
    } catch (RuntimeException e) {
      // Said below, together with the times that are too short.
    }
    throw new BadSetting(key, value, "a time of at least " + least + "ms, such as " + preset);
  }

  private Path folder(String key, String value) throws BadSetting {
    String path = value.startsWith("file:") ? value.substring(5).replaceFirst("^/+", "/") : value;
    try {
      if (!REMOTE.matcher(value).matches()) {
        return Paths.get(path.replaceFirst("^~(?=/|$)", userHome())).toAbsolutePath();
      }
    } catch (InvalidPathException e) {
      // Said below, together with the folders that are not on this machine.
    }
    throw new BadSetting(key, value, "a folder on the driver's own machine");
  }

  /** $HOME before Java's user.home, which ignores it: Python looks at $HOME, and both must find the same folder. */
  private String userHome() {
    String home = environment.getOrDefault("HOME", "");
    String found = home.isEmpty() ? System.getProperty("user.home") : home;
    return Matcher.quoteReplacement(found);
  }
}
