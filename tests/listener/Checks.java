package io.afterglow;

import com.sun.net.httpserver.HttpServer;
import java.lang.management.ManagementFactory;
import java.lang.ref.WeakReference;
import java.lang.reflect.InvocationTargetException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.ConcurrentModificationException;
import java.util.Iterator;
import java.util.List;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.apache.spark.SparkConf;
import org.apache.spark.Success$;
import org.apache.spark.executor.ExecutorMetrics;
import org.apache.spark.executor.TaskMetrics;
import org.apache.spark.scheduler.JobSucceeded$;
import org.apache.spark.scheduler.SparkListenerApplicationEnd;
import org.apache.spark.scheduler.SparkListenerJobEnd;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.StageInfo;
import org.apache.spark.scheduler.TaskInfo;
import org.apache.spark.scheduler.TaskLocality;
import org.apache.spark.sql.execution.SparkPlanInfo;
import org.apache.spark.sql.execution.ui.SparkListenerSQLAdaptiveExecutionUpdate;
import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionEnd;
import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart;
import scala.Option;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;

/** Promises of the listener's parts that no Spark driver shows on demand. Exits with an error at the first broken one. */
final class Checks {
  private static final Redaction REDACTION = new Redaction(Pattern.compile("(?i)secret|password|token"), false);

  public static void main(String[] arguments) throws Exception {
    AfterglowListener over = oneThatIsOver(); // for some seconds, by the end of all this
    Path left = Paths.get(over.journal());
    aFullQueueGivesUpPlansAndNoEvent();
    aFullQueueGivesUpFactsForWhatIsVital();
    aPlanThatFindsNoRoomCostsItsEventNothing();
    whatIsLostIsCountedInEvents();
    whatTheHookStillHasIsNoLossNorIsABeat();
    aJobTellsItsStagesUnlessTheyWereCountedAsLost();
    whatWasLostIsNotTakenForTold();
    theSumsOfALineThatWasLostAreToldByTheNext();
    ofManyRunningJobsTheLastAreTold();
    jobsAndStagesWhoseEndsWereLostTakeLittleMemory();
    queriesWhoseEndsWereLostTakeLittleMemory();
    anEndThatWaitsDoesNotKeepItsQuery();
    aLongPlanHasTheHashOfAllOfIt();
    whateverWritesIsKnownByWhatSparkSaysOfIt();
    aRegexOfTheUserSIsHeldAgainstTheWholeKey();
    onlyTheValueGoes();
    theHostIsKnownWithoutANameServer();
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
    anEventIsMeasuredInBytes();
    aLongJobIsToldWithoutItsStagesWhichAreCounted();
    whatIsDroppedOfAFileLeavesAllElseInItsPlace();
    aJournalAtItsSizeStillBeatsAndEnds();
    noErrorLeavesACallbackNotEvenThatOfItsDescription();
    anUploaderGoesOnAfterAnyError();
    anUploaderThatCannotBeginLetsTheJournalEnd();
    quantilesAreAThirtySecondOffAtMost();
    theBinsAreThoseOfTheDocs();
    theSlowestTasksAreTheSlowest();
    tokensAreKnownByTheirShape();
    aPlanIsCutToItsOperators();
    repeatedErrorsEndTheListening();
    onlyUntaggedJobsInsideOfARunAreMentioned();
    ofManyUntaggedJobsTheLastAreKept();
    anEventThatChangesUnderOurHandsIsReadAgain();
    aSecretIsReadFromTheHomeFolder();
    aJournalIsClosedSomeTimeAfterItsApplication(over, left);
  }

  private static void whatWasLostIsNotTakenForTold() throws Exception {
    Plans plans = new Plans(REDACTION);
    check(told(plans, "Scan a"), "at first");
    check(!told(plans, "Scan a"), "but once");
    plans.forget();
    check(told(plans, "Scan a"), "and again when that was lost");
    TaskSums sums = new TaskSums(1, 0, null);
    StageLine submitted = new StageLine(stage(1, 2), sums, null);
    submitted.close();
    String name = "\"collect at job.py:1\"";
    check(!text(StageLine.ended(ended(1, 2), sums, submitted)).contains(name), "its name was told");
    submitted.lost();
    check(text(StageLine.ended(ended(1, 2), sums, submitted)).contains(name), "but not, if that was lost");
  }

  private static boolean told(Plans plans, String plan) {
    StringBuilder line = new StringBuilder();
    plans.put(Plan.of(plan), new JsonFields(line));
    return line.indexOf(plan) >= 0;
  }

  private static void theSumsOfALineThatWasLostAreToldByTheNext() {
    TaskSums sums = new TaskSums(1, 0, null);
    sums.waiting.set(true);
    new StageTasksLine(sums).lost();
    check(!sums.waiting.get(), "nothing waits");
    sums.add(taskEnd(1, 5));
    sums.add(taskEnd(1, 9));
    StageLine open = new StageLine(stage(1, 2), sums, null);
    open.lost();
    check(json(sums).contains("Skew"), "the end will tell it");
    StageLine.ended(ended(1, 2), sums, null).lost();
    check(!json(sums).contains("Skew"), "nobody will");
  }

