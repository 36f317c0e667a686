package io.afterglow;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.regex.Pattern;

/** Promises of the listener's parts that no Spark driver shows on demand. Exits with an error at the first broken one. */
final class Checks {
  private static final Redaction REDACTION = new Redaction(Pattern.compile("(?i)secret|password|token"));

  public static void main(String[] arguments) throws Exception {
    aFullQueueGivesUpPlansForFacts();
    theQueueKeepsTheOrderAcrossRanks();
    aLineLargerThanTheQueueThrowsNobodyOut();
    theReaderPassesAnyDepthWithoutRecursion();
    theReaderUnescapes();
    theReaderRefusesWhatIsNotJson();
    quotedTextReadsBackAsItWas();
    redactingTwiceChangesNothing();
    redactionIsLinear();
    aSecretThatTheCutGoesThroughIsGone();
    repeatedErrorsSwitchOff();
    onlyUntaggedJobsInsideOfARunAreMentioned();
    ofManyUntaggedJobsTheLastAreKept();
  }

  private static void aFullQueueGivesUpPlansForFacts() {
    Health health = new Health();
    EventQueue queue = new EventQueue(health, 1_000);
    for (int i = 0; i < 10; i++) {
      check(queue.offer(Rank.PLAN, line(100)), "room for ten plans");
    }
    check(!queue.offer(Rank.PLAN, line(100)), "none for an eleventh");
    check(queue.offer(Rank.FACT, line(250)), "but for a fact");
    equal(1L + 3L, health.dropped());
    equal(Arrays.asList(3L, 4L, 5L, 6L, 7L, 8L, 9L, 11L), drain(queue));
  }

  private static void theQueueKeepsTheOrderAcrossRanks() {
    EventQueue queue = new EventQueue(new Health(), 1_000);
    for (int i = 0; i < 6; i++) {
      queue.offer(i % 3 == 0 ? Rank.PLAN : Rank.FACT, line(1));
    }
    equal(-1L, queue.polledThrough());
    queue.poll();
    equal(0L, queue.polledThrough());
    equal(Arrays.asList(1L, 2L, 3L, 4L, 5L), drain(queue));
    equal(5L, queue.polledThrough());
  }

  private static void aLineLargerThanTheQueueThrowsNobodyOut() {
    Health health = new Health();
    EventQueue queue = new EventQueue(health, 1_000);
    queue.offer(Rank.PLAN, line(900));
    check(!queue.offer(Rank.FACT, line(1_001)), "too large");
    equal(1L, health.dropped());
    equal(Collections.singletonList(0L), drain(queue));
  }

  private static void theReaderPassesAnyDepthWithoutRecursion() {
    String deep = repeat("[{\"a\":", 1_000_000) + "1" + repeat("}]", 1_000_000);
    check(RecordedLine.accepts("{\"Event\":\"AfterglowX\",\"a\":\"" + repeat("\\\"", 1_000_000) + "\"}"), "long");
    JsonReader reader = new JsonReader("{\"drop\":" + deep + ",\"keep\":2}");
    reader.enter('{');
    equal("drop", reader.nextKey());
    reader.skip();
    equal("keep", reader.nextKey());
    equal("2", reader.raw());
  }

  private static void theReaderUnescapes() {
    equal("a\"\\/\b\f\n\r\té🍷", new JsonReader("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83c\\udf77\"").string());
  }

  private static void theReaderRefusesWhatIsNotJson() {
    for (String text : new String[] {"", "\"", "\"a", "{", "[1", "{\"a\"", "{\"a\":", "\"\\", ",", "\"a\nb\""}) {
      try {
        new JsonReader(text).skip();
        throw new AssertionError("taken: " + text);
      } catch (JsonReader.Malformed e) {
        // As it should be.
      }
    }
  }

  private static void quotedTextReadsBackAsItWas() {
    StringBuilder all = new StringBuilder();
    for (char c = 0; c < 0x3000; c++) {
      all.append(c);
    }
    all.append("🍷").append('\ud83c').append("x").append('\udf77');
    String quoted = JsonFields.quote(new StringBuilder(), all.toString()).toString();
    check(quoted.chars().allMatch(c -> c >= ' '), "no control character is written as it is");
    equal(all.toString(), new JsonReader(quoted).string());
  }

