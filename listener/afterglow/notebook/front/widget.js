// The runs of a cell: a table, and a chart to compare them by. Everything is put in as text, and nothing is fetched.

const MAX_METRICS = 4;
const MAX_PAIRS = 3;
const SVG = "http://www.w3.org/2000/svg";
const SERIES = 8; // colours in widget.css
const TYPES = { bar: "Bar", line: "Line", scatter: "Scatter" };
const ATTRIBUTES = { run: "Run", start: "Start", duration: "Duration (s)", "spark.core_seconds": "Spark core-seconds" };
const STEP = "step";

// -- elements ---------------------------------------------------------------------------------------------------

function make(tag, attributes = {}, ...children) {
  const node = tag.startsWith("svg:") ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((each) => each !== null && each !== undefined && each !== ""));
  return node;
}

function link(text, address, attributes = {}) {
  if (!/^https?:\/\//i.test(address || "")) return null;
  return make("a", { href: address, target: "_blank", rel: "noopener noreferrer", ...attributes }, text);
}

// -- values -----------------------------------------------------------------------------------------------------

function number(value) {
  if (typeof value === "string") return value.replace("Infinity", "∞");
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return value.toLocaleString("en");
  const size = Math.abs(value);
  if (size >= 1e7 || size < 1e-4) return value.toExponential(3).replace(/\.?0+e/, "e");
  return String(Number(value.toPrecision(5)));
}

function lasting(seconds) {
  if (seconds === null) return "";
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** Seconds that a run took, or has taken until now; `late` is how much later it is here than in the kernel, in ms. */
function seconds(run, late) {
  if (run.start === null || run.start === undefined) return null;
  const end = run.end ?? Date.now() - late;
  return Math.max(0, end - run.start) / 1000;
}

/** The keys that most of the runs have, those first. */
function keys(runs, group) {
  const counts = new Map();
  for (const run of runs) for (const key of Object.keys(run[group])) counts.set(key, (counts.get(key) ?? 0) + 1);
  return [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || (a < b ? -1 : 1));
}

function isLive(run) {
  return ["RUNNING", "SCHEDULED", ""].includes(run.status) && !run.missing;
}

function asNumber(value) {
  if (typeof value === "number") return value;
  return typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value)) ? Number(value) : null;
}

// -- the table --------------------------------------------------------------------------------------------------

function statusCell(run) {
  const status = run.status || (run.missing ? "NOT READABLE" : "…");
  const word = status.charAt(0) + status.slice(1).toLowerCase();
  return make(
    "span",
    { class: "afterglow-status", "data-status": run.status || "UNKNOWN", title: run.reason || run.missing || null },
    make("span", { class: "afterglow-dot", "aria-hidden": "true" }),
    word,
  );
}

function sparkCell(run) {
  const use = run.spark;
  if (!use || !use.jobs) return "";
  const failed = use.failed_jobs ? `, ${use.failed_jobs} failed` : "";
  const cell = make("div", { class: "afterglow-spark" }, `${use.core_seconds.toFixed(1)} core-s · ${counted(use.jobs, "job")}${failed}`);
  if (use.running_jobs) {
    const share = use.tasks ? Math.min(1, use.done_tasks / use.tasks) : 0;
    const said = `${use.done_tasks} of ${counted(use.tasks, "task")} done, ${use.running_tasks} running`;
    cell.append(
      make(
        "div",
        { class: "afterglow-bar", role: "progressbar", "aria-valuenow": Math.round(share * 100), "aria-label": said, title: said },
        make("div", { style: `width:${(share * 100).toFixed(1)}%` }),
      ),
      make("span", { class: "afterglow-muted" }, `${use.done_tasks}/${use.tasks} tasks`),
    );
  }
  return cell;
}

function pairs(values) {
  const all = Object.entries(values).map(([key, value]) => `${key}=${value}`);
  const more = all.length > MAX_PAIRS ? ` +${all.length - MAX_PAIRS}` : "";
  return make("div", { class: "afterglow-pairs", title: all.join("\n") }, all.slice(0, MAX_PAIRS).join("  ") + more);
}

