package io.afterglow;

import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Takes secrets out of what is about to be written. A property whose key matches loses its value; from other text only
 * secret-shaped parts go, so that a tokenizer's class name or a query over token counts stays as it is. Every pattern
 * is possessive and begins at the start of a word: the cost stays linear, whatever the text.
 */
final class Redaction {
  static final String REDACTED = "*********(redacted)";

  private static final Pattern URL = Pattern.compile("(?<![\\w+.-])([A-Za-z][\\w+.-]*+)://([^/?#\\s\"'<>]++)");
  /** With a password that has no business in an address as it is; a port stays. */
  private static final Pattern UNQUOTED =
      Pattern.compile(
          "(?<![\\w+.-])([A-Za-z][\\w+.-]*+://)[^/?#\\s\"'<>:@\\[]*+:(?!\\d{1,5}(?:[/?,]|$))"
              + "[^/?#\\s\"'<>@]*+[/?#][^\\s\"'<>@]{0,200}+@(?:[^/?#\\s\"'<>@]{1,200}+@)*+");
  private static final Pattern ORACLE =
      Pattern.compile("(jdbc:oracle:\\w{1,20}+:)[^@/\\s]{1,200}+/[^@\\s]{1,200}+@");
  /** There, what stands before the @ is the name of a container. */
  private static final Pattern CONTAINER_SCHEME = Pattern.compile("(?i)abfss?|wasbs?");

  /** What looks like nothing else, wherever it stands: JWT, AWS, GitHub, Databricks, Slack. */
  private static final Pattern TOKEN =
      Pattern.compile(
          "(?<![A-Za-z0-9_])(?:eyJ[\\w-]{8,2000}+\\.[\\w-]{8,}+(?:\\.[\\w-]*+)?+|(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"
              + "|gh[pousr]_[A-Za-z0-9]{20,}+|github_pat_\\w{20,}+|dapi[0-9a-f]{32}(?:-\\d)?+(?!\\w)"
              + "|xox[a-z]-[A-Za-z0-9-]{10,}+)");
  /** A word that follows has no digit; what is long enough is none. */
  private static final Pattern BEARER =
      Pattern.compile("(?i)(?<!\\w)(bearer\\s++|basic\\s++)(?:(?=[a-z+/=_.~-]*+\\d)[\\w+/=.~-]{6,}+|[\\w+/=.~-]{20,}+)");
  /** User and password in Base64 may look like a word. */
  private static final Pattern BASIC = Pattern.compile("(?i)(?<!\\w)(basic\\s++)([a-z0-9+/]{4,}+={0,2})");
  /** Secret keys that Spark's expression does not know. */
  private static final Pattern MORE_KEYS =
      Pattern.compile(
          "(?i)passwd|passphrase|(?:^|[._-])(?:pwd|sig)$|[._-]signature$|[._]sas[._]"
              + "|(?:api|access|private|account)[._-]?key(?!s?[._-]?id)");
  /** Of tokens in texts, not of access: they are counted. */
  private static final Pattern INNOCENT_KEY =
      Pattern.compile("(?i)tokeni[sz]|tokens?[._-]?(?:count|limit|num|len)|(?<![a-z])(?:num|max|min|n)[._-]?tokens?$");

  private final Pattern keys;
  private final boolean ofUser;
  private final Pairs pairs = new Pairs(this::secret);

  /** {@code keys} that the user chose mean what they say: no match is taken for innocent. */
  Redaction(Pattern keys, boolean ofUser) {
    this.keys = keys;
    this.ofUser = ofUser;
  }

  String property(String key, String value, int limit) {
    return secret(key) ? REDACTED : text(value, limit);
  }

  /** Redacts before it cuts: a secret that the cut goes through must not leave its first half. */
  String text(String text, int limit) {
    String head = text.length() > 2 * limit ? text.substring(0, 2 * limit) : text;
    String clean = tokens(pairs.redact(withoutUser(head)));
    return clean.length() > limit ? clean.substring(0, limit) : clean;
  }

  /** Ours is one whatever else the user takes for one. */
  private boolean secret(String key) {
    String rest = INNOCENT_KEY.matcher(key).replaceAll(""); // a tokenizer's password is one all the same
    return key.startsWith("spark.afterglow.collector.secret")
        || keys.matcher(ofUser ? key : rest).find()
        || MORE_KEYS.matcher(rest).find();
  }

  private static String tokens(String text) {
    String clean = TOKEN.matcher(text).replaceAll(Matcher.quoteReplacement(REDACTED));
    return BEARER.matcher(basic(clean)).replaceAll("$1" + Matcher.quoteReplacement(REDACTED));
  }

  private static String basic(String text) {
    Matcher basic = BASIC.matcher(text);
    StringBuffer clean = new StringBuffer();
    while (basic.find()) {
      basic.appendReplacement(clean, userAndPassword(basic.group(2)) ? "$1" + Matcher.quoteReplacement(REDACTED) : "$0");
    }
    return basic.appendTail(clean).toString();
  }

  private static boolean userAndPassword(String base64) {
    try {
      String plain = new String(Base64.getDecoder().decode(base64), StandardCharsets.UTF_8);
      return plain.indexOf(':') >= 0 && plain.chars().allMatch(c -> c >= ' ' && c != '\ufffd');
    } catch (IllegalArgumentException e) {
      return false; // a word
    }
  }

  /** Addresses in the text lose user and password. */
  static String withoutUser(String text) {
    if (text.indexOf('@') < 0) {
      return text;
    }
    StringBuilder clean = new StringBuilder(text.length());
    Matcher url = URL.matcher(text);
    int done = 0;
    while (url.find(done)) {
      int end = url.start(2) + url.group(2).lastIndexOf('@');
      if (end <= url.start(2) || container(url.group(1), url.group(2))) {
        clean.append(text, done, url.start(2));
        done = url.start(2);
      } else {
        clean.append(text, done, url.start(2)).append(REDACTED);
        done = end;
      }
    }
    clean.append(text, done, text.length());
    String redacted = "$1" + Matcher.quoteReplacement(REDACTED) + "@";
    return ORACLE.matcher(UNQUOTED.matcher(clean).replaceAll(redacted)).replaceAll(redacted);
  }

  private static boolean container(String scheme, String authority) {
    return CONTAINER_SCHEME.matcher(scheme.toLowerCase(Locale.ROOT)).matches() && authority.indexOf(':') < 0;
  }
}
