package io.afterglow;

import java.util.Collection;

/** Writes the fields of one event, in the order they are given. */
final class JsonFields {
  private final StringBuilder to;

  JsonFields(StringBuilder to, String event) {
    this.to = to;
    quote(to.append("{\"Event\":"), event);
  }

  /** Fields that are added to an event which has begun. */
  JsonFields(StringBuilder to) {
    this.to = to;
  }

  JsonFields put(String key, String value) {
    quote(name(key), value);
    return this;
  }

  JsonFields put(String key, long value) {
    name(key).append(value);
    return this;
  }

  JsonFields put(String key, Collection<Integer> values) {
    name(key).append('[');
    String comma = "";
    for (Integer value : values) {
      to.append(comma).append(value);
      comma = ",";
    }
    to.append(']');
    return this;
  }

  /** A comma, the key and a colon: the value is for the caller to add. */
  StringBuilder name(String key) {
    return quote(to.append(','), key).append(':');
  }

  static StringBuilder quote(StringBuilder to, String text) {
    to.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (c == '"' || c == '\\') {
        to.append('\\').append(c);
      } else if (c == '\n') {
        to.append("\\n");
      } else if (c < 0x20 || c == 0x2028 || c == 0x2029 || Character.isSurrogate(c) && !paired(text, i)) {
        to.append(String.format("\\u%04x", (int) c));
      } else {
        to.append(c);
      }
    }
    return to.append('"');
  }

  /** Half a character, left by a cut, has no UTF-8: written as an escape it does no harm. */
  private static boolean paired(String text, int i) {
    return Character.isHighSurrogate(text.charAt(i))
        ? i + 1 < text.length() && Character.isLowSurrogate(text.charAt(i + 1))
        : i > 0 && Character.isHighSurrogate(text.charAt(i - 1));
  }
}
