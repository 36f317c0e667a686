package io.afterglow;

/**
 * Walks over one JSON text. What is not wanted is passed over without being built, and without recursion, so that
 * neither a plan of megabytes nor one of a thousand levels costs more than a scan.
 */
final class JsonReader {
  /** The text is not JSON. */
  static final class Malformed extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Malformed(int at) {
      super("not JSON at character " + at);
    }
  }

  private final String text;
  private int at;

  JsonReader(String text) {
    this.text = text;
  }

  void enter(char open) {
    expect(open);
  }

  /** The next key of the object that was entered, or null at its end, which is passed. */
  String nextKey() {
    if (ended('}')) {
      return null;
    }
    String key = string();
    expect(':');
    return key;
  }

  /** Whether the array that was entered has another value; its end is passed. */
  boolean nextValue() {
    return !ended(']');
  }

  /** The first character of the next value. */
  char peek() {
    while (at < text.length() && text.charAt(at) <= ' ') {
      at++;
    }
    if (at >= text.length()) {
      throw new Malformed(at);
    }
    return text.charAt(at);
  }

  boolean atEnd() {
    while (at < text.length() && text.charAt(at) <= ' ') {
      at++;
    }
    return at == text.length();
  }

  String string() {
    peek();
    int start = at + 1;
    boolean plain = passString();
    String inside = text.substring(start, at - 1);
    return plain ? inside : unescape(inside);
  }

  /** Whether the next value says nothing: null, or a text of no characters. */
  boolean atNothing() {
    peek();
    return text.startsWith("\"\"", at) || text.startsWith("null", at);
  }

  /** The next value as it stands. */
  String raw() {
    peek();
    int start = at;
    skip();
    return text.substring(start, at);
  }

  void skip() {
    char first = peek();
    if (first == '"') {
      passString();
    } else if (first == '{' || first == '[') {
      passNested();
    } else {
      passScalar();
    }
  }

  private void passNested() {
    int depth = 0;
    do {
      char c = peek();
      if (c == '"') {
        passString();
        continue;
      }
      depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
      at++;
    } while (depth > 0);
  }

  private void passScalar() {
    int start = at;
    while (at < text.length() && ",]} \t".indexOf(text.charAt(at)) < 0) {
      at++;
    }
    if (at == start) {
      throw new Malformed(at);
    }
  }

  /** Passes a string; true when it has no escapes. */
  private boolean passString() {
    boolean plain = true;
    if (text.charAt(at) != '"') {
      throw new Malformed(at);
    }
    for (at++; at < text.length(); at++) {
      char c = text.charAt(at);
      if (c == '"') {
        at++;
        return plain;
      }
      if (c == '\\') {
        plain = false;
        at++;
      } else if (c < ' ') {
        break;
      }
    }
    throw new Malformed(at);
  }

  private boolean ended(char close) {
    char next = peek();
    if (next == ',') {
      at++;
      return false;
    }
    if (next != close) {
      return false;
    }
    at++;
    return true;
  }

  private void expect(char wanted) {
    if (peek() != wanted) {
      throw new Malformed(at);
    }
    at++;
  }

  private String unescape(String inside) {
    StringBuilder plain = new StringBuilder(inside.length());
    for (int i = 0; i < inside.length(); i++) {
      char c = inside.charAt(i);
      if (c != '\\') {
        plain.append(c);
      } else if (inside.charAt(++i) == 'u') {
        plain.append(hex(inside, i + 1));
        i += 4;
      } else {
        plain.append(escaped(inside.charAt(i)));
      }
    }
    return plain.toString();
  }

  private char hex(String inside, int from) {
    try {
      return (char) Integer.parseInt(inside.substring(from, from + 4), 16);
    } catch (IndexOutOfBoundsException | NumberFormatException e) {
      throw new Malformed(at);
    }
  }

  private static char escaped(char c) {
    int known = "nrtbf".indexOf(c);
    return known < 0 ? c : "\n\r\t\b\f".charAt(known);
  }
}
