// A chart, as SVG.

const SERIES = 8; // colours in widget.css

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const DAY = 1440 * MINUTE;
const SPANS = [1, 2, 5, 10, 30].map((each) => each * SECOND).concat([1, 2, 5, 10, 30, 60, 120, 360, 720].map((each) => each * MINUTE));

/** The distance between two ticks that people can add up: of times, of whole numbers, or of any. */
function stepOf(rough, { time, whole }) {
  const span = time && SPANS.find((each) => each >= rough);
  if (span) return span;
  const unit = time ? DAY : 1;
  const ten = unit * 10 ** Math.floor(Math.log10(rough / unit));
  const step = [1, 2, 5, 10].map((each) => each * ten).find((each) => each >= rough) ?? rough;
  return whole || time ? Math.max(unit, step) : step;
}

function ticks(low, high, { count = 5, ...kind }) {
  const step = stepOf((high - low) / count || 1, kind);
  const zone = kind.time ? new Date(low).getTimezoneOffset() * MINUTE : 0;
  const found = [];
  for (let at = Math.ceil((low - zone) / step) * step + zone; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return found;
}

/** A scale of names, or of bars, in the order in which they come, with a place for each. */
function places(order, names, from, to) {
  const step = (to - from) / Math.max(1, order.length);
  const place = (value) => from + step * (order.indexOf(value) + 0.5);
  return { place, step, ticks: order.map((each, at) => [place(each), names[at]]) };
}

/** A scale from values to pixels, with its ticks: of numbers, or of names. */
function scale(values, from, to, kind = {}) {
  const numbers = values.map(asNumber);
  if (numbers.some((each) => each === null)) {
    const names = [...new Set(values.map(String))];
    const { place, ...rest } = places(names, names, from, to);
    return { place: (value) => place(String(value)), ...rest };
  }
  const [low, high] = bounds(numbers, kind);
  const place = (value) => from + ((asNumber(value) - low) / (high - low)) * (to - from);
  const text = (each) => (kind.time ? moment(each, high - low > DAY) : number(Number(each.toPrecision(12))));
  return { place, step: 0, ticks: ticks(low, high, kind).map((each) => [place(each), text(each)]) };
}

/** From where to where an axis goes: a little beyond its values, or from zero. */
function bounds(numbers, { zero, time }) {
  const low = Math.min(...numbers, ...(zero ? [0] : []));
  const high = Math.max(...numbers, ...(zero ? [0] : []));
  if (zero) return low === high ? [0, 1] : [low, high];
  const room = low === high ? (time ? MINUTE : (Math.abs(low) || 1) * 0.5) : (high - low) * 0.04;
  return [low - room, high + room];
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
  return series.flatMap((each) => {
    const points = choice.type === "line" ? [...each.points].sort((a, b) => xs.place(a.x) - xs.place(b.x)) : each.points;
    const shapes = points.map((point, at) => {
      const text = told(point, choice);
      const shape = choice.type === "bar" ? bar(point, at, xs, ys) : dot(point, choice.type === "scatter" ? 5 : points.length > 15 ? 2.5 : 4, xs, ys);
      shape.onpointerenter = () => say(text);
      shape.onpointerleave = () => say("");
      shape.append(make("svg:title", {}, text));
      return shape;
    });
    if (choice.type !== "line") return shapes;
    const path = points.map((point) => `${xs.place(point.x).toFixed(1)},${ys.place(point.y).toFixed(1)}`).join(" ");
    return [make("svg:polyline", { class: "afterglow-line", "data-series": each.at % SERIES, points: path }), ...shapes];
  });
}

function told(point, { x, y }) {
  const at = x === "start" ? new Date(point.x).toLocaleString("en-GB") : typeof point.x === "number" ? number(point.x) : point.x;
  return `${point.run.name}: ${label(x)} ${at}, ${label(y)} ${number(point.y)}`;
}

function bar(point, at, xs, ys) {
  const [top, ground] = [ys.place(point.y), ys.place(0)];
  const width = Math.min(48, Math.max(2, xs.step * 0.7));
  return make("svg:rect", {
    class: "afterglow-mark", "data-series": point.at % SERIES, rx: 2,
    x: xs.place(at) - width / 2, width, y: Math.min(top, ground), height: Math.max(1, Math.abs(ground - top)),
  });
}

function dot(point, r, xs, ys) {
  return make("svg:circle", { class: "afterglow-mark", "data-series": point.at % SERIES, cx: xs.place(point.x), cy: ys.place(point.y), r });
}

function picture(series, choice, { width, say }) {
  const height = 280;
  const margin = { top: 26, right: 16, bottom: 46, left: 64 };
  const points = series.flatMap((each) => each.points);
  const across = points.map((point) => point.x);
  const time = choice.x === "start";
  const days = time && Math.max(...across) - Math.min(...across) > DAY;
  const xs =
    choice.type === "bar"
      ? places([...across.keys()], across.map((each) => (time ? moment(each, days) : String(each))), margin.left, width - margin.right)
      : scale(across, margin.left, width - margin.right, { time, whole: choice.x === STEP, count: Math.max(2, Math.floor(width / 110)) });
  const ys = scale(points.map((point) => point.y), height - margin.bottom, margin.top, { zero: choice.type === "bar" });
  const names = { x: label(choice.x), y: label(choice.y) };
  return make(
    "svg:svg",
    { class: "afterglow-chart", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `${TYPES[choice.type]} chart of ${names.y} by ${names.x}` },
    ...axes(width, height, margin, xs, ys, names),
    ...marks(series, choice, xs, ys, say),
  );
}
