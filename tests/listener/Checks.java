package io.afterglow;

import java.lang.management.ManagementFactory;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.ConcurrentModificationException;
import java.util.List;
import java.util.Random;
import java.util.regex.Pattern;
import org.apache.spark.SparkConf;
import org.apache.spark.scheduler.JobSucceeded$;
import org.apache.spark.scheduler.SparkListenerJobEnd;
import org.apache.spark.scheduler.TaskInfo;
import org.apache.spark.scheduler.TaskLocality;

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
    whatIsOverTheHoldIsTakenAndWhatIsNotWaits();
    whatIsVitalWaitsForNothing();
    whatIsDroppedForSomethingElseTakesNothingInAnyMore();
    aFullJournalStillTakesEnds();
    quantilesAreAThirtySecondOffAtMost();
    theBinsAreThoseOfTheDocs();
    theSlowestTasksAreTheSlowest();
    tokensAreKnownByTheirShape();
    aPlanIsCutToItsOperators();
    repeatedErrorsSwitchOff();
    onlyUntaggedJobsInsideOfARunAreMentioned();
    ofManyUntaggedJobsTheLastAreKept();
    anEventThatChangesUnderOurHandsIsReadAgain();
    aSecretIsReadFromTheHomeFolder();
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
    long start = processorNanos();
    for (String part : new String[] {"a", "-", "--", "a=", "a.", "://", "a://", "a://@", "\\", "\"", "token=", "token='", " ", "bearer ", "eyJ", "eyJa.", "AKIA", "ghp_"}) {
      REDACTION.text(repeat(part, 1_000_000 / part.length()), 500_000);
    }
    double seconds = (processorNanos() - start) / 1e9;
    check(seconds < 10, "13 megabytes of nasty text took " + seconds + " s of the processor");
  }

  /** Of this thread: the machine may do other things, too. */
  private static long processorNanos() {
    return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
  }

  private static void aSecretThatTheCutGoesThroughIsGone() {
    equal(repeat("x", 90) + " http://**", REDACTION.text(repeat("x", 90) + " http://user:hunter2@host", 100));
  }

  private static void whatIsOverTheHoldIsTakenAndWhatIsNotWaits() {
    EventQueue queue = new EventQueue(new Health(), 1_000);
    queue.offer(Rank.FACT, line(1));
    check(queue.poll(System.nanoTime() - 1_000_000_000L) == null, "a second has not passed");
    check(queue.poll(System.nanoTime() + 1) != null, "but a nanosecond has");
    queue.offer(Rank.FACT, line(100));
    queue.offer(Rank.FACT, line(200));
    check(queue.poll(System.nanoTime() - 1_000_000_000L) != null, "a queue that fills up is emptied");
  }

  private static void whatIsVitalWaitsForNothing() {
    EventQueue queue = new EventQueue(new Health(), 1_000);
    queue.offer(Rank.FACT, line(1));
    queue.offer(Rank.VITAL, line(1));
    queue.offer(Rank.FACT, line(1));
    long longAgo = System.nanoTime() - 1_000_000_000L;
    equal(0L, queue.poll(longAgo).order);
    equal(1L, queue.poll(longAgo).order);
    check(queue.poll(longAgo) == null, "what came after it has time");
  }

  private static void whatIsDroppedForSomethingElseTakesNothingInAnyMore() {
    EventQueue queue = new EventQueue(new Health(), 1_000);
    boolean[] lost = new boolean[1];
    Line plan =
        new Line() {
          @Override
          public int weight() {
            return 900;
          }

          @Override
          public void lost() {
            lost[0] = true;
          }

          @Override
          public void appendTo(StringBuilder line, Trimmer trimmer) {}
        };
    queue.offer(Rank.PLAN, plan);
    queue.offer(Rank.VITAL, line(200));
    check(lost[0], "told that it is lost");
  }

  private static void aFullJournalStillTakesEnds() {
    JournalLimit limit = new JournalLimit(1_600);
    check(limit.allows(Rank.PLAN, 1_499) && !limit.allows(Rank.PLAN, 1_500), "plans stop first");
    check(limit.allows(Rank.FACT, 1_599) && !limit.allows(Rank.FACT, 1_600), "the rest at the limit");
    check(limit.allows(Rank.VITAL, 1_699) && !limit.allows(Rank.VITAL, 1_700), "ends have a reserve");
  }

  private static void quantilesAreAThirtySecondOffAtMost() {
    Random random = new Random(7);
    for (int spread : new int[] {1, 20, 1_000, 1_000_000, Integer.MAX_VALUE}) {
      Histogram histogram = new Histogram();
      long[] values = new long[10_001];
      for (int i = 0; i < values.length; i++) {
        values[i] = i % 5 == 0 ? 0 : (long) Math.pow(spread, random.nextDouble()) * (i % 3 == 0 ? 1 : 40);
        histogram.add(values[i]);
      }
      Arrays.sort(values);
      for (int percent : new int[] {25, 50, 75, 95, 99, 100}) {
        long exact = values[(values.length * percent + 99) / 100 - 1];
        double off = Math.abs(histogram.quantile(percent) - exact) / (double) Math.max(1, exact);
        check(off <= 1.0 / 32, percent + " % of " + spread + " is " + off + " off");
      }
    }
  }

  private static void theBinsAreThoseOfTheDocs() {
    for (long value = 0; value < 32; value++) {
      equal((int) value, Histogram.bin(value));
      equal(value, Histogram.middle((int) value));
    }
    equal(32, Histogram.bin(33));
    equal(33, Histogram.bin(34));
    equal(48, Histogram.bin(64));
    equal(33L, Histogram.middle(32));
    equal(66L, Histogram.middle(48));
    equal(58 * 16 + 31, Histogram.bin(Long.MAX_VALUE));
  }

  private static void theSlowestTasksAreTheSlowest() {
    SlowTasks slowest = new SlowTasks();
    for (int i : new int[] {3, 9, 1, 7, 8, 2}) {
      slowest.add(task(i), i, 10 * i);
    }
    StringBuilder json = new StringBuilder();
    slowest.put(json);
    equal("[[9,0,\"1\",\"host\",9,90],[8,0,\"1\",\"host\",8,80],[7,0,\"1\",\"host\",7,70]]", json.toString());
  }

  private static TaskInfo task(int index) {
    return new TaskInfo(index, index, 0, 0, "1", "host", TaskLocality.ANY(), false);
  }

  private static void tokensAreKnownByTheirShape() {
    for (String secret :
        new String[] {
          "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4",
          "AKIAIOSFODNN7EXAMPLE",
          "ghp_0123456789abcdefghijABCDEFGHIJ012345",
          "dapi0123456789abcdef0123456789abcdef",
          "xoxb-123456789012-abcdefghijkl",
        }) {
      equal("see " + Redaction.REDACTED + ", and more", REDACTION.text("see " + secret + ", and more", 1_000));
    }
    equal(Redaction.REDACTED, REDACTION.property("my.tokenizer.password", "s3cr3t", 1_000));
    equal("bert", REDACTION.property("my.tokenizer", "bert", 1_000));
    equal("Authorization: Bearer " + Redaction.REDACTED, REDACTION.text("Authorization: Bearer s3cr3t-x", 1_000));
    for (String innocent :
        new String[] {"the bearer of instruments", "eyJ", "dapihost", "xoxo-love", "SELECT token_count = 5", "max_tokens=5"}) {
      equal(innocent, REDACTION.text(innocent, 1_000));
    }
  }

  private static void aPlanIsCutToItsOperators() {
    String plan = "== Physical Plan ==\nAdaptiveSparkPlan (9)\n+- == Final Plan ==\n   * Project (4)\n+- == Initial Plan ==\n"
        + "   Project (8)\n\n\n(1) Scan";
    equal("AdaptiveSparkPlan (9)\n+- == Final Plan ==\n   * Project (4)", Plans.tree(plan));
    equal("Scan", Plans.tree("Scan"));
    equal("", Plans.tree(""));
  }

  private static void aSecretIsReadFromTheHomeFolder() throws Exception {
    Path home = Files.createTempDirectory("home");
    Files.write(home.resolve("secret"), "s3\n".getBytes(StandardCharsets.UTF_8));
    String before = System.setProperty("user.home", home.toString());
    SparkConf conf = new SparkConf(false).set("spark.afterglow.collector.secretFile", "~/secret");
    equal("s3", new CollectorSettings(conf, Collections.emptyMap()).secret());
    System.setProperty("user.home", before);
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
      seqs.add(next.order);
    }
    return seqs;
  }

  private static String repeat(String text, int times) {
    return String.join("", Collections.nCopies(times, text));
  }

  private static void anEventThatChangesUnderOurHandsIsReadAgain() throws Exception {
    check(SparkJson.find().of(new Changing(2)).contains("\"Job ID\":7"), "the third try finds it at rest");
    try {
      SparkJson.find().of(new Changing(3));
      check(false, "there is no fourth one");
    } catch (InvocationTargetException e) {
      check(e.getCause() instanceof ConcurrentModificationException, "the event alone is lost");
    }
  }

  private static final class Changing extends SparkListenerJobEnd {
    private static final long serialVersionUID = 1L;
    private int times;

    Changing(int times) {
      super(7, 1L, JobSucceeded$.MODULE$);
      this.times = times;
    }

    @Override
    public int jobId() {
      if (times-- > 0) {
        throw new ConcurrentModificationException();
      }
      return super.jobId();
    }
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
