package io.afterglow;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/** The plans that a journal has already: most queries of a job are asked again and again, and told once is enough. */
final class Plans {
  private static final String HEADING = "== Physical Plan ==\n";
  private static final int MAX_CHARS = 4_000;
  private static final int MAX_REMEMBERED = 1_000;
  private static final int MAX_TREE = 100_000; // of which a hash is made
  /** What differs from one execution of a query to the next. */
  private static final Pattern NUMBERS = Pattern.compile("#\\d++L?+|plan_id=\\d++");

  private final Redaction redaction;
  private final Set<String> told =
      Collections.newSetFromMap(
          new LinkedHashMap<String, Boolean>() {
            private static final long serialVersionUID = 1L;

            @Override
            protected boolean removeEldestEntry(Map.Entry<String, Boolean> eldest) {
              return size() > MAX_REMEMBERED;
            }
          });

  Plans(Redaction redaction) {
    this.redaction = redaction;
  }

  /**
   * The tree of operators at the head of Spark's text; what follows says each operator's columns once more. Of a plan
   * that was changed while it ran only the last one.
   */
  static String tree(String plan) {
    int details = plan.indexOf("\n\n\n");
    int initial = plan.indexOf("+- == Initial Plan ==");
    int end = details < 0 ? plan.length() : details;
    end = initial > 0 && initial < end ? initial : end;
    int start = plan.startsWith(HEADING) ? HEADING.length() : 0;
    return plan.substring(start, Math.max(start, Math.min(end, MAX_TREE))).trim();
  }

  /** Adds the plan's hash and, where the journal has no such plan yet, its text. */
  void put(String tree, JsonFields fields) throws GeneralSecurityException {
    String hash = hash(tree);
    fields.put("Plan Hash", hash);
    if (told.add(hash)) {
      fields.put("physicalPlanDescription", redaction.text(tree, MAX_CHARS));
    }
  }

  /** 64 bits of the SHA-256 of the tree without its numbers. */
  private static String hash(String tree) throws GeneralSecurityException {
    byte[] text = NUMBERS.matcher(tree).replaceAll("").getBytes(StandardCharsets.UTF_8);
    byte[] digest = MessageDigest.getInstance("SHA-256").digest(text);
    return String.format("%016x", ByteBuffer.wrap(digest).getLong());
  }
}
