package io.afterglow;

import java.io.IOException;
import java.net.MalformedURLException;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.Map;
import org.apache.spark.SparkConf;

/** Where the journal is sent to, if anywhere, and the secret that is shown there; it is never told in a message. */
final class CollectorSettings {
  private static final String URL_KEY = "spark.afterglow.collector.url";
  private static final String FILE_KEY = "spark.afterglow.collector.secretFile";
  private static final String HIDDEN = "***";

  private final SparkConf conf;
  private final Map<String, String> environment;

  CollectorSettings(SparkConf conf, Map<String, String> environment) {
    this.conf = conf;
    this.environment = environment;
  }

  boolean wanted() {
    return !address().isEmpty();
  }

  /** Without a slash at its end. */
  String url() throws BadSetting {
    try {
      URL url = new URL(address());
      boolean plain = address().indexOf('@') < 0 && url.getQuery() == null && url.getRef() == null;
      if (plain && url.getProtocol().matches("https?") && !url.getHost().isEmpty()) {
        return address().replaceFirst("/+$", "");
      }
    } catch (MalformedURLException e) {
      // Said below, together with the addresses that are of another kind.
    }
    throw new BadSetting(URL_KEY, hidden(), "an address like https://afterglow.example.com, without a password");
  }

  /** Empty without one. */
  String secret() throws BadSetting {
    String secret = conf.get("spark.afterglow.collector.secret", "").trim();
    String file = conf.get(FILE_KEY, "").trim();
    if (secret.isEmpty() && !file.isEmpty()) {
      secret = read(file);
    }
    if (secret.isEmpty()) {
      secret = environment.getOrDefault("AFTERGLOW_COLLECTOR_SECRET", "").trim();
    }
    if (!secret.matches("[!-~]*")) {
      throw new BadSetting("spark.afterglow.collector.secret", HIDDEN, "of printable ASCII characters without spaces");
    }
    return secret;
  }

  private String address() {
    String said = conf.get(URL_KEY, "").trim();
    return said.isEmpty() ? environment.getOrDefault("AFTERGLOW_COLLECTOR_URL", "").trim() : said;
  }

  private String hidden() {
    return address().replaceFirst("//.*@", "//" + HIDDEN + "@");
  }

  private static String read(String file) throws BadSetting {
    try {
      // As the Python hook reads it, which looks into the same file.
      String place = file.startsWith("~/") ? System.getProperty("user.home") + file.substring(1) : file;
      return new String(Files.readAllBytes(Paths.get(place)), StandardCharsets.UTF_8).trim();
    } catch (IOException | RuntimeException e) {
      throw new BadSetting(FILE_KEY, file, "a file that the driver can read");
    }
  }
}
