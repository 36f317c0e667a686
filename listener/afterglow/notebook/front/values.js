// What runs have, as people read it.

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

/** Seconds that a run took, or has taken until `now`, in ms. */
function seconds(run, now) {
  if (run.start === null || run.start === undefined) return null;
  return Math.max(0, (run.end ?? now) - run.start) / 1000;
}

/** A moment, with its day where the days differ. */
function moment(ms, days) {
  const time = new Date(ms).toLocaleTimeString("en-GB");
  return days ? `${new Date(ms).toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${time.slice(0, 5)}` : time;
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
