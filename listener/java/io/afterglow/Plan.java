package io.afterglow;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.regex.Pattern;

/** As much of a plan's tree of operators as is needed to tell it; of a long one its hash and its beginning. */
final class Plan {
  private static final String HEADING = "== Physical Plan ==\n";
  private static final int MAX_TREE = 100_000; // characters, of which a hash is made
  private static final int MAX_KEPT = 8_000;
  /** What differs from one execution of a query to the next. */
  private static final Pattern NUMBERS = Pattern.compile("#\\d++L?+|plan_id=\\d++");

  private final String hash; // null: of all that is kept
  private final String tree;

  private Plan(String hash, String tree) {
    this.hash = hash;
    this.tree = tree;
  }

  /** Of Spark's text, or of its head. */
  static Plan of(String text) {
    String tree = tree(text);
    return tree.length() <= MAX_KEPT ? new Plan(null, tree) : new Plan(hash(tree), tree.substring(0, MAX_KEPT));
  }

  /** All of Spark's text that a plan is made of: it may have megabytes. */
  static String head(String text) {
    int most = HEADING.length() + MAX_TREE;
    return text.length() > most ? text.substring(0, most) : text;
  }

  String hash() {
    return hash == null ? hash(tree) : hash;
  }

  String tree() {
    return tree;
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

  /** 64 bits of the SHA-256 of the tree without its numbers. */
  private static String hash(String tree) {
    byte[] text = NUMBERS.matcher(tree).replaceAll("").getBytes(StandardCharsets.UTF_8);
    try {
      byte[] digest = MessageDigest.getInstance("SHA-256").digest(text);
      return String.format("%016x", ByteBuffer.wrap(digest).getLong());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e); // every Java has it
    }
  }
}
