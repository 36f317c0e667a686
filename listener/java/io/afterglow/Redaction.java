package io.afterglow;

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

  /** A word, then an equals sign, a colon (with or without quotes around them), or only space. */
  private static final Pattern KEY =
      Pattern.compile("(?<![\\w.-])([\\w.-]++)(?:(\\\\*+[\"']?\\s*+[=:]\\s*+)|\\s++)");
  private static final Pattern URL = Pattern.compile("(?<![\\w+.-])([A-Za-z][\\w+.-]*+)://([^/?#\\s\"'<>]++)");
  private static final Pattern ORACLE = Pattern.compile("(jdbc:oracle:\\w++:)[^@/\\s]++/[^@\\s]++@");
  /** There, what stands before the @ is the name of a container. */
  private static final Pattern CONTAINER_SCHEME = Pattern.compile("(?i)abfss?|wasbs?");

  /** What looks like nothing else, wherever it stands: JWT, AWS, GitHub, Databricks, Slack. */
  private static final Pattern TOKEN =
      Pattern.compile(
          "(?<![A-Za-z0-9_])(?:eyJ[\\w-]{8,}+\\.[\\w-]{8,}+(?:\\.[\\w-]*+)?+|(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"
              + "|gh[pousr]_[A-Za-z0-9]{20,}+|github_pat_\\w{20,}+|dapi[0-9a-f]{32}(?:-\\d)?+(?!\\w)"
              + "|xox[a-z]-[A-Za-z0-9-]{10,}+)");
  /** A word that follows has no digit; what is long enough is none. */
  private static final Pattern BEARER =
      Pattern.compile("(?i)(?<!\\w)(bearer\\s++|basic\\s++)(?:(?=[a-z+/=_.~-]*+\\d)[\\w+/=.~-]{6,}+|[\\w+/=.~-]{20,}+)");
  /** Secret keys that Spark's expression does not know. */
  private static final Pattern MORE_KEYS =
      Pattern.compile("(?i)passwd|passphrase|(?:^|[._-])pwd$|(?:api|access|private|account)[._-]?key(?!s?[._-]?id)");
  /** Of tokens in texts, not of access: they are counted. */
  private static final Pattern INNOCENT_KEY =
      Pattern.compile("(?i)tokeni[sz]|tokens?[._-]?(?:count|limit|num|len)|(?:num|max|min|n)[._-]?tokens?$");

  private final Pattern keys;

  Redaction(Pattern keys) {
    this.keys = keys;
  }

  String property(String key, String value, int limit) {
    return secret(key) ? REDACTED : text(value, limit);
  }

  /** Redacts before it cuts: a secret that the cut goes through must not leave its first half. */
  String text(String text, int limit) {
    String head = text.length() > 2 * limit ? text.substring(0, 2 * limit) : text;
    String clean = tokens(pairs(userinfo(head)));
    return clean.length() > limit ? clean.substring(0, limit) : clean;
  }

  /** Ours is one whatever else the user takes for one. */
  private boolean secret(String key) {
    String rest = INNOCENT_KEY.matcher(key).replaceAll(""); // a tokenizer's password is one all the same
    return key.startsWith("spark.afterglow.collector.secret")
        || keys.matcher(rest).find()
        || MORE_KEYS.matcher(rest).find();
  }

  private static String tokens(String text) {
    String clean = TOKEN.matcher(text).replaceAll(Matcher.quoteReplacement(REDACTED));
    return BEARER.matcher(clean).replaceAll("$1" + Matcher.quoteReplacement(REDACTED));
  }

  private static String userinfo(String text) {
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
    return ORACLE.matcher(clean).replaceAll("$1" + Matcher.quoteReplacement(REDACTED) + "@");
  }

  private static boolean container(String scheme, String authority) {
    return CONTAINER_SCHEME.matcher(scheme.toLowerCase(Locale.ROOT)).matches() && authority.indexOf(':') < 0;
  }

  private String pairs(String text) {
    StringBuilder clean = new StringBuilder(text.length());
    Matcher key = KEY.matcher(text);
    int done = 0;
    int from = 0;
    while (from <= text.length() && key.find(from)) {
      from = key.end();
      boolean joined = key.group(2) != null || key.group(1).startsWith("--");
      int end = joined && secret(key.group(1)) ? valueEnd(text, key) : from;
      int start = valueStart(text, from);
      if (end > start) {
        clean.append(text, done, start).append(REDACTED);
        done = end;
        from = end;
      }
    }
    return clean.append(text, done, text.length()).toString();
  }

  /** Past the opening quote, if there is one. */
  private static int valueStart(String text, int from) {
    int at = from;
    while (at < text.length() && text.charAt(at) == '\\') {
      at++;
    }
    return at < text.length() && isQuote(text.charAt(at)) ? at + 1 : from;
  }

  private static int valueEnd(String text, Matcher key) {
    int from = key.end();
    int start = valueStart(text, from);
    if (start > from) {
      return quotedEnd(text, start, start - 1 - from);
    }
    // "token = x" and "token: x" without quotes are a condition or a column and its type, not a secret.
    boolean option = key.group(2) == null && !text.startsWith("--", from);
    return option || "=".equals(key.group(2)) ? bareEnd(text, from) : from;
  }

  /** Up to the closing quote, which has no more backslashes than the opening one had. */
  private static int quotedEnd(String text, int start, int backslashes) {
    char quote = text.charAt(start - 1);
    int run = 0;
    for (int at = start; at < text.length(); at++) {
      char c = text.charAt(at);
      if (c == quote && run <= backslashes) {
        return at - run;
      }
      run = c == '\\' ? run + 1 : 0;
    }
    return text.length();
  }

  private static int bareEnd(String text, int start) {
    int at = start;
    while (at < text.length() && !Character.isWhitespace(text.charAt(at)) && ",;&\"'".indexOf(text.charAt(at)) < 0) {
      at++;
    }
    return at;
  }

  private static boolean isQuote(char c) {
    return c == '"' || c == '\'';
  }
}