  private static void redactingTwiceChangesNothing() {
    for (String text :
        new String[] {"http://u:p@h/?token=x", "--token x y", "\"token\": \"x\"", "token = 'a b'", "token='a\\'b' c"}) {
      String once = REDACTION.text(text, 1_000);
      check(once.contains(Redaction.REDACTED), once);
      equal(once, REDACTION.text(once, 1_000));
    }
  }

  private static void redactionIsLinear() {
    long start = System.nanoTime();
    for (String part : new String[] {"a", "-", "--", "a=", "a.", "://", "a://", "a://@", "\\", "\"", "token=", "token='", " "}) {
      REDACTION.text(repeat(part, 1_000_000 / part.length()), 500_000);
    }
    double seconds = (System.nanoTime() - start) / 1e9;
    check(seconds < 10, "13 megabytes of nasty text took " + seconds + " s");
  }

  private static void aSecretThatTheCutGoesThroughIsGone() {
    equal(repeat("x", 90) + " http://**", REDACTION.text(repeat("x", 90) + " http://user:hunter2@host", 100));
  }

  private static void repeatedErrorsSwitchOff() {
    Health health = new Health();
    for (int i = 0; i < 10; i++) {
      check(health.on(), "still on after " + i);
      health.error(new StackOverflowError());
    }
    check(!health.on(), "off after ten");
  }

  private static void onlyUntaggedJobsInsideOfARunAreMentioned() {
    UntaggedJobs jobs = new UntaggedJobs(new Health());
    jobs.jobStarted(99);
    jobs.jobStarted(100);
    jobs.recorded(runEvent("Start", "a", 100, "tag"));
    jobs.recorded(runEvent("Start", "b", 110, "client"));
    jobs.jobStarted(120);
    jobs.recorded(runEvent("End", "b", 130, "client"));
    check(!jobs.said(), "a client's run is active in no thread");
    jobs.recorded(runEvent("End", "c", 135, "tag"));
    check(!jobs.said(), "a run that nobody saw begin");
    jobs.recorded(runEvent("Start", "d", 130, "resumed"));
    jobs.jobStarted(140);
    jobs.recorded(runEvent("End", "d", 140, "resumed"));
    check(!jobs.said(), "jobs before and after a run");
    jobs.recorded("{\"Event\":\"AfterglowRunEnd\",\"Timestamp\":\"x\",\"Run ID\":3}");
    jobs.recorded(runEvent("End", "a", 150, "tag"));
    check(jobs.said(), "jobs inside of a run");
  }

  private static void ofManyUntaggedJobsTheLastAreKept() {
    UntaggedJobs jobs = new UntaggedJobs(new Health());
    for (int time = 0; time < 3_000; time++) {
      jobs.jobStarted(time);
    }
    jobs.recorded(runEvent("Start", "early", 10, "tag"));
    jobs.recorded(runEvent("End", "early", 20, "tag"));
    check(!jobs.said(), "forgotten");
    jobs.recorded(runEvent("Start", "late", 2_500, "tag"));
    jobs.recorded(runEvent("End", "late", 2_600, "tag"));
    check(jobs.said(), "kept");
  }

  private static String runEvent(String what, String run, long time, String source) {
    return "{\"Event\":\"AfterglowRun" + what + "\",\"Timestamp\":" + time + ",\"Run ID\":\"" + run
        + "\",\"Application\":{\"App ID\":\"x\"},\"Source\":\"" + source + "\",\"Run\":{}}";
  }

  private static Line line(int weight) {
    return new Line() {
      @Override
      public int weight() {
        return weight;
      }

      @Override
      public void appendTo(StringBuilder line, Trimmer trimmer) {}
    };
  }

  private static List<Long> drain(EventQueue queue) {
    List<Long> seqs = new ArrayList<>();
    for (QueuedLine next = queue.poll(); next != null; next = queue.poll()) {
      seqs.add(next.seq);
    }
    return seqs;
  }

  private static String repeat(String text, int times) {
    return String.join("", Collections.nCopies(times, text));
  }

  private static void equal(Object wanted, Object got) {
    check(wanted.equals(got), "wanted " + wanted + ", got " + got);
  }

  private static void check(boolean holds, String what) {
    if (!holds) {
      throw new AssertionError(what);
    }
  }
}
