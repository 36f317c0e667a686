package io.afterglow;

import java.util.LinkedHashSet;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.sql.execution.SparkPlanInfo;
import scala.PartialFunction;

/** What a plan reads and writes: taken from Spark's tree of it, which the journal does not keep. */
final class PlanFiles {
  private static final int MOST = 50; // of each
  private static final int MAX_CHARS = 500; // of a path or a name
  private static final Pattern SCAN = Pattern.compile("(?:Batch)?Scan (\\S++) ?+(\\S*+).*+", Pattern.DOTALL);
  private static final Pattern JDBC = Pattern.compile("Scan JDBCRelation\\((.*+)", Pattern.DOTALL);
  private static final Pattern LOCATION = Pattern.compile("[^\\[]*+\\[([^,\\]]*+).*+", Pattern.DOTALL);
  private static final Pattern INSERT =
      Pattern.compile(
          "Execute InsertInto(?:HadoopFsRelation|HiveDir)Command ([^,]++), (?:true|false), (?:\\[[^\\]]*+\\], )?+([\\w.]++),.*+",
          Pattern.DOTALL);
  private static final Pattern WRITTEN_TABLE = Pattern.compile("(?:Append|Overwrite|ErrorIfExists|Ignore), (`[^,]++),");

  private final Redaction redaction;
  private final Set<String> inputs = new LinkedHashSet<>();
  private final Set<String> outputs = new LinkedHashSet<>();

  PlanFiles(Redaction redaction) {
    this.redaction = redaction;
  }

  /** Takes a plan and all below it. */
  void read(SparkPlanInfo plan) throws ReflectiveOperationException {
    PartialFunction<Object, SparkPlanInfo> children = Scala.function(Scala.get(plan, "children"));
    for (int i = 0; children.isDefinedAt(i); i++) {
      read(children.apply(i));
    }
    PartialFunction<Object, String> metadata = Scala.function(Scala.get(plan, "metadata"));
    node(plan.nodeName(), plan.simpleString(), of(metadata, "Format"), of(metadata, "Location"));
  }

  private static String of(PartialFunction<Object, String> metadata, String key) {
    return metadata.isDefinedAt(key) ? metadata.apply(key) : "";
  }

  void put(JsonFields fields) {
    put("Inputs", inputs, fields);
    put("Outputs", outputs, fields);
  }

  private void node(String name, String text, String format, String location) {
    Matcher jdbc = JDBC.matcher(name);
    Matcher scan = SCAN.matcher(name);
    Matcher insert = INSERT.matcher(text);
    if (jdbc.matches()) {
      int end = jdbc.group(1).lastIndexOf(')');
      add(inputs, "jdbc", null, end < 0 ? jdbc.group(1) : jdbc.group(1).substring(0, end));
    } else if (insert.matches()) {
      Matcher table = WRITTEN_TABLE.matcher(text);
      add(outputs, insert.group(2), insert.group(1), table.find() ? table.group(1).replace("`", "") : null);
    } else if (scan.matches() && name.startsWith("BatchScan")) {
      add(inputs, format, path(location), scan.group(1));
    } else if (scan.matches() && !location.isEmpty()) {
      add(inputs, format.isEmpty() ? scan.group(1) : format, path(location), scan.group(2));
    } else if (scan.matches() && scan.group(1).equals("hive")) {
      add(inputs, "hive", null, scan.group(2));
    }
  }

  /** The first of the paths in "InMemoryFileIndex(2 paths)[file:/a, file:/b]". */
  private static String path(String location) {
    Matcher paths = LOCATION.matcher(location);
    return paths.matches() ? paths.group(1) : null;
  }

  private void add(Set<String> to, String format, String path, String table) {
    StringBuilder one = new StringBuilder("{");
    part(one, "Format", format == null ? null : format.toLowerCase(java.util.Locale.ROOT));
    part(one, "Path", path);
    part(one, "Table", table);
    if (one.length() > 1 && to.size() < MOST) {
      to.add(one.append('}').toString());
    }
  }

  private void part(StringBuilder to, String key, String value) {
    if (value != null && !value.isEmpty()) {
      JsonFields.quote(to.append(to.length() > 1 ? "," : ""), key).append(':');
      JsonFields.quote(to, redaction.text(value, MAX_CHARS));
    }
  }

  private static void put(String name, Set<String> all, JsonFields fields) {
    if (!all.isEmpty()) {
      fields.name(name).append('[').append(String.join(",", all)).append(']');
    }
  }
}
