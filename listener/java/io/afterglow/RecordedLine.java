package io.afterglow;

import java.util.Arrays;
import java.util.List;

/** An Afterglow… event that the Python hook handed over as text. */
final class RecordedLine implements Line {
  private static final int MAX_CHARS = 4_000_000;
  private static final String BEAT = "AfterglowHeartbeat";
  private static final List<String> ENDS = Arrays.asList("AfterglowDriverEnd", "AfterglowContextDeath");
  private static final List<String> VITAL =
      Arrays.asList("AfterglowRunStart", "AfterglowRunEnd", BEAT);

  private final String json;

  RecordedLine(String json) {
    this.json = json;
  }

  @Override
  public int events() {
    return BEAT.equals(name()) ? 0 : 1; // the next one says all that one does
  }

  private String name() {
    int at = json.indexOf("\"Afterglow") + 1; // it comes first
    return json.substring(at, json.indexOf('"', at));
  }

  /** One object on one line, its first key {@code Event}, of Afterglow's own: anything else would spoil the file. */
  static boolean accepts(String json) {
    if (json == null || json.length() > MAX_CHARS || json.indexOf('\n') >= 0 || json.indexOf('\r') >= 0) {
      return false;
    }
    try {
      JsonReader reader = new JsonReader(json);
      reader.enter('{');
      boolean ours = "Event".equals(reader.nextKey()) && reader.string().startsWith("Afterglow");
      while (reader.nextKey() != null) {
        reader.skip();
      }
      return ours && reader.atEnd();
    } catch (JsonReader.Malformed e) {
      return false;
    }
  }

  Rank rank() {
    String name = name();
    return ENDS.contains(name) ? Rank.END : VITAL.contains(name) ? Rank.VITAL : Rank.FACT;
  }

  @Override
  public int weight() {
    return 100 + 2 * json.length();
  }

  @Override
  public void appendTo(StringBuilder line, Trimmer trimmer) {
    trimmer.redact(json, line, true);
  }

  /** Without what MLflow has of the run: the server reads it there. */
  @Override
  public int appendShortTo(StringBuilder line, Trimmer trimmer) {
    trimmer.redact(json, line, false);
    return 0;
  }
}
