package io.afterglow;

import java.util.HashMap;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * How one JSON value gets from Spark's text to the journal's. Shapes nest only as deep as they are written down in
 * {@link Trimmer}, whatever the depth of the text.
 */
interface Shape {
  void copy(JsonReader from, StringBuilder to);

  /** Options that Spark gives every JVM of its own, a kilobyte of them. */
  Pattern OF_SPARK_ITSELF = Pattern.compile("--add-opens=java\\.[^\\s=]++=ALL-UNNAMED ?+");

  Shape AS_IS = (from, to) -> to.append(from.raw());

  /** An address loses user and password; what else it says is what it is good for. */
  Shape ADDRESS =
      (from, to) -> {
        if (from.peek() == '"') {
          JsonFields.quote(to, Redaction.withoutUser(from.string()));
        } else {
          to.append(from.raw());
        }
      };

  /** A string, redacted and cut. */
  static Shape text(int limit, Redaction redaction) {
    return (from, to) -> {
      if (from.peek() != '"') {
        to.append(from.raw());
        return;
      }
      JsonFields.quote(to, redaction.text(from.string(), limit));
    };
  }

  static Shape list(Shape each) {
    return (from, to) -> {
      from.enter('[');
      to.append('[');
      String comma = "";
      while (from.nextValue()) {
        to.append(comma);
        each.copy(from, to);
        comma = ",";
      }
      to.append(']');
    };
  }

  /** An object with only these fields, in the order of the text. */
  static Shape object(Map<String, Shape> fields) {
    return (from, to) -> {
      from.enter('{');
      to.append('{');
      fields(fields, from, to, "");
      to.append('}');
    };
  }

  /** An object with all its fields, some of them in a shape of their own. */
  static Shape whole(Map<String, Shape> shaped) {
    return (from, to) -> {
      if (from.peek() != '{') {
        to.append(from.raw());
        return;
      }
      from.enter('{');
      String open = "{";
      for (String key = from.nextKey(); key != null; key = from.nextKey()) {
        JsonFields.quote(to.append(open), key).append(':');
        shaped.getOrDefault(key, AS_IS).copy(from, to);
        open = ",";
      }
      to.append(open.equals("{") ? "{}" : "}");
    };
  }

  static Shape object(String... asTheyAre) {
    return object(keep(asTheyAre));
  }

  /** The kept fields of the object that {@code from} is in, up to its end. */
  static void fields(Map<String, Shape> fields, JsonReader from, StringBuilder to, String firstComma) {
    String comma = firstComma;
    for (String key = from.nextKey(); key != null; key = from.nextKey()) {
      Shape shape = fields.get(key);
      if (shape == null || from.atNothing()) {
        from.skip();
        continue;
      }
      JsonFields.quote(to.append(comma), key).append(':');
      shape.copy(from, to);
      comma = ",";
    }
  }

  /**
   * Spark properties: a secret's value goes altogether, secret parts of other values go. Those that come after {@code
   * limitOfAll} characters are left out.
   */
  static Shape properties(int limit, int limitOfAll, Redaction redaction) {
    return (from, to) -> {
      if (from.peek() != '{') {
        to.append(from.raw());
        return;
      }
      from.enter('{');
      to.append('{');
      int most = to.length() + limitOfAll;
      String comma = "";
      for (String key = from.nextKey(); key != null; key = from.nextKey()) {
        if (from.peek() != '"' || to.length() > most) {
          from.skip();
          continue;
        }
        JsonFields.quote(to.append(comma), key).append(':');
        String value = OF_SPARK_ITSELF.matcher(from.string()).replaceAll("");
        JsonFields.quote(to, redaction.property(key, value, limit));
        comma = ",";
      }
      to.append('}');
    };
  }

  static Map<String, Shape> keep(String... asTheyAre) {
    Map<String, Shape> fields = new HashMap<>();
    for (String key : asTheyAre) {
      fields.put(key, AS_IS);
    }
    return fields;
  }
}
