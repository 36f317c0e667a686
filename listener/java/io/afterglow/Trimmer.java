package io.afterglow;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import org.apache.spark.scheduler.SparkListenerEvent;

/** What is kept of Spark's events: the table of docs/journal.md in code. */
final class Trimmer {
  private static final int PLAN = 4_000; // characters, as all limits here
  private static final int MESSAGE = 2_000;
  private static final int VALUE = 4_000;
  private static final int NAME = 1_000;
  private static final int RECORDED = 20_000;
  private static final Set<String> JOB_PROPERTIES =
      Shape.keys(
          "spark.job.tags",
          "spark.jobGroup.id",
          "spark.job.description",
          "spark.sql.execution.id",
          "spark.sql.execution.root.id",
          "mlflow.run_id");

  private static final Set<String> RECORDED_TEXTS = Shape.keys("Error", "Tracking URI");

  private final SparkJson json;
  private final Redaction redaction;
  private final Map<String, Map<String, Shape>> events = new HashMap<>();

  Trimmer(SparkJson json, Redaction redaction) {
    this.json = json;
    this.redaction = redaction;
    application();
    executors();
    jobs();
    stages();
    sql();
  }

  /** Adds the event without its closing brace; an event that is not in the table is an error of ours. */
  void trim(SparkListenerEvent event, StringBuilder to) throws Exception {
    JsonReader from = new JsonReader(json.of(event));
    from.enter('{');
    from.nextKey();
    String name = from.string();
    Map<String, Shape> fields = events.get(name);
    if (fields == null) {
      throw new IllegalArgumentException("no shape for " + name);
    }
    JsonFields.quote(to.append("{\"Event\":"), name);
    Shape.fields(fields, from, to, ",");
  }

  /** Adds an event of the Python hook: whole, but for the secrets in texts that are not MLflow's own. */
  void redact(String event, StringBuilder to) {
    JsonReader from = new JsonReader(event);
    from.enter('{');
    String open = "{";
    for (String key = from.nextKey(); key != null; key = from.nextKey()) {
      JsonFields.quote(to.append(open), key).append(':');
      (RECORDED_TEXTS.contains(key) ? text(RECORDED) : Shape.AS_IS).copy(from, to);
      open = ",";
    }
  }

  private void application() {
    Map<String, Shape> start = keep("SparkListenerApplicationStart", "App ID", "Timestamp", "User", "App Attempt ID");
    start.put("App Name", text(NAME));
    keep("SparkListenerApplicationEnd", "Timestamp");
    Map<String, Shape> environment = keep("SparkListenerEnvironmentUpdate");
    environment.put("JVM Information", Shape.object("Java Version", "Scala Version"));
    environment.put("Spark Properties", Shape.properties(null, VALUE, redaction));
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

  private void jobs() {
    Map<String, Shape> start = keep("SparkListenerJobStart", "Job ID", "Submission Time", "Stage IDs");
    start.put("Stage Infos", Shape.list(Shape.object("Stage ID", "Number of Tasks")));
    start.put("Properties", Shape.properties(JOB_PROPERTIES, VALUE, redaction));

    Map<String, Shape> exception = Shape.keep();
    exception.put("Message", text(MESSAGE));
    Map<String, Shape> result = Shape.keep("Result");
    result.put("Exception", Shape.object(exception));
    Map<String, Shape> end = keep("SparkListenerJobEnd", "Job ID", "Completion Time");
    end.put("Job Result", Shape.object(result));
  }

  private void stages() {
    Map<String, Shape> submitted = keep("SparkListenerStageSubmitted");
    submitted.put("Stage Info", Shape.object(stage()));
    submitted.put("Properties", Shape.properties(JOB_PROPERTIES, VALUE, redaction));

    Map<String, Shape> info = stage();
    info.put("Completion Time", Shape.AS_IS);
    info.put("Failure Reason", text(MESSAGE));
    keep("SparkListenerStageCompleted").put("Stage Info", Shape.object(info));
  }

  private Map<String, Shape> stage() {
    Map<String, Shape> info =
        Shape.keep("Stage ID", "Stage Attempt ID", "Number of Tasks", "Submission Time", "Resource Profile Id");
    info.put("Stage Name", text(NAME));
    return info;
  }

  private void sql() {
    Map<String, Shape> start = keep(SqlEvents.START, "executionId", "rootExecutionId", "time");
    start.put("jobTags", Shape.list(text(NAME)));
    start.put("description", text(MESSAGE));
    start.put("physicalPlanDescription", text(PLAN));
    keep(SqlEvents.END, "executionId", "time").put("errorMessage", text(MESSAGE));
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