function details(run, columns) {
  const lists = [
    ["Metrics", Object.entries(run.metrics).map(([key, value]) => [key, number(value)])],
    ["Parameters", Object.entries(run.params)],
    ["Tags", Object.entries(run.tags)],
  ];
  const blocks = lists.map(([name, values]) =>
    make(
      "div",
      {},
      make("h4", {}, name),
      values.length === 0
        ? make("p", { class: "afterglow-muted" }, "none")
        : make("dl", {}, ...values.flatMap(([key, value]) => [make("dt", { title: key }, key), make("dd", { title: value }, value)])),
    ),
  );
  const facts = [run.experiment && `Experiment ${run.experiment}`, run.user && `by ${run.user}`, `Run id ${run.id}`];
  const said = [run.reason, run.missing && `MLflow: ${run.missing}`].filter(Boolean);
  return make(
    "tr",
    { class: "afterglow-details" },
    make(
      "td",
      { colspan: columns },
      make("p", { class: "afterglow-muted" }, facts.filter(Boolean).join(" · ")),
      ...said.map((each) => make("p", {}, each)),
      make("div", { class: "afterglow-lists" }, ...blocks),
    ),
  );
}

/** The columns that there is something for, and room. */
function columnsOf(view) {
  const spark = view.runs.some((run) => run.spark?.jobs);
  const params = view.runs.some((run) => Object.keys(run.params).length);
  const links = view.runs.some((run) => run.monitor || run.mlflow);
  const room = view.width - 300 - (spark ? 175 : 0) - (params ? 90 : 0) - (links ? 125 : 0);
  const most = Math.max(1, Math.min(MAX_METRICS, Math.round(room / 78)));
  return { spark, params, links, metrics: keys(view.runs, "metrics").slice(0, most) };
}

function runRows(run, columns, view) {
  const { model, ids, late } = view;
  const open = model.get("open_runs").includes(run.id);
  const toggle = () => {
    const others = model.get("open_runs").filter((each) => each !== run.id);
    model.set("open_runs", open ? others : [...others, run.id]);
    model.save_changes();
  };
  const cells = [
    make(
      "td",
      { class: ids.has(run.parent) ? "afterglow-child" : null },
      make(
        "button",
        { class: "afterglow-toggle", "aria-expanded": String(open), "data-key": `toggle ${run.id}`, onclick: toggle },
        make("span", { class: "afterglow-arrow", "aria-hidden": "true" }, open ? "▾" : "▸"),
        make("span", { class: "afterglow-name", title: run.name }, run.name),
      ),
    ),
    make("td", {}, statusCell(run)),
    make("td", { class: "afterglow-number", "data-run": run.id }, lasting(seconds(run, late))),
    ...columns.metrics.map((key) => make("td", { class: "afterglow-number" }, key in run.metrics ? number(run.metrics[key]) : "")),
    columns.params && make("td", { class: "afterglow-rest" }, pairs(run.params)),
    columns.spark && make("td", {}, sparkCell(run)),
    columns.links && make("td", { class: "afterglow-links" }, link("Monitor", run.monitor), " ", link("MLflow", run.mlflow)),
  ].filter(Boolean);
  const row = make("tr", {}, ...cells);
  return open ? [row, details(run, cells.length)] : [row];
}

function table(view) {
  const columns = columnsOf(view);
  const head = (text, kind) => make("th", { class: kind, title: text, scope: "col" }, text);
  return make(
    "div",
    { class: "afterglow-scroll" },
    make(
      "table",
      {},
      make(
        "thead",
        {},
        make(
          "tr",
          {},
          head("Run"),
          head("Status"),
          head("Duration", "afterglow-number"),
          ...columns.metrics.map((key) => head(key, "afterglow-number")),
          columns.params ? head("Parameters") : "",
          columns.spark ? head("Spark") : "",
          columns.links ? head("") : "",
        ),
      ),
      make("tbody", {}, ...view.runs.flatMap((run) => runRows(run, columns, view))),
    ),
  );
}

// -- the chart --------------------------------------------------------------------------------------------------

/** What a run has of a field: a number or a text; null where it has nothing. */
function valueOf(run, field, late) {
  if (field === "run") return run.name;
  if (field === "start") return run.start ?? null;
  if (field === "duration") return seconds(run, late);
  if (field === "spark.core_seconds") return run.spark?.jobs ? run.spark.core_seconds : null;
  const group = field.slice(0, field.indexOf("."));
  return run[group]?.[field.slice(group.length + 1)] ?? null;
}

function fieldsOf(view) {
  const named = ["metrics", "params", "tags"].flatMap((group) => keys(view.runs, group).map((key) => `${group}.${key}`));
  const all = [...named.filter((each) => each.startsWith("metrics.")), ...Object.keys(ATTRIBUTES), ...named.filter((each) => !each.startsWith("metrics."))];
  const numeric = (field) => field !== "start" && view.runs.some((run) => asNumber(valueOf(run, field, view.late)) !== null);
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
  return make("label", {}, name, make("select", { "aria-label": name, "data-key": `select ${name}`, onchange: (event) => change(event.target.value) }, ...items));
}