  private static void ofManyRunningJobsTheLastAreTold() {
    RunningJobs jobs = new RunningJobs();
    StringBuilder none = new StringBuilder();
    jobs.put(none);
    equal("[]", none.toString());
    for (int id = 0; id < 600; id++) {
      jobs.start(new SparkListenerJobStart(id, 1L, seq(stage(id, 3)), new Properties()));
    }
    StringBuilder all = new StringBuilder();
    jobs.put(all);
    check(all.toString().startsWith("[[500,0,1,0,3],[501,") && all.toString().endsWith(",[599,0,1,0,3]]"), all.toString());
    check(jobs.ofStage(99) == null && jobs.end(99) == null, "the oldest went");
    check(jobs.ofStage(100) != null && jobs.end(100) != null && jobs.ofStage(100) == null, "the others end");
  }

  /** Half of 5,000 jobs end, whose properties hold a configuration of 20 KB each, as those of queries do. */
  private static void jobsAndStagesWhoseEndsWereLostTakeLittleMemory() throws Exception {
    JobEvents events = new JobEvents(new RunningJobs(), new Health(), Checks::tell);
    long before = liveBytes();
    for (int id = 0; id < 5_000; id++) {
      StageInfo first = stage(2 * id, 20);
      StageInfo second = stage(2 * id + 1, 20);
      events.jobStarted(new SparkListenerJobStart(id, 1L, seq(first, second), configuration()));
      for (StageInfo stage : Arrays.asList(first, second)) {
        events.stageSubmitted(stage);
        for (int task = 0; task < 20; task++) {
          events.taskEnded(taskEnd(stage.stageId(), 1 << task));
        }
        if (id % 2 == 0) {
          events.stageCompleted(ended(stage.stageId(), 20));
        }
      }
      if (id % 2 == 0) {
        events.jobEnded(new SparkListenerJobEnd(id, 9L, JobSucceeded$.MODULE$));
      }
    }
    long taken = liveBytes() - before;
    events.addUp(); // it is still in use
    check(taken < 10 << 20, "jobs and stages took " + taken + " bytes");
  }

  private static void queriesWhoseEndsWereLostTakeLittleMemory() throws Exception {
    SqlEvents events = new SqlEvents(Checks::tell);
    long before = liveBytes();
    for (int id = 0; id < 700; id++) {
      String plan = "== Physical Plan ==\n" + repeat("* Project (" + id + ")\n", 25_000);
      events.take(query(id, plan));
      events.take(new SparkListenerSQLAdaptiveExecutionUpdate(id, plan + "x", PLAN_INFO));
    }
    long taken = liveBytes() - before;
    events.addUp();
    check(taken < 12 << 20, "queries took " + taken + " bytes");
  }

  /** Spark's event of it holds the whole query, with all its plans. */
  private static void anEndThatWaitsDoesNotKeepItsQuery() {
    List<Line> waiting = new ArrayList<>();
    SqlEvents events = new SqlEvents(waiting::add);
    SparkListenerSQLExecutionEnd end = new SparkListenerSQLExecutionEnd(1, 2L, Option.empty(), Option.empty());
    WeakReference<Object> query = new WeakReference<>(end);
    events.take(end);
    end = null;
    System.gc();
    check(waiting.size() == 1 && query.get() == null, "the line waits, the event is gone");
  }

  private static final SparkPlanInfo PLAN_INFO = planInfo("Project", "Project [a]");

  private static SparkPlanInfo planInfo(String name, String text) {
    return new SparkPlanInfo(name, text, seq(), scala.collection.immutable.Map$.MODULE$.empty(), seq());
  }

  private static SparkListenerSQLExecutionStart query(long id, String plan) {
    return new SparkListenerSQLExecutionStart(id, Option.empty(), "count", "", plan, PLAN_INFO, 1L,
        scala.collection.immutable.Map$.MODULE$.empty(), scala.collection.immutable.Set$.MODULE$.empty(), Option.empty(),
        Option.empty());
  }

  private static Properties configuration() {
    Properties all = new Properties();
    for (int i = 0; i < 200; i++) {
      all.setProperty("spark.some.key." + i, repeat("v" + i, 25));
    }
    all.setProperty("spark.job.description", repeat("a very long query ", 1_000));
    return all;
  }

  private static long liveBytes() {
    System.gc();
    return ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed();
  }

