// A small chart of one metric.

const NS = "http://www.w3.org/2000/svg";
const WIDTH = 240;
const HEIGHT = 72;

function element(name, attributes) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Draws `[[seconds, value], …]` over the range; a gap of more than `gap` seconds is left open. */
export function chart(points, { from, until, gap = 10 }) {
  const shown = points.filter(([at]) => at >= from && at <= until);
  const values = shown.map(([, value]) => value);
  const [low, high] = [Math.min(0, ...values), Math.max(1e-9, ...values)];
  const x = (at) => ((at - from) / Math.max(1, until - from)) * WIDTH;
  const y = (value) => HEIGHT - 4 - ((value - low) / (high - low)) * (HEIGHT - 8);
  const drawing = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  drawing.append(element("line", { x1: 0, x2: WIDTH, y1: y(0), y2: y(0) }));
  let line = [];
  const draw = () => {
    if (line.length > 0) drawing.append(element("polyline", { points: line.join(" ") }));
    line = [];
  };
  for (const [index, [at, value]] of shown.entries()) {
    if (index > 0 && at - shown[index - 1][0] > gap) draw();
    line.push(`${x(at).toFixed(1)},${y(value).toFixed(1)}`);
  }
  draw();
  return drawing;
}
