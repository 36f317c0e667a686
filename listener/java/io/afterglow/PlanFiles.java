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
  private static final Pattern SCAN = Pattern.compile("Scan (\\S++) ?+(\\S*+).*+", Pattern.DOTALL);
  private static final Pattern JDBC = Pattern.compile("Scan JDBCRelation\\((.*+)", Pattern.DOTALL);
  /** A table, or a format and its paths. */
  private static final Pattern BATCH_SCAN = Pattern.compile("BatchScan ([^\\s\\[]++)(?: ([^,\\[]++))?+.*+", Pattern.DOTALL);
  private static final Pattern LOCATION = Pattern.compile("[^\\[]*+\\[([^,\\]]*+).*+", Pattern.DOTALL);
  /** Path, values of the partition, whether only a new one, columns of partitions, buckets, format. */
  private static final Pattern INSERT =
      Pattern.compile(
          "Execute InsertIntoHadoopFsRelationCommand ([^,]++), (?:\\[[^\\]]*+\\], )?+(?:true|false), (?:\\[[^\\]]*+\\], )?+"
              + "(?:\\d++ buckets, bucket columns: \\[[^\\]]*+\\](?:, sort columns: \\[[^\\]]*+\\])?+, )?+"
              + "([\\w.]++)(?:@\\w++)?+,.*+",
          Pattern.DOTALL);
  private static final Pattern WRITTEN_TABLE = Pattern.compile("(?:Append|Overwrite|ErrorIfExists|Ignore), (`[^,]++),");
  private static final Pattern TABLE =
      Pattern.compile("Execute (InsertIntoHiveTable|CreateDataSourceTableAsSelectCommand) (`[^,]++),.*+", Pattern.DOTALL);
  /** The source's class, its options, the mode. */
  private static final Pattern SAVE =
      Pattern.compile("Execute SaveIntoDataSourceCommand ([\\w.$]++)(?:@\\w++)?+, (.*+)", Pattern.DOTALL);
  private static final Pattern OPTION = Pattern.compile("[\\[(\\s](dbtable|path)(?:=| -> )([^,\\])]++)");
  private static final Pattern KIND_OF_CLASS = Pattern.compile("(?:Default|Data)?(?:Source|Relation)?(?:Provider)?$");
  /** Among the details of a plan. */
  private static final Pattern COMMAND =
      Pattern.compile(
          "\\n\\(\\d++\\) (SaveIntoDataSourceCommand|CreateDataSourceTableAsSelectCommand)[^\\n]*+\\nArguments: ([^\\n]++)");
  /** A write of Iceberg's, or of whoever writes like it: what it is of is told by the connector's own text alone. */
  private static final Pattern WRITE =
      Pattern.compile(
          "(?:AppendData|OverwriteByExpression|OverwritePartitionsDynamic|ReplaceData|WriteDelta) .*?\\b(\\w+?)Write\\("
              + "table=([^,)]++).*+",
          Pattern.DOTALL);

  private final Redaction redaction;
  private final Set<String> inputs = new LinkedHashSet<>();
  private final Set<String> outputs = new LinkedHashSet<>();

  PlanFiles(Redaction redaction) {
    this.redaction = redaction;
  }

  /** Takes a plan, and what Spark's text of it says of a command that it merely names. */
  void read(SparkPlanInfo plan, String text) throws ReflectiveOperationException {
    read(plan);
    Matcher command = COMMAND.matcher(text);
    if (plan.nodeName().startsWith("Execute ") && plan.simpleString().trim().equals(plan.nodeName()) && command.find()) {
      write("Execute " + command.group(1) + " " + command.group(2));
    }
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
    if (name.startsWith("Scan ") || name.startsWith("BatchScan ")) {
      scan(name, format, location);
    } else {
      write(text);
    }
  }

  private void scan(String name, String format, String location) {
    Matcher jdbc = JDBC.matcher(name);
    Matcher batch = BATCH_SCAN.matcher(name);
    Matcher scan = SCAN.matcher(name);
    if (jdbc.matches()) {
      int end = jdbc.group(1).lastIndexOf(')');
      add(inputs, "jdbc", null, end < 0 ? jdbc.group(1) : jdbc.group(1).substring(0, end));
    } else if (batch.matches() && batch.group(2) != null && batch.group(2).indexOf('/') >= 0) {
      add(inputs, batch.group(1), batch.group(2), null);
    } else if (batch.matches()) {
      add(inputs, format, path(location), batch.group(1));
    } else if (scan.matches() && !location.isEmpty()) {
      add(inputs, format.isEmpty() ? scan.group(1) : format, path(location), scan.group(2));
    } else if (scan.matches() && scan.group(1).equals("hive")) {
      add(inputs, "hive", null, scan.group(2));
    }
  }

  private void write(String text) {
    Matcher insert = INSERT.matcher(text);
    Matcher table = TABLE.matcher(text);
    Matcher save = SAVE.matcher(text);
    Matcher write = WRITE.matcher(text);
    if (insert.matches()) {
      Matcher written = WRITTEN_TABLE.matcher(text);
      add(outputs, insert.group(2), insert.group(1), written.find() ? name(written.group(1)) : null);
    } else if (table.matches()) {
      add(outputs, table.group(1).contains("Hive") ? "hive" : null, null, name(table.group(2)));
    } else if (save.matches()) {
      add(outputs, kind(save.group(1)), option("path", save.group(2)), option("dbtable", save.group(2)));
    } else if (write.matches()) {
      add(outputs, write.group(1), null, write.group(2));
    }
  }

  private static String name(String quoted) {
    return quoted.replace("`", "");
  }

  /** "jdbc" of Spark's JdbcRelationProvider, "snowflake" of net.snowflake.spark.snowflake.DefaultSource. */
  private static String kind(String className) {
    String[] names = className.split("[.$]+");
    String kind = "";
    for (int i = names.length - 1; i >= 0 && kind.isEmpty(); i--) {
      kind = KIND_OF_CLASS.matcher(names[i]).replaceFirst("");
    }
    return kind;
  }

  private static String option(String key, String options) {
    Matcher option = OPTION.matcher(options);
    while (option.find()) {
      if (option.group(1).equals(key)) {
        return option.group(2);
      }
    }
    return null;
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
