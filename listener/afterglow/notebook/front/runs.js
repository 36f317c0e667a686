// The runs as a table.

const MAX_METRICS = 4;
const MAX_PAIRS = 3;

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
  let room = view.width - 300 - (spark ? 175 : 0) - (params ? 90 : 0) - (links ? 125 : 0);
  const fits = (key, at) => {
    room -= Math.min(164, Math.max(78, 24 + key.length * 6.5)); // as widget.css has them
    return at === 0 || room > -40;
  };
  return { spark, params, links, metrics: keys(view.runs, "metrics").slice(0, MAX_METRICS).filter(fits) };
}

function runRows(run, columns, view) {
  const { model, now } = view;
  const open = model.get("open_runs").includes(run.id);
  const toggle = () => {
    const others = model.get("open_runs").filter((each) => each !== run.id);
    model.set("open_runs", open ? others : [...others, run.id]);
    model.save_changes();
  };
  const cells = [
    make(
      "td",
      { style: run.depth ? `padding-left:${12 + 16 * Math.min(run.depth, 5)}px` : null },
      make(
        "button",
        { class: "afterglow-toggle", "aria-expanded": String(open), onclick: toggle },
        make("span", { class: "afterglow-arrow", "aria-hidden": "true" }, open ? "▾" : "▸"),
        make("span", { class: "afterglow-name", title: run.name }, run.name),
      ),
    ),
    make("td", {}, statusCell(run)),
    make("td", { class: "afterglow-number" }, lasting(seconds(run, now))),
    ...columns.metrics.map((key) => make("td", { class: "afterglow-number" }, key in run.metrics ? number(run.metrics[key]) : "")),
    columns.params && make("td", { class: "afterglow-rest" }, pairs(run.params)),
    columns.spark && make("td", {}, sparkCell(run)),
    columns.links && make("td", { class: "afterglow-links" }, link("Monitor", run.monitor), link("MLflow", run.mlflow)),
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