  /** As the journal's thread does, at once. */
  private static boolean tell(Line line) {
    try {
      if (line.close()) {
        text(line);
      }
      return true;
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }

  private static String text(Line line) throws Exception {
    StringBuilder text = new StringBuilder();
    line.appendTo(text, new Trimmer(SparkJson.find(), REDACTION));
    return text.toString();
  }

  private static String json(TaskSums sums) {
    StringBuilder json = new StringBuilder();
    sums.put(json, "{");
    return json.toString();
  }

  private static StageInfo stage(int id, int tasks) {
    return new StageInfo(id, 0, "collect at job.py:" + id, tasks, seq(), seq(), "", new TaskMetrics(), seq(),
        Option.empty(), 0, false, 0);
  }

  private static StageInfo ended(int id, int tasks) {
    StageInfo stage = stage(id, tasks);
    stage.submissionTime_$eq(Option.apply((Object) 1L));
    stage.completionTime_$eq(Option.apply((Object) 8L));
    return stage;
  }

  private static SparkListenerTaskEnd taskEnd(int stage, long took) {
    TaskInfo task = task(1);
    task.markFinished(org.apache.spark.TaskState.FINISHED(), took);
    return new SparkListenerTaskEnd(stage, 0, "ResultTask", Success$.MODULE$, task, new ExecutorMetrics(), new TaskMetrics());
  }

  @SafeVarargs
  private static <T> Seq<T> seq(T... items) {
    return CollectionConverters.asScala(Arrays.asList(items)).toList();
  }

  private static void aLongPlanHasTheHashOfAllOfIt() {
    String same = repeat("Project #12L plan_id=3\n", 1_000);
    equal(Plan.of(same + "a").hash(), Plan.of(same.replace("12L", "13") + "a").hash());
    check(!Plan.of(same + "a").hash().equals(Plan.of(same + "b").hash()), "they differ at their end");
    String long_ = repeat("x", 300_000);
    equal(Plan.of(long_).hash(), Plan.of(Plan.head(long_)).hash());
    check(Plan.of(long_).tree().length() <= 8_000, "and little of it is kept");
  }

  /** What tests/test_skew_and_plans.py has no real one of; as the projects' own sources and logs have it. */
  private static void whateverWritesIsKnownByWhatSparkSaysOfIt() throws Exception {
    String hive = "`spark_catalog`.`default`.`t`, org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe, [dt=Some(2025-01-01)], "
        + "true, false, [a]";
    equal("[{\"Format\":\"hive\",\"Table\":\"spark_catalog.default.t\"}]", outputs("Execute InsertIntoHiveTable " + hive));
    String lambda = "org.apache.spark.sql.execution.datasources.v2.DataSourceV2Strategy$$Lambda$2293/1470843699@46290193, ";
    equal(
        "[{\"Format\":\"iceberg\",\"Table\":\"local.db.t\"}]",
        outputs("AppendData " + lambda + "IcebergWrite(table=local.db.t, format=PARQUET)"));
    equal(
        "[{\"Format\":\"delta\",\"Path\":\"s3://lake/t\"}]",
        outputs("Execute SaveIntoDataSourceCommand org.apache.spark.sql.delta.sources.DeltaDataSource@1b, [a=b, path=s3://lake/t], Append"));
    equal(
        "[{\"Format\":\"snowflake\",\"Table\":\"T\"}]",
        outputs("Execute SaveIntoDataSourceCommand net.snowflake.spark.snowflake.DefaultSource@1b, Map(dbtable -> T), Append"));
    equal("[{\"Table\":\"local.db.t\"}]", inputs("BatchScan local.db.t[filters=a = 'b/c']"));
    equal("[{\"Table\":\"local.db.t\"}]", inputs("BatchScan local.db.t (branch=null) [filters=]"));
    equal("[{\"Format\":\"hive\",\"Table\":\"default.t\"}]", inputs("Scan hive default.t"));
  }

  private static String outputs(String text) throws Exception {
    return files("Outputs", planInfo(text.replaceFirst("(Execute \\w+|\\w+).*", "$1"), text));
  }

  private static String inputs(String name) throws Exception {
    return files("Inputs", planInfo(name, name));
  }

  private static String files(String key, SparkPlanInfo plan) throws Exception {
    PlanFiles files = new PlanFiles(REDACTION);
    files.read(plan);
    StringBuilder json = new StringBuilder();
    files.put(new JsonFields(json));
    return json.toString().replace(",\"" + key + "\":", "");
  }

  private static void aRegexOfTheUserSIsHeldAgainstTheWholeKey() {
    Redaction own = new Redaction(Pattern.compile("(?i)tokenizer"), true);
    equal(Redaction.REDACTED, own.property("my.tokenizer", "bert", 1_000));
    equal("--tokenizer " + Redaction.REDACTED + " --x y", own.text("--tokenizer bert --x y", 1_000));
    equal("bert", REDACTION.property("my.tokenizer", "bert", 1_000));
    equal("a.Tokenizer", own.text("a.Tokenizer", 1_000));
  }

  /** As tests/test_redaction.py has it of the same rules in Python. */
  private static void onlyTheValueGoes() {
    String[][] cases = {
      {"{\"pin_token\": 4711, \"b\": -1}", "{\"pin_token\": \"GONE\", \"b\": -1}"},
      {"{\"tokens\": [[1], {\"a\": \"]\"}]} b", "{\"tokens\": \"GONE\"} b"},
      {"{'token': {'a': 'x'}, 'b': None}", "{'token': 'GONE', 'b': None}"},
      {"{\"token\": [1, \"never closed", "{\"token\": \"GONE\""},
      {"\"all\": \"{\\\"pin_token\\\": 4711}\"", "\"all\": \"{\\\"pin_token\\\": \\\"GONE\\\"}\""},
      {"{\\\"tokens\\\": [\\\"a\\\"], \\\"b\\\": 1}", "{\\\"tokens\\\": \\\"GONE\\\", \\\"b\\\": 1}"},
      {"Map(password -> a(b)c, x -> y)", "Map(password -> GONE, x -> y)"},
      {"Map(x -> Map(password -> a)) b", "Map(x -> Map(password -> GONE)) b"},
      {"Map(token -> a1b2, x -> y)", "Map(token -> GONE, x -> y)"},
      {"Authorization: Basic dXNlcjpwYXNz, more", "Authorization: Basic GONE, more"},
      {"WHERE \"token\" = 5", "WHERE \"token\" = 5"},
      {"SELECT token ->> 'x', secret -> 'y'", "SELECT token ->> 'x', secret -> 'GONE'"},
      {"OPTIONS (user 'me', `password` 'x', 'secret' \"y\")", "OPTIONS (user 'me', `password` 'GONE', 'secret' \"GONE\")"},
    };
    for (String[] each : cases) {
      String wanted = each[1].replace("GONE", Redaction.REDACTED);
      equal(wanted, REDACTION.text(each[0], 1_000));
      equal(wanted, REDACTION.text(wanted, 1_000));
    }
  }

  private static void theHostIsKnownWithoutANameServer() throws Exception {
    System.setProperty("jdk.net.hosts.file", Files.createTempFile("hosts", "").toString()); // knows no name at all
    check(!HostName.own(Collections.emptyMap()).isEmpty(), "the machine knows its name");
  }

  private static void aFullQueueGivesUpPlansAndNoEvent() {
    Health health = new Health();
    EventQueue queue = new EventQueue(health, 1_000);
    List<PlanLine> plans = new ArrayList<>();
    for (int i = 0; i < 5; i++) {
      plans.add(new PlanLine());
      check(queue.offer(Rank.FACT, plans.get(i)), "room for five plans");
    }
    check(queue.offer(Rank.FACT, line(250)), "and for a fact");
    check(!plans.get(0).heavy() && !plans.get(1).heavy() && plans.get(2).heavy(), "the oldest have no plan any more");
    equal(0L, health.dropped());
    equal(Arrays.asList(0L, 1L, 2L, 3L, 4L, 5L), drain(queue));
    check(queue.offer(Rank.FACT, line(1_000)), "all room is given back");
  }

  private static void aFullQueueGivesUpFactsForWhatIsVital() {
    Health health = new Health();
    EventQueue queue = new EventQueue(health, 1_000);
    for (int i = 0; i < 10; i++) {
      queue.offer(Rank.FACT, line(100));
    }
    check(!queue.offer(Rank.FACT, line(100)), "no room for an eleventh");
    check(queue.offer(Rank.VITAL, line(250)), "but for a run");
    check(queue.offer(Rank.END, line(800)), "and the end");
    equal(1L + 3L + 7L + 1L, health.dropped());
    equal(Arrays.asList(11L), drain(queue));
  }

  private static void aPlanThatFindsNoRoomCostsItsEventNothing() {
    Health health = new Health();
    EventQueue queue = new EventQueue(health, 1_000);
    PlanLine huge = new PlanLine();
    huge.weight = 5_000;
    queue.offer(Rank.FACT, line(900));
    check(queue.offer(Rank.FACT, huge), "without its plan it is small");
    check(!huge.heavy(), "which it has given up");
    equal(Arrays.asList(0L, 1L), drain(queue));
    equal(0L, health.dropped());
  }

  private static void whatTheHookStillHasIsNoLossNorIsABeat() {
    Health health = new Health();
    EventQueue queue = new EventQueue(health, 1_000);
    queue.offer(Rank.FACT, line(1_000));
    check(!queue.offerOrKeep(Rank.FACT, line(100)), "no room");
    equal(0L, health.dropped());
    check(queue.offer(Rank.VITAL, line(100)), "but for a run");
    equal(1L, health.dropped());
    equal(Arrays.asList(1L), drain(queue));
    queue.offer(Rank.FACT, new RecordedLine("{\"Event\":\"AfterglowHeartbeat\",\"Dropped\":0}"));
    queue.offer(Rank.FACT, AfterglowLine.beat(fields -> {}));
    queue.offer(Rank.VITAL, line(1_000));
    equal(1L, health.dropped());
  }

  private static void whatIsLostIsCountedInEvents() {
    Health health = new Health();
    EventQueue queue = new EventQueue(health, 1_000);
    queue.offer(Rank.FACT, events(400, 4, true)); // as a job with its end and a stage
    queue.offer(Rank.FACT, events(400, 2, false)); // as a stage that its job tells
    queue.offer(Rank.VITAL, line(1_000));
    equal(4L, health.dropped());
    queue.offer(Rank.FACT, events(400, 3, true));
    equal(7L, health.dropped());
  }

  private static void aJobTellsItsStagesUnlessTheyWereCountedAsLost() {
    List<Line> lines = new ArrayList<>();
    JobEvents jobs = new JobEvents(new RunningJobs(), new Health(), lines::add);
    jobAndStage(jobs, 1);
    jobs.jobEnded(new SparkListenerJobEnd(1, 9L, JobSucceeded$.MODULE$));
    equal(2, lines.size());
    check(lines.get(0).close(), "the job tells all four events");
    equal(4, lines.get(0).events());
    check(!lines.get(1).close(), "its stage has no line of its own");
    lines.clear();
    jobAndStage(jobs, 2);
    check(lines.get(1).close(), "here it goes first");
    equal(2, lines.get(1).events());
    lines.get(1).lost();
    jobs.jobEnded(new SparkListenerJobEnd(2, 9L, JobSucceeded$.MODULE$));
    equal(3, lines.size());
    check(lines.get(0).close(), "the job tells of its start");
    equal(1, lines.get(0).events());
    equal(1, lines.get(2).events());
  }

  private static void jobAndStage(JobEvents jobs, int id) {
    StageInfo stage = new StageInfo(id, 0, "count", 1, seq(), seq(), "", new TaskMetrics(), seq(), Option.empty(), 0,
        false, 0);
    jobs.jobStarted(new SparkListenerJobStart(id, 1L, seq(stage), new Properties()));
    stage.submissionTime_$eq(Option.apply((Object) 2L));
    jobs.stageSubmitted(stage);
    stage.completionTime_$eq(Option.apply((Object) 3L));
    jobs.stageCompleted(stage);
  }

  private static void theQueueKeepsTheOrderAcrossRanks() {
    EventQueue queue = new EventQueue(new Health(), 1_000);
    for (int i = 0; i < 6; i++) {
      queue.offer(i % 3 == 0 ? Rank.FACT : i % 3 == 1 ? Rank.END : Rank.VITAL, line(1));
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
    queue.offer(Rank.FACT, line(900));
    check(!queue.offer(Rank.VITAL, line(1_001)), "too large");
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
        new String[] {"http://u:p@h/?token=x", "--token x y", "\"token\": \"x\"", "token = 'a b'", "token='a\\'b' c",
          "{\"token\": 5}", "Map(password -> x)", "(password 'x')", "Basic dXNlcjpwYXNz"}) {
      String once = REDACTION.text(text, 1_000);
      check(once.contains(Redaction.REDACTED), once);
      equal(once, REDACTION.text(once, 1_000));
    }
  }

  private static void redactionIsLinear() {
    long start = processorNanos();
    for (String part : new String[] {"a", "-", "--", "a=", "a.", "://", "a://", "a://@", "\\", "\"", "token=", "token='", " ", "bearer ", "eyJ", "eyJa.", "AKIA", "ghp_", "\"token\":[", "\"token\":{'", "token -> ", "token -> )", "password -> (", "(token '", "( token' '", "basic a"}) {
      REDACTION.text(repeat(part, 1_000_000 / part.length()), 500_000);
    }
    double seconds = (processorNanos() - start) / 1e9;
    check(seconds < 15, "21 megabytes of nasty text took " + seconds + " s of the processor");
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
    queue.offer(Rank.FACT, plan);
    queue.offer(Rank.VITAL, line(200));
    check(lost[0], "told that it is lost");
  }

  private static void aFullJournalStillTakesEnds() {
    JournalLimit limit = new JournalLimit(1_600);
    check(limit.allowsPlans(1_499) && !limit.allowsPlans(1_500), "plans stop first");
    check(limit.allows(Rank.FACT, 1_599) && !limit.allows(Rank.FACT, 1_600), "the rest at the limit");
    check(limit.allows(Rank.VITAL, 1_699) && !limit.allows(Rank.VITAL, 1_700), "runs have a reserve");
    check(limit.allows(Rank.END, 9_999), "an end is always told");
    check(limit.worthDropping(801, 401), "half of what it holds can go");
    check(!limit.worthDropping(800, 800) && !limit.worthDropping(1_600, 800), "too early, or too much to copy");
  }

  private static void anEventIsMeasuredInBytes() throws Exception {
    Health health = new Health();
    Batch batch = new Batch(health, new Trimmer(SparkJson.find(), REDACTION));
    String kanji = repeat("\u6f22", 100_000); // 300,000 bytes
    for (int i = 0; i < 20; i++) {
      batch.add(recorded("{\"Event\":\"AfterglowX\",\"Text\":\"" + kanji + "\"}"));
    }
    check(batch.isEmpty(), "over 256 KiB");
    equal(20L, health.dropped());
    check(health.listening(), "which is no error");
    String run = "{\"text\":\"" + kanji + "\"}";
    batch.add(recorded("{\"Event\":\"AfterglowRunEnd\",\"Run ID\":\"a\",\"Run\":" + run + "}"));
    equal("{\"Event\":\"AfterglowRunEnd\",\"Run ID\":\"a\",\"Seq\":20}\n", text(batch));
    batch.written();
    batch.add(recorded("{\"Event\":\"AfterglowX\",\"Text\":\"" + repeat("\u6f22", 87_000) + "\"}"));
    check(batch.bytes().length > 261_000 && batch.bytes().length <= 256 << 10, "just under it");
  }

  private static void aLongJobIsToldWithoutItsStagesWhichAreCounted() throws Exception {
    Health health = new Health();
    Batch batch = new Batch(health, new Trimmer(SparkJson.find(), REDACTION));
    Line job =
        new Line() {
          @Override
          public int weight() {
            return 1;
          }

          @Override
          public int events() {
            return 2 + 2 * 3;
          }

          @Override
          public void appendTo(StringBuilder line, Trimmer trimmer) {
            line.append(repeat("x", 300_000));
          }

          @Override
          public int appendShortTo(StringBuilder line, Trimmer trimmer) {
            line.append("{\"Event\":\"AfterglowJob\"");
            return 2 * 3;
          }
        };
    batch.add(new QueuedLine(0, Rank.FACT, job));
    equal(6L, health.dropped());
    batch.failed();
    equal(8L, health.dropped());
  }

  private static void whatIsDroppedOfAFileLeavesAllElseInItsPlace() throws Exception {
    Path path = Files.createTempDirectory("drop").resolve("00000000-0000-0000-0000-000000000001.jsonl");
    AppendFile file = AppendFile.create(path, 1_000);
    StringBuilder all = new StringBuilder();
    for (int i = 0; i < 40_000; i++) {
      all.append("line ").append(i).append('\n');
    }
    file.append(all.toString().getBytes(StandardCharsets.US_ASCII));
    long size = all.length();
    int confirmed = all.indexOf("line 30000\n") + 3;
    file.drop(confirmed);
    isDropped(path, all, confirmed - 3);
    file.append("more\n".getBytes(StandardCharsets.US_ASCII));
    all.append("more\n");
    isDropped(path, all, confirmed - 3);
    equal(size + 5, file.size());
    check(file.held() < size / 3, "a quarter is left: " + file.held());
    check(file.droppable(confirmed) < 10 && file.droppable(size + 5) > size / 5, "what can be dropped next");
    file.drop(size + 5);
    isDropped(path, all, all.length());
    file.append("last\n".getBytes(StandardCharsets.US_ASCII));
    all.append("last\n");
    isDropped(path, all, all.length() - 5);
    equal(1L, Files.list(path.getParent()).count());
  }

  private static void isDropped(Path path, CharSequence all, int until) throws Exception {
    String now = new String(Files.readAllBytes(path), StandardCharsets.US_ASCII);
    int zeros = now.indexOf('\0');
    equal(all.length(), now.length());
    check(zeros > 900 && zeros <= 1_000 && now.charAt(zeros - 1) == '\n', "a head of whole lines");
    equal(all.subSequence(0, zeros), now.substring(0, zeros));
    equal(until - 1, now.lastIndexOf('\0') + 1);
    check(now.substring(zeros, until - 1).chars().allMatch(c -> c == 0), "zeros");
    equal(all.subSequence(until - 1, all.length()), now.substring(until - 1));
  }

  private static void aJournalAtItsSizeStillBeatsAndEnds() throws Exception {
    AfterglowListener listener = listener("spark.afterglow.journal.maxSize", "1m");
    for (int i = 0; i < 15; i++) {
      listener.record("{\"Event\":\"AfterglowFlood\",\"Text\":\"" + repeat("x", 100_000) + "\"}");
    }
    listener.flush(10_000);
    waitFor(listener, "\"AfterglowHeartbeat\""); // though none is due
    check(journal(listener).contains("\"Heartbeat Interval\":600000"), "it says that it will seldom beat");
    for (int i = 0; i < 20; i++) {
      listener.record("{\"Event\":\"AfterglowRunStart\",\"Run ID\":\"" + i + repeat("x", 10_000) + "\"}");
    }
    listener.flush(10_000);
    check(!journal(listener).contains("\"Run ID\":\"19x"), "the reserve of the runs is used up");
    listener.onApplicationEnd(new SparkListenerApplicationEnd(7L, Option.empty()));
    check(listener.record("{\"Event\":\"AfterglowDriverEnd\",\"Outcome\":\"clean\"}"), "taken");
    listener.flush(10_000);
    String[] lines = journal(listener).split("\n");
    check(lines[lines.length - 1].contains("\"AfterglowDriverEnd\""), "the driver's end is told");
    check(lines[lines.length - 2].contains("SparkListenerApplicationEnd\",\"Timestamp\":7,"), "the application's");
    check(lines[lines.length - 3].contains("\"Dropped\":22,"), "and what was lost: " + lines[lines.length - 3]);
    check(Files.size(Paths.get(listener.journal())) < (1 << 20) + (1 << 20) / 16 + 120_000, "it stays small");
  }

  private static void noErrorLeavesACallbackNotEvenThatOfItsDescription() throws Exception {
    AfterglowListener listener = listener("spark.afterglow.heartbeat.interval", "100ms");
    for (int i = 0; i < 30; i++) {
      listener.onJobEnd(new Nasty());
    }
    check(listener.active(), "the journal goes on");
    listener.onJobEnd(new SparkListenerJobEnd(1, 1L, JobSucceeded$.MODULE$));
    check(listener.record("{\"Event\":\"AfterglowRunEnd\",\"Run ID\":\"a\"}"), "so do runs");
    listener.onApplicationEnd(new SparkListenerApplicationEnd(7L, Option.empty()));
    listener.flush(10_000);
    String[] lines = journal(listener).split("\n");
    check(lines[lines.length - 1].contains("SparkListenerApplicationEnd"), "and the end is told");
    check(lines[lines.length - 2].contains("\"Dropped\":31,"), lines[lines.length - 2]);
    String why = "\"Trouble\":\"10 errors within an hour, the last one io.afterglow.Checks$Unspeakable\"";
    check(lines[lines.length - 2].contains(why), "why: " + lines[lines.length - 2]);
  }

  /** Which cannot even say what it is, as where no memory is left. */
  private static final class Unspeakable extends OutOfMemoryError {
    private static final long serialVersionUID = 1L;

    @Override
    public String toString() {
      throw new OutOfMemoryError("made up");
    }
  }

  private static final class Nasty extends SparkListenerJobEnd {
    private static final long serialVersionUID = 1L;

    Nasty() {
      super(7, 1L, JobSucceeded$.MODULE$);
    }

    @Override
    public int jobId() {
      throw new Unspeakable();
    }
  }

  private static void anUploaderGoesOnAfterAnyError() throws Exception {
    Path path = Files.createTempDirectory("upload").resolve("00000000-0000-0000-0000-000000000002.jsonl");
    Files.write(path, "one line\n".getBytes(StandardCharsets.US_ASCII));
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
    server.createContext(
        "/",
        exchange -> {
          exchange.getResponseHeaders().add("Afterglow-Offset", "9");
          exchange.sendResponseHeaders(200, -1);
          exchange.close();
        });
    server.start();
    CountDownLatch confirmed = new CountDownLatch(1);
    Iterator<? extends Throwable> errors =
        Arrays.asList(new IllegalStateException("made up"), new Unspeakable()).iterator();
    Uploader.Outbox outbox =
        new Uploader.Outbox() {
          @Override
          public Path path() {
            return path;
          }

          @Override
          public long written() {
            Throwable error = errors.hasNext() ? errors.next() : null;
            if (error instanceof Error) {
              throw (Error) error;
            } else if (error != null) {
              throw (RuntimeException) error;
            }
            return 9;
          }

          @Override
          public void confirmed(long bytes) {
            confirmed.countDown();
          }
        };
    String url = "http://127.0.0.1:" + server.getAddress().getPort();
    SparkConf conf = new SparkConf(false).set("spark.afterglow.collector.url", url);
    Uploader.start(new CollectorSettings(conf, Collections.emptyMap()), outbox, new Health());
    check(confirmed.await(20, TimeUnit.SECONDS), "sent after both");
    server.stop(0);
  }

  private static void anUploaderThatCannotBeginLetsTheJournalEnd() throws Exception {
    List<Path> left = new ArrayList<>();
    for (String address : Arrays.asList("ftp://collector", "https://me:a/b@collector")) {
      AfterglowListener listener =
          listener("spark.afterglow.heartbeat.interval", "100ms", "spark.afterglow.collector.url", address);
      check(listener.flush(10_000), "it writes");
      left.add(Paths.get(listener.journal()));
      listener.onApplicationEnd(new SparkListenerApplicationEnd(7L, Option.empty()));
    }
    for (Path each : left) {
      JournalLock lock = null;
      for (int tries = 0; lock == null; tries++) {
        check(tries < 400, "closed after sixty heartbeats, and left to whoever sends it");
        Thread.sleep(50);
        lock = JournalLock.ofDead(each);
      }
      lock.release();
    }
  }

  private static AfterglowListener oneThatIsOver() throws Exception {
    AfterglowListener listener = listener("spark.afterglow.heartbeat.interval", "100ms");
    listener.onApplicationEnd(new SparkListenerApplicationEnd(7L, Option.empty()));
    check(listener.record("{\"Event\":\"AfterglowRunEnd\",\"Run ID\":\"a\"}"), "it is open for some time");
    check(listener.flush(10_000), "and writes");
    check(JournalLock.ofDead(Paths.get(listener.journal())) == null, "and its lock is held");
    return listener;
  }

  private static void aJournalIsClosedSomeTimeAfterItsApplication(AfterglowListener over, Path left) throws Exception {
    for (int tries = 0; over.active(); tries++) {
      check(tries < 400, "closed after sixty heartbeats");
      Thread.sleep(50);
    }
    check(!over.record("{\"Event\":\"AfterglowRunEnd\",\"Run ID\":\"b\"}"), "nothing is taken and then not written");
    JournalLock lock = null;
    for (int tries = 0; lock == null; tries++) {
      check(tries < 100, "whoever looks for what dead writers left finds it");
      Thread.sleep(50);
      lock = JournalLock.ofDead(left);
    }
    lock.delete();
    equal(5L, Files.lines(left).count()); // two of its beginning, the last beat, the end, and the run's
  }

  /** {@code settings}: keys, each followed by its value. */
  private static AfterglowListener listener(String... settings) throws Exception {
    String folder = Files.createTempDirectory("listener").toString();
    SparkConf conf = new SparkConf(false).set("spark.afterglow.journal.dir", folder);
    for (int i = 0; i < settings.length; i += 2) {
      conf.set(settings[i], settings[i + 1]);
    }
    return new AfterglowListener(conf);
  }

  private static void waitFor(AfterglowListener listener, String text) throws Exception {
    for (int tries = 0; !journal(listener).contains(text); tries++) {
      check(tries < 200, "no " + text);
      Thread.sleep(50);
    }
  }

  private static String journal(AfterglowListener listener) throws Exception {
    return new String(Files.readAllBytes(Paths.get(listener.journal())), StandardCharsets.UTF_8);
  }

  private static QueuedLine recorded(String json) {
    return new QueuedLine(0, Rank.FACT, new RecordedLine(json));
  }

  private static String text(Batch batch) {
    return new String(batch.bytes(), StandardCharsets.UTF_8);
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
    equal(Redaction.REDACTED, REDACTION.property("my.admin_token", "s3cr3t", 1_000));
    equal("5", REDACTION.property("my.max_tokens", "5", 1_000));
    equal("Authorization: Bearer " + Redaction.REDACTED, REDACTION.text("Authorization: Bearer s3cr3t-x", 1_000));
    for (String innocent :
        new String[] {"the bearer of instruments", "eyJ", "dapihost", "xoxo-love", "SELECT token_count = 5", "max_tokens=5"}) {
      equal(innocent, REDACTION.text(innocent, 1_000));
    }
  }

  private static void aPlanIsCutToItsOperators() {
    String plan = "== Physical Plan ==\nAdaptiveSparkPlan (9)\n+- == Final Plan ==\n   * Project (4)\n+- == Initial Plan ==\n"
        + "   Project (8)\n\n\n(1) Scan";
    equal("AdaptiveSparkPlan (9)\n+- == Final Plan ==\n   * Project (4)", Plan.tree(plan));
    equal("Scan", Plan.tree("Scan"));
    equal("", Plan.tree(""));
  }

  private static void aSecretIsReadFromTheHomeFolder() throws Exception {
    Path home = Files.createTempDirectory("home");
    Files.write(home.resolve("secret"), "s3\n".getBytes(StandardCharsets.UTF_8));
    String before = System.setProperty("user.home", home.toString());
    SparkConf conf = new SparkConf(false).set("spark.afterglow.collector.secretFile", "~/secret");
    equal("s3", new CollectorSettings(conf, Collections.emptyMap()).secret());
    System.setProperty("user.home", before);
  }

  private static void repeatedErrorsEndTheListening() {
    long hour = 3_600_000_000_000L;
    Health health = new Health();
    for (int day = 0; day < 50; day++) {
      health.error(new StackOverflowError(), day * 24 * hour);
    }
    check(health.listening(), "one a day is nothing");
    for (int i = 0; i < 10; i++) {
      check(health.listening(), "still listening after " + i);
      health.error(new StackOverflowError(), 2_000 * hour);
    }
    check(!health.listening() && health.on(), "not after ten, but the journal goes on");
    equal("10 errors within an hour, the last one java.lang.StackOverflowError", health.trouble());
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
    return events(weight, 1, true);
  }

  private static Line events(int weight, int events, boolean isTold) {
    return new Line() {
      @Override
      public int weight() {
        return weight;
      }

      @Override
      public int events() {
        return events;
      }

      @Override
      public boolean close() {
        return isTold;
      }

      @Override
      public void appendTo(StringBuilder line, Trimmer trimmer) {}
    };
  }

  private static final class PlanLine implements Line {
    private int weight = 200;

    @Override
    public int weight() {
      return weight;
    }

    @Override
    public boolean heavy() {
      return weight > 50;
    }

    @Override
    public void lighten() {
      weight = 50;
    }

    @Override
    public void appendTo(StringBuilder line, Trimmer trimmer) {}
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
