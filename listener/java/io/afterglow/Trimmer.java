package io.afterglow;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.regex.Pattern;
import org.apache.spark.scheduler.SparkListenerEvent;

/** What is kept of Spark's events: the table of docs/journal.md in code. */
final class Trimmer {
  private static final int MESSAGE = 2_000; // characters, as all limits here
  private static final int VALUE = 4_000;
  private static final int ALL_VALUES = 100_000;
  private static final int NAME = 1_000;
  private static final int RECORDED = 20_000;
  private static final String TAGS = "spark.job.tags";
  private static final String[] JOB_PROPERTIES = {
    TAGS, "spark.jobGroup.id", "spark.job.description", "spark.sql.execution.id", "mlflow.run_id",
  };
  /** Their names in an AfterglowJob. */
  private static final String[] JOB_FIELDS = {"Tags", "Group", "Description", "Execution", "Run"};
  /** Spark tags every job with its session, and with what the execution's root was. */
  private static final Pattern SPARK_S_TAG =
      Pattern.compile("spark-session-[0-9a-f-]{36}(?:-execution-root-id-\\d++)?");

  private final SparkJson json;
  private final Redaction redaction;
  private final Plans plans;
  private final Map<String, Map<String, Shape>> events = new HashMap<>();
  private final Map<String, Shape> recorded = new HashMap<>(); // of the Python hook's events

  Trimmer(SparkJson json, Redaction redaction) {
    this.json = json;
    this.redaction = redaction;
    plans = new Plans(redaction);
    application();
    executors();
    ends();
    recorded();
  }

  Plans plans() {
    return plans;
  }

  PlanFiles planFiles() {
    return new PlanFiles(redaction);
  }

  String name(String text) {
    return redaction.text(text == null ? "" : text, NAME);
  }

  String message(String text) {
    return redaction.text(text, MESSAGE);
  }

  /** Adds the event without its closing brace; an event that is not in the table is an error of ours. */
  void trim(SparkListenerEvent event, StringBuilder to) throws Exception {
    JsonReader from = new JsonReader(json.of(event));
    String name = enter(from);
    JsonFields.quote(to.append("{\"Event\":"), name);
    Shape.fields(fields(name), from, to, ",");
  }

  /** The properties of a job that are kept, in their order, with no more characters than redaction reads. */
  static String[] ofJob(Properties all) {
    String[] kept = new String[JOB_PROPERTIES.length];
    for (int i = 0; i < kept.length; i++) {
      String value = all == null ? "" : all.getProperty(JOB_PROPERTIES[i], "");
      kept[i] = value.length() > 2 * VALUE ? value.substring(0, 2 * VALUE) : value;
    }
    return kept;
  }

  /** Adds them as an object. */
  void properties(String[] ofJob, StringBuilder to) {
    String open = "{";
    for (int i = 0; i < ofJob.length; i++) {
      String value = property(JOB_PROPERTIES[i], ofJob[i]);
      if (!value.isEmpty()) {
        JsonFields.quote(JsonFields.quote(to.append(open), JOB_PROPERTIES[i]).append(':'), value);
        open = ",";
      }
    }
    to.append(open.equals("{") ? "{}" : "}");
  }

  /** The same under shorter names. */
  void jobFields(String[] ofJob, JsonFields fields) {
    for (int i = 0; i < ofJob.length; i++) {
      String value = property(JOB_PROPERTIES[i], ofJob[i]);
      if (!value.isEmpty()) {
        fields.put(JOB_FIELDS[i], value);
      }
    }
  }

  /** Adds an event of the Python hook: whole, but for secrets. Params, metrics and tags stay as MLflow has them. */
  void redact(String event, StringBuilder to, boolean withRun) {
    JsonReader from = new JsonReader(event);
    from.enter('{');
    String open = "{";
    for (String key = from.nextKey(); key != null; key = from.nextKey()) {
      // The journal's first lines say of which application it is.
      if (key.equals("Application") || !withRun && key.equals("Run")) {
        from.skip();
        continue;
      }
      JsonFields.quote(to.append(open), key).append(':');
      recorded.getOrDefault(key, Shape.AS_IS).copy(from, to);
      open = ",";
    }
  }

  private String property(String key, String value) {
    return redaction.property(key, key.equals(TAGS) ? ownTags(value) : value, VALUE);
  }

  /** Without Spark's own; both separated by commas, which no tag may have. */
  static String ownTags(String tags) {
    List<String> own = new ArrayList<>();
    for (String tag : tags.split(",")) {
      if (!tag.isEmpty() && !SPARK_S_TAG.matcher(tag).matches()) {
        own.add(tag);
      }
    }
    return String.join(",", own);
  }

  private static String enter(JsonReader from) {
    from.enter('{');
    from.nextKey();
    return from.string();
  }

  private Map<String, Shape> fields(String name) {
    Map<String, Shape> fields = events.get(name);
    if (fields == null) {
      throw new IllegalArgumentException("no shape for " + name);
    }
    return fields;
  }

  private void application() {
    Map<String, Shape> start = keep("SparkListenerApplicationStart", "App ID", "Timestamp", "User", "App Attempt ID");
    start.put("App Name", text(NAME));
    keep("SparkListenerApplicationEnd", "Timestamp");
    Map<String, Shape> environment = keep("SparkListenerEnvironmentUpdate");
    environment.put("JVM Information", Shape.object("Java Version", "Scala Version"));
    environment.put("Spark Properties", Shape.properties(VALUE, ALL_VALUES, redaction));
  }

  private void executors() {
    keep(
        "SparkListenerResourceProfileAdded",
        "Resource Profile Id",
        "Executor Resource Requests",
        "Task Resource Requests");
    Map<String, Shape> added = keep("SparkListenerExecutorAdded", "Timestamp", "Executor ID");
    added.put("Executor Info", Shape.object("Host", "Total Cores", "Resource Profile Id"));
    Map<String, Shape> removed = keep("SparkListenerExecutorRemoved", "Timestamp", "Executor ID");
    removed.put("Removed Reason", text(MESSAGE));
  }

  private void ends() {
    Map<String, Shape> exception = Shape.keep();
    exception.put("Message", text(MESSAGE));
    Map<String, Shape> result = Shape.keep("Result");
    result.put("Exception", Shape.object(exception));
    Map<String, Shape> end = keep("SparkListenerJobEnd", "Job ID", "Completion Time");
    end.put("Job Result", Shape.object(result));
  }

  private void recorded() {
    recorded.put("Error", text(RECORDED));
    recorded.put("Tracking URI", text(RECORDED));
    Map<String, Shape> run = new HashMap<>();
    run.put("source_name", Shape.ADDRESS);
    run.put("artifact_uri", Shape.ADDRESS);
    recorded.put("Run", Shape.whole(run));
  }

  private Shape text(int limit) {
    return Shape.text(limit, redaction);
  }

  private Map<String, Shape> keep(String event, String... asTheyAre) {
    Map<String, Shape> fields = Shape.keep(asTheyAre);
    events.put(event, fields);
    return fields;
  }
}