/** Points by series: one for all runs, or one a run where X is the step. */
function seriesOf(view, { x, y }) {
  if (x === STEP) {
    const values = view.history[y.slice("metrics.".length)] ?? {};
    return view.runs
      .map((run, at) => ({ run, at, points: (values[run.id] ?? []).map(([step, value]) => ({ run, at, x: step, y: value })) }))
      .filter((each) => each.points.length > 0);
  }
  const points = view.runs
    .map((run, at) => ({ run, at, x: valueOf(run, x, view.late), y: asNumber(valueOf(run, y, view.late)) }))
    .filter((each) => each.x !== null && each.y !== null);
  return [{ run: null, at: 0, points }];
}

function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * unit).find((each) => each >= rough) ?? rough;
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return found;
}

/** A scale from values to pixels, with its ticks: of numbers, or of names in the order in which they come. */
function scale(values, from, to, { zero = false, names = false, time = false, count = 5 } = {}) {
  const numbers = values.map(asNumber);
  if (names || numbers.some((each) => each === null)) {
    const order = names ? values.map((_, at) => at) : [...new Set(values.map(String))];
    const step = (to - from) / Math.max(1, order.length);
    const place = (value) => from + step * ((names ? value : order.indexOf(String(value))) + 0.5);
    return { place, step, ticks: order.map((each) => [place(each), names ? String(values[each]) : each]) };
  }
  let low = Math.min(...numbers, ...(zero ? [0] : []));
  let high = Math.max(...numbers, ...(zero ? [0] : []));
  if (low === high) [low, high] = zero ? [Math.min(low, 0), Math.max(high, 1)] : [low - (Math.abs(low) || 1) * 0.5, high + (Math.abs(high) || 1) * 0.5];
  const room = zero ? 0 : (high - low) * 0.04;
  [low, high] = [low - room, high + room];
  const place = (value) => from + ((asNumber(value) - low) / (high - low)) * (to - from);
  const text = (each) => (time ? new Date(each).toLocaleTimeString("en-GB") : number(Number(each.toPrecision(12))));
  return { place, step: 0, ticks: ticks(low, high, count).map((each) => [place(each), text(each)]) };
}

