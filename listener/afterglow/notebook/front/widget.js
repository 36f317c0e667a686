// All of it: drawn anew whenever something of it has changed.

function header(view) {
  const { model, state } = view;
  const tab = (key, text) =>
    make(
      "button",
      {
        role: "tab", class: "afterglow-tab", "aria-selected": String(model.get("tab") === key),
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
  const asked = new Set(); // metrics whose history the kernel was asked for
  let said = ""; // of the mark that is pointed at
  let late = null; // how much later it is here than in the kernel, in ms; null before anything is heard of it

  function say(text) {
    said = text;
    const readout = root.querySelector(".afterglow-readout");
    if (readout) readout.textContent = text || " ";
  }

  function viewNow() {
    const state = { runs: [], notes: [], ...model.get("state") };
    const now = late === null ? state.now : Date.now() - late;
    return { model, state, runs: state.runs, history: model.get("history"), now, asked, said, say, width: Math.max(320, root.clientWidth - 24 || 640) };
  }

  function draw() {
    const view = viewNow();
    const body = model.get("tab") === "comparison" ? comparison(view) : table(view);
    const notes = view.state.notes.map((note) => make("p", { class: "afterglow-note" }, note));
    become(root, make("div", { class: "afterglow" }, header(view), body, ...notes));
    try {
      keep(model);
    } catch (error) {
      console.info("Afterglow: this front end saves widgets in another way", error);
    }
  }

  function hear() {
    late = Date.now() - model.get("state").now;
    draw();
  }

  model.on("change:state", hear);
  for (const name of ["history", "tab", "chart", "open_runs"]) model.on(`change:${name}`, draw);
  const timer = setInterval(() => late !== null && model.get("state").runs.some(isLive) && draw(), 1000);
  let width = 0;
  const sized = new ResizeObserver(() => {
    if (Math.abs(root.clientWidth - width) < 8) return;
    width = root.clientWidth;
    draw();
  });
  sized.observe(root);
  // The kernel speaks up every few seconds while runs are not over. Else this is a notebook of before: its clock stands.
  if (Math.abs(Date.now() - model.get("state").now) < 60_000) hear();
  else draw();
  return () => {
    clearInterval(timer);
    sized.disconnect();
    model.off("change:state", hear);
    for (const name of ["history", "tab", "chart", "open_runs"]) model.off(`change:${name}`, draw);
  };
}

export default { render };
