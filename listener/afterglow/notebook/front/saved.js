// What a saved notebook keeps.

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