function shortened(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function axes(width, height, margin, xs, ys, names) {
  const room = xs.step ? Math.max(4, Math.floor(xs.step / 6.5)) : 14;
  const parts = ys.ticks.flatMap(([at, text]) => [
    make("svg:line", { class: "afterglow-grid", x1: margin.left, x2: width - margin.right, y1: at, y2: at }),
    make("svg:text", { x: margin.left - 8, y: at + 4, "text-anchor": "end" }, text),
  ]);
  const every = Math.max(1, Math.ceil(xs.ticks.length / Math.max(1, Math.floor((width - margin.left - margin.right) / 44))));
  xs.ticks.forEach(([at, text], index) => {
    if (index % every) return;
    const words = make("svg:text", { x: at, y: height - margin.bottom + 18, "text-anchor": "middle" }, shortened(text, room * every));
    words.append(make("svg:title", {}, text));
    parts.push(words);
  });
  parts.push(
    make("svg:text", { class: "afterglow-axis", x: (margin.left + width - margin.right) / 2, y: height - 6, "text-anchor": "middle" }, shortened(names.x, 60)),
    make("svg:text", { class: "afterglow-axis", x: margin.left, y: 14, "text-anchor": "start" }, shortened(names.y, 60)),
  );
  return parts;
}

function marks(series, choice, xs, ys, say) {
  const place = (point, index) => [xs.place(choice.type === "bar" ? index : point.x), ys.place(point.y)];
  const told = (point) => `${point.run.name}: ${label(choice.x)} ${typeof point.x === "number" && choice.x !== "start" ? number(point.x) : choice.x === "start" ? new Date(point.x).toLocaleString("en-GB") : point.x}, ${label(choice.y)} ${number(point.y)}`;
  return series.flatMap((each) => {
    const sorted = choice.type === "line" ? [...each.points].sort((a, b) => xs.place(a.x) - xs.place(b.x)) : each.points;
    const path = sorted.map((point, index) => place(point, index).map((at) => at.toFixed(1)).join(",")).join(" ");
    const line = choice.type === "line" && make("svg:polyline", { class: "afterglow-line", "data-series": each.at % SERIES, points: path });
    const shapes = sorted.map((point, index) => {
      const [left, top] = place(point, index);
      const wide = Math.min(48, Math.max(2, xs.step * 0.7));
      const common = { "data-series": point.at % SERIES, onpointerenter: () => say(told(point)), onpointerleave: () => say("") };
      const shape =
        choice.type === "bar"
          ? make("svg:rect", { ...common, class: "afterglow-mark", x: left - wide / 2, width: wide, y: Math.min(top, ys.place(0)), height: Math.max(1, Math.abs(ys.place(0) - top)), rx: 2 })
          : make("svg:circle", { ...common, class: "afterglow-mark", cx: left, cy: top, r: choice.type === "scatter" ? 5 : sorted.length > 15 ? 2.5 : 4 });
      shape.append(make("svg:title", {}, told(point)));
      return shape;
    });
    return line ? [line, ...shapes] : shapes;
  });
}

function picture(series, choice, width, say) {
  const height = 280;
  const margin = { top: 26, right: 16, bottom: 46, left: 64 };
  const points = series.flatMap((each) => each.points);
  const bar = choice.type === "bar";
  const shown = points.map((point) => (choice.x === "start" && bar ? new Date(point.x).toLocaleTimeString("en-GB") : point.x));
  const xs = scale(shown, margin.left, width - margin.right, { names: bar, time: choice.x === "start", count: Math.max(2, Math.floor(width / 110)) });
  const ys = scale(points.map((point) => point.y), height - margin.bottom, margin.top, { zero: bar });
  const names = { x: label(choice.x), y: label(choice.y) };
  return make(
    "svg:svg",
    { class: "afterglow-chart", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `${TYPES[choice.type]} chart of ${names.y} by ${names.x}` },
    ...axes(width, height, margin, xs, ys, names),
    ...marks(series, choice, xs, ys, say),
  );
}

function legend(series, view) {
  const runs = series.length > 1 || series[0]?.run ? series.map((each) => each) : view.runs.map((run, at) => ({ run, at }));
  return make(
    "div",
    { class: "afterglow-legend" },
    ...runs.slice(0, 20).map((each) => make("span", {}, make("i", { "data-series": each.at % SERIES, "aria-hidden": "true" }), shortened(each.run.name, 40))),
    runs.length > 20 ? make("span", { class: "afterglow-muted" }, `and ${runs.length - 20} more`) : null,
  );
}

function comparison(view) {
  const { model } = view;
  const fields = fieldsOf(view);
  const choice = chosen(view, fields);
  const change = (more) => {
    model.set("chart", { type: choice.type, x: choice.x, y: choice.y, ...more });
    model.save_changes();
  };
  const options = (names) => names.map((each) => [each, label(each)]);
  const steps = choice.canStep ? [[STEP, label(STEP)]] : [];
  const controls = make(
    "div",
    { class: "afterglow-controls" },
    select("Chart", Object.entries(TYPES), choice.type, (type) => change({ type })),
    select("X", [...steps, ...options(fields.x)], choice.x, (x) => change({ x })),
    select("Y", options(fields.y), choice.y, (y) => change({ y })),
  );
  if (!choice.y) return make("div", {}, controls, make("p", { class: "afterglow-muted" }, "These runs have no numbers to compare yet."));
  if (choice.x === STEP) wanted(view, choice.y.slice("metrics.".length));
  const series = seriesOf(view, choice);
  const readout = make("div", { class: "afterglow-readout afterglow-muted" }, " ");
  const say = (text) => (readout.textContent = text || " ");
  const empty = series.every((each) => each.points.length === 0);
  const drawn = empty
    ? make("p", { class: "afterglow-muted" }, `No run has both ${label(choice.x)} and ${label(choice.y)}.`)
    : picture(series, choice, view.width, say);
  return make("div", {}, controls, drawn, readout, empty || (choice.type === "bar" && choice.x === "run") ? null : legend(series, view));
}

/** Ask the kernel, once, for the history of a metric that another process logged. */
function wanted(view, metric) {
  const known = view.history[metric] ?? {};
  if (view.asked.has(metric) || view.runs.every((run) => !(metric in run.metrics) || run.id in known)) return;
  view.asked.add(metric);
  view.model.send({ history: metric });
}

// -- the saved notebook -----------------------------------------------------------------------------------------

const VIEW = "application/vnd.jupyter.widget-view+json";
const STATES = "application/vnd.jupyter.widget-state+json";
const KEPT = ["state", "history", "tab", "chart", "open_runs", "own_id", "_esm", "_css", "_anywidget_id", "_model_name", "_model_module", "_model_module_version", "_view_name", "_view_module", "_view_module_version"];

/** Ids of the widgets that the outputs of a notebook in JupyterLab show. */
function shownIn(book) {
  const found = new Set();
  for (const cell of book.cells) {
    for (let at = 0; at < (cell.outputs?.length ?? 0); at += 1) found.add(cell.outputs.get(at).data[VIEW]?.model_id);
  }
  return found;
}

/** JupyterLab by itself saves no widget, and shows an error instead when the notebook is opened again without its kernel.
    So this one, once its runs are over, is put among the notebook's metadata, where front ends look for widgets. */
function keep(model) {
  const book = model.widget_manager?.context?.model;
  const id = model.get("own_id");
  if (!id || !book?.setMetadata || model.get("state").runs.some(isLive)) return;
  const saved = book.getMetadata("widgets") ?? {};
  const others = Object.entries(saved[STATES]?.state ?? {});
  const shown = shownIn(book);
  const state = Object.fromEntries(others.filter(([key, each]) => shown.has(key) || !each.state?._anywidget_id?.startsWith("afterglow.")));
  state[id] = {
    model_name: model.get("_model_name"),
    model_module: model.get("_model_module"),
    model_module_version: model.get("_model_module_version"),
    state: Object.fromEntries(KEPT.map((name) => [name, model.get(name)])),
  };
  if (JSON.stringify(state) === JSON.stringify(saved[STATES]?.state)) return;
  book.setMetadata("widgets", { ...saved, [STATES]: { version_major: 2, version_minor: 0, state } });
}

// -- all of it --------------------------------------------------------------------------------------------------

function header(view) {
  const { model, state } = view;
  const tab = (key, text) =>
    make(
      "button",
      {
        role: "tab", class: "afterglow-tab", "aria-selected": String(model.get("tab") === key), "data-key": `tab ${key}`,
        onclick: () => { model.set("tab", key); model.save_changes(); },
      },
      text,
    );
  const said = [state.cell && `cell [${state.cell}]`, state.more && `${state.more} more before them`].filter(Boolean);
  return make(
    "div",
    { class: "afterglow-header" },
    make("strong", {}, counted(view.runs.length, "run")),
    make("span", { class: "afterglow-muted" }, said.join(" · ")),
    make("div", { role: "tablist", class: "afterglow-tabs" }, tab("runs", "Runs"), tab("comparison", "Run comparison")),
    make("span", { class: "afterglow-links" }, link("Spark UI", state.spark_ui)),
  );
}

function render({ model, el }) {
  const root = make("div", { class: "afterglow" });
  el.append(root);
  const asked = new Set();
  let late = 0;

  function viewNow() {
    const state = { runs: [], notes: [], ...model.get("state") };
    return { model, state, runs: state.runs, history: model.get("history"), ids: new Set(state.runs.map((run) => run.id)), late, asked, width: Math.max(320, root.clientWidth - 24 || 640) };
  }

  function draw() {
    const view = viewNow();
    const focus = root.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const body = model.get("tab") === "comparison" ? comparison(view) : table(view);
    root.replaceChildren(header(view), body, ...view.state.notes.map((note) => make("p", { class: "afterglow-note" }, note)));
    const focused = focus && [...root.querySelectorAll("[data-key]")].find((each) => each.dataset.key === focus);
    if (focused) focused.focus();
    try {
      keep(model);
    } catch (error) {
      console.info("Afterglow: this front end saves widgets in another way", error);
    }
  }

  function keepTime() {
    const { now } = model.get("state");
    late = now ? Date.now() - now : 0;
  }

  function tick() {
    const view = viewNow();
    for (const run of view.runs.filter(isLive)) {
      const cell = [...root.querySelectorAll("[data-run]")].find((each) => each.dataset.run === run.id);
      if (cell) cell.textContent = lasting(seconds(run, late));
    }
  }

  const fresh = () => { keepTime(); draw(); };
  model.on("change:state", fresh);
  for (const name of ["history", "tab", "chart", "open_runs"]) model.on(`change:${name}`, draw);
  const timer = setInterval(tick, 1000);
  let width = 0;
  const sized = new ResizeObserver(() => {
    if (Math.abs(root.clientWidth - width) < 8) return;
    width = root.clientWidth;
    draw();
  });
  sized.observe(root);
  // A notebook that is opened again later shows the kernel's last words: its clock stands then.
  if (Math.abs(Date.now() - (model.get("state").now ?? 0)) < 60_000) keepTime();
  else late = Date.now() - (model.get("state").now ?? Date.now());
  draw();
  return () => {
    clearInterval(timer);
    sized.disconnect();
    model.off("change:state", fresh);
    for (const name of ["history", "tab", "chart", "open_runs"]) model.off(`change:${name}`, draw);
  };
}

export default { render };
