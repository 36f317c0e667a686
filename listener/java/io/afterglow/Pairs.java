package io.afterglow;

import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Pairs of a key and its value in a text, in the forms that programs, shells, JSON, SQL and Scala have for them. */
final class Pairs {
  /** A word, then an equals sign, a colon (with or without quotes around them), an arrow, or only space. */
  private static final Pattern KEY =
      Pattern.compile("(?<![\\w.-])([\\w.-]++)(?:(\\\\*+[\"']?\\s*+(?:=>|->(?!>)|[=:])\\s*+)|[\"'`]?\\s++)");
  /** What else may be the parameter of a lambda: token -> lower(token). */
  private static final Pattern PARAMETER = Pattern.compile("(?i)tokens?");

  private final Predicate<String> secret;

  /** {@code secret} tells the keys whose values go. */
  Pairs(Predicate<String> secret) {
    this.secret = secret;
  }

  String redact(String text) {
    StringBuilder clean = new StringBuilder(text.length());
    Matcher key = KEY.matcher(text);
    int done = 0;
    int from = 0;
    while (from <= text.length() && key.find(from)) {
      from = key.end();
      int end = joined(text, key) && secret.test(key.group(1)) ? valueEnd(text, key) : from;
      int start = valueStart(text, from);
      if (end > start) {
        String quote = start == from ? quoteOf(key) : "";
        clean.append(text, done, start).append(quote).append(Redaction.REDACTED).append(quote);
        done = end;
        from = end;
      }
    }
    return clean.append(text, done, text.length()).toString();
  }

  /** Whether what follows is the key's value. */
  private static boolean joined(String text, Matcher key) {
    if (key.group(2) != null) {
      return true;
    }
    boolean plain = Character.isWhitespace(text.charAt(key.end(1)));
    return plain && key.group(1).startsWith("--") || inOptions(text, key);
  }

  /** As in OPTIONS (user 'me', password 'x'): a value in quotes, and a bracket or a comma before the key. */
  private static boolean inOptions(String text, Matcher key) {
    if (key.end() == text.length() || !isQuote(text.charAt(key.end()))) {
      return false;
    }
    int before = key.start() - 1;
    if (before >= 0 && (isQuote(text.charAt(before)) || text.charAt(before) == '`')) {
      before--;
    }
    while (before >= 0 && Character.isWhitespace(text.charAt(before))) {
      before--;
    }
    return before >= 0 && (text.charAt(before) == '(' || text.charAt(before) == ',');
  }

  /** The quote that ends the key of a JSON pair, with its backslashes; "" where there is none. */
  private static String quoteOf(Matcher key) {
    String between = key.group(2) == null ? "" : key.group(2);
    int at = 0;
    while (at < between.length() && between.charAt(at) == '\\') {
      at++;
    }
    return at < between.length() && isQuote(between.charAt(at)) ? between.substring(0, at + 1) : "";
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
    String between = key.group(2);
    if (!quoteOf(key).isEmpty() && between.indexOf(':') >= 0) {
      return jsonEnd(text, from);
    }
    if (between != null && between.contains("->")) {
      return mapEnd(text, from, key.group(1));
    }
    // "token = x" and "token: x" without quotes are a condition or a column and its type, not a secret.
    boolean option = between == null && !text.startsWith("--", from);
    return option || "=".equals(between) || "=>".equals(between) ? bareEnd(text, from) : from;
  }

  /** Of a number, a list or an object; true, false and null tell nothing. */
  private static int jsonEnd(String text, int start) {
    char first = start < text.length() ? text.charAt(start) : ' ';
    if (first == '[' || first == '{') {
      return nestedEnd(text, start);
    }
    int end = start;
    while (end < text.length() && (first == '-' || Character.isDigit(first)) && ",]}".indexOf(text.charAt(end)) < 0
        && !Character.isWhitespace(text.charAt(end))) {
      end++;
    }
    return end;
  }

  private static int nestedEnd(String text, int start) {
    int depth = 0;
    int backslashes = 0;
    for (int at = start; at < text.length(); at++) {
      char c = text.charAt(at);
      if (isQuote(c)) {
        at = quotedEnd(text, at + 1, backslashes) + backslashes;
      } else if (c == '[' || c == '{') {
        depth++;
      } else if ((c == ']' || c == '}') && --depth == 0) {
        return at + 1;
      }
      backslashes = c == '\\' ? backslashes + 1 : 0;
    }
    return text.length();
  }

  /** Of Scala's Map(password -> x): without the bracket that closes it. A lambda's body is no value. */
  private static int mapEnd(String text, int start, String key) {
    int end = bareEnd(text, start);
    int open = 0;
    for (int at = start; at < end; at++) {
      open += text.charAt(at) == '(' ? 1 : text.charAt(at) == ')' ? -1 : 0;
    }
    for (; open < 0 && end > start && text.charAt(end - 1) == ')'; open++) {
      end--;
    }
    String value = text.substring(start, end);
    boolean lambda = PARAMETER.matcher(key).matches() && (value.equals(key) || value.indexOf('(') >= 0);
    return lambda ? start : end;
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
