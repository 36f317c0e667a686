// The runs as a chart: what is drawn of them.

const TYPES = { bar: "Bar", line: "Line", scatter: "Scatter" };
const ATTRIBUTES = { run: "Run", start: "Start", duration: "Duration (s)", "spark.core_seconds": "Spark core-seconds" };
const STEP = "step";

/** What a run has of a field: a number or a text; null where it has nothing. */
function valueOf(run, field, now) {
  if (field === "run") return run.name;
  if (field === "start") return run.start ?? null;
  if (field === "duration") return seconds(run, now);
  if (field === "spark.core_seconds") return run.spark?.jobs ? run.spark.core_seconds : null;
  const group = field.slice(0, field.indexOf("."));
  return run[group]?.[field.slice(group.length + 1)] ?? null;
}

function fieldsOf(view) {
  const named = ["metrics", "params", "tags"].flatMap((group) => keys(view.runs, group).map((key) => `${group}.${key}`));
  const all = [...named.filter((each) => each.startsWith("metrics.")), ...Object.keys(ATTRIBUTES), ...named.filter((each) => !each.startsWith("metrics."))];
  const numeric = (field) => field !== "start" && view.runs.some((run) => asNumber(valueOf(run, field, view.now)) !== null);
  return { x: all, y: all.filter(numeric) };
}

function label(field) {
  return field === STEP ? "Step" : (ATTRIBUTES[field] ?? field.slice(field.indexOf(".") + 1));
}

/** What is drawn: what was chosen, as far as these runs have it. */
function chosen(view, fields) {
  const said = view.model.get("chart");
  const stepped = Object.keys(view.history)[0];
  const type = said.type in TYPES ? said.type : stepped ? "line" : "bar";
  const usual = type === "line" && stepped ? `metrics.${stepped}` : fields.y[0];
  const y = fields.y.includes(said.y) ? said.y : usual;
  const canStep = type === "line" && (y ?? "").startsWith("metrics.");
  const x = said.x === STEP ? (canStep ? STEP : "run") : fields.x.includes(said.x) ? said.x : canStep && stepped ? STEP : "run";
  return { type, x, y, canStep };
}

function select(name, options, value, change) {
  const items = options.map(([key, text]) => make("option", { value: key, selected: key === value }, text));
  return make("label", {}, name, make("select", { "aria-label": name, onchange: (event) => change(event.target.value) }, ...items));
}

/** Points by series: one for all runs, or one a run where X is the step. */
function seriesOf(view, { x, y }) {
  if (x === STEP) {
    const values = view.history[y.slice("metrics.".length)] ?? {};
    return view.runs
      .map((run, at) => ({ run, at, points: (values[run.id] ?? []).map(([step, value]) => ({ run, at, x: step, y: value })) }))
      .filter((each) => each.points.length > 0);
  }
  const found = view.runs
    .map((run, at) => ({ run, at, x: valueOf(run, x, view.now), y: asNumber(valueOf(run, y, view.now)) }))
    .filter((each) => each.x !== null && each.y !== null);
  return [{ run: null, at: 0, points: x === "run" ? found : found.sort(byX) }];
}

function byX({ x: one }, { x: other }) {
  const [a, b] = [asNumber(one), asNumber(other)];
  return a !== null && b !== null ? a - b : String(one).localeCompare(String(other), "en", { numeric: true });
}

function legend(series, view) {
  const runs = series[0]?.run ? series : view.runs.map((run, at) => ({ run, at }));
  return make(
    "div",
    { class: "afterglow-legend" },
    ...runs.slice(0, 20).map((each) => make("span", {}, make("i", { "data-series": each.at % SERIES, "aria-hidden": "true" }), shortened(each.run.name, 40))),
    runs.length > 20 ? make("span", { class: "afterglow-muted" }, `and ${runs.length - 20} more`) : null,
  );
}

function comparison(view) {
  const fields = fieldsOf(view);
  const choice = chosen(view, fields);
  if (!choice.y) return make("div", {}, make("p", { class: "afterglow-muted" }, "These runs have no numbers to compare yet."));
  if (choice.x === STEP) wanted(view, choice.y.slice("metrics.".length));
  const series = seriesOf(view, choice);
  const empty = series.every((each) => each.points.length === 0);
  const drawn = empty
    ? make("p", { class: "afterglow-muted" }, `No run has both ${label(choice.x)} and ${label(choice.y)}.`)
    : picture(series, choice, view);
  const readout = make("div", { class: "afterglow-readout afterglow-muted" }, view.said || " ");
  return make("div", {}, controls(view, fields, choice), drawn, readout, empty || (choice.type === "bar" && choice.x === "run") ? null : legend(series, view));
}

function controls({ model }, fields, choice) {
  const change = (more) => {
    model.set("chart", { type: choice.type, x: choice.x, y: choice.y, ...more });
    model.save_changes();
  };
  const options = (names) => names.map((each) => [each, label(each)]);
  const steps = choice.canStep ? [[STEP, label(STEP)]] : [];
  return make(
    "div",
    { class: "afterglow-controls" },
    select("Chart", Object.entries(TYPES), choice.type, (type) => change({ type })),
    select("X", [...steps, ...options(fields.x)], choice.x, (x) => change({ x })),
    select("Y", options(fields.y), choice.y, (y) => change({ y })),
  );
}

/** Ask the kernel, once, for the history of a metric that another process logged. */
function wanted(view, metric) {
  const known = view.history[metric] ?? {};
  if (view.asked.has(metric) || view.runs.every((run) => !(metric in run.metrics) || run.id in known)) return;
  view.asked.add(metric);
  view.model.send({ history: metric });
}
