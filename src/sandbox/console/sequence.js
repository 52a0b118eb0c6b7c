// A sequence diagram that is stepped through: a drawing, the same steps as a list of text, and the SQL of the current step.

import { h, svg } from "./dom.js";
import { objectLink } from "./object_link.js";

const ROW = 34;
const TOP = 12;
const NOTE_HALF = 8;
const CHAR = 6.1; // the width of a letter of a label, pixels
const EDGE = 6;
const STEP_MS = 1100;
const WIDE_LANE = 96; // below, lanes have short names
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** Shows a story, `{lanes, steps, leftOut}` of story.js. Returns `{element, replay, stop}`. */
export function createSequence({ lanes, steps, leftOut }) {
  let at = 0;
  let timer = null;
  let width = 0;
  const drawing = svg("svg.sequence", { "aria-hidden": "true" });
  const heads = h("div.lanes", { "aria-hidden": "true" }, lanes.map(({ label }) => h("span", {}, label)));
  const label = "Sequence diagram; its steps are listed as text below";
  const sheet = h("div.sequence-sheet", { tabindex: "0", role: "region", "aria-label": label }, drawing);
  const count = h("span.number.muted");
  const button = (text, onclick) => h("button", { type: "button", onclick }, text);
  const previous = button("Previous", () => go(at - 1));
  const next = button("Next", () => go(at + 1));
  next.classList.add("primary");
  const replay = button("Replay", play);
  const said = h("p.step-text", { role: "status" });
  const sql = h("div.step-sql");
  const rows = steps.map((step, index) => {
    const choose = h("button.step", { type: "button", onclick: () => go(index) },
      h("span.number.muted", {}, `${index + 1}`), h("span", {}, h("b", {}, route(step, lanes)), ` ${step.label}`));
    return h("li", {}, choose);
  });
  const list = h("ol.step-list", { "aria-label": "The steps" }, rows);
  const element = h("div.story-steps", { onkeydown: keys },
    h("div.sequence-box", {}, heads, sheet),
    h("div.step-now", {},
      h("div.actions", { role: "group", "aria-label": "Step through" }, previous, next, replay, count), said, sql),
    h("details.step-all", {}, h("summary", {}, `All ${steps.length} steps as text`), list,
      leftOut > 0 && h("p.muted.small", {}, `${leftOut} further steps are not shown.`)));

  function keys(event) {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by || !event.target.closest('[role="group"]')) return;
    event.preventDefault();
    go(at + by);
  }

  function go(wanted, isPlaying = false) {
    if (!isPlaying) stop();
    at = Math.max(0, Math.min(steps.length - 1, wanted));
    show();
  }

  function stop() {
    clearInterval(timer);
    timer = null;
  }

  /** Shows the steps from the first on, one after the other; without motion only the first. */
  function play() {
    go(0);
    if (still.matches) return;
    timer = setInterval(() => (at + 1 < steps.length && element.isConnected ? go(at + 1, true) : stop()), STEP_MS);
  }

  function show() {
    const step = steps[at];
    if (!step) return;
    // A disabled button loses the focus, so the ends only look so.
    previous.setAttribute("aria-disabled", at === 0);
    next.setAttribute("aria-disabled", at === steps.length - 1);
    count.textContent = `${at + 1} of ${steps.length}`;
    said.replaceChildren(step.text, " ", step.link ? objectLink(step.link.kind, step.link.id) : "");
    sql.replaceChildren(...(step.sql ?? []).map(statements));
    for (const [index, row] of rows.entries()) {
      if (index === at) row.firstChild.setAttribute("aria-current", "step");
      else row.firstChild.removeAttribute("aria-current");
    }
    draw();
    const bottom = TOP + (at + 1) * ROW + ROW;
    if (bottom > sheet.scrollTop + sheet.clientHeight || bottom - 2 * ROW < sheet.scrollTop) {
      sheet.scrollTop = Math.max(0, bottom - sheet.clientHeight);
    }
  }

  function draw() {
    if (width === 0) return;
    const x = (id) => ((lanes.findIndex((lane) => lane.id === id) + 0.5) * width) / lanes.length;
    const height = TOP + steps.length * ROW + ROW / 2;
    drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    drawing.setAttribute("width", width);
    drawing.setAttribute("height", height);
    const lines = lanes.map(({ id }) => svg("line.life", { x1: x(id), x2: x(id), y1: 0, y2: height }));
    drawing.replaceChildren(...lines, ...steps.map((step, index) => row(step, index, { x, at, width, go })));
  }

  new ResizeObserver(() => {
    if (sheet.clientWidth === width || sheet.clientWidth === 0) return;
    width = sheet.clientWidth;
    heads.classList.toggle("narrow", width / lanes.length < WIDE_LANE);
    draw();
  }).observe(sheet);
  show();
  return { element, replay: play, stop };
}

function route({ from, to }, lanes) {
  const name = (id) => lanes.find((lane) => lane.id === id)?.label ?? id;
  return from === to ? `${name(from)}:` : `${name(from)} → ${name(to)}:`;
}

/** One step of the drawing: an arrow with a label, or a note on its lane. Steps after the current one are faint. */
function row(step, index, { x, at, width, go }) {
  const y = TOP + index * ROW + ROW * 0.72;
  const look = index === at ? "now" : index < at ? "past" : "later";
  const label = fitted(step.label, width);
  const half = (label.length * CHAR) / 2;
  const inside = (center) => Math.max(half + EDGE, Math.min(width - half - EDGE, center));
  const hit = svg("rect.hit", { x: 0, y: y - ROW * 0.72, width, height: ROW });
  const parts = step.from === step.to ? note(step, label, { x, y, half, inside }) : arrow(step, label, { x, y, inside });
  return svg(`g.${look}.${step.kind}`, { onclick: () => go(index) }, hit, ...parts);
}

function note(step, label, { x, y, half, inside }) {
  const middle = inside(x(step.from));
  return [
    svg("rect.slip", { x: middle - half - EDGE, y: y - 3 - 2 * NOTE_HALF, width: 2 * half + 2 * EDGE, height: 2 * NOTE_HALF + 4, rx: 3 }),
    svg("text", { x: middle, y: y - NOTE_HALF + 3 }, label),
  ];
}

function arrow(step, label, { x, y, inside }) {
  const [from, to] = [x(step.from), x(step.to)];
  const way = Math.sign(to - from);
  const middle = (from + to) / 2;
  const tip = (at, way) => svg("path.tip", { d: `M${at} ${y}l${-7 * way} -4v8z` });
  const text = svg("text", { x: inside(middle), y: y - 6 }, label);
  if (step.kind === "lost") {
    return [
      svg("line", { x1: from, x2: middle - 9 * way, y1: y, y2: y }),
      svg("line.gone", { x1: middle + 9 * way, x2: to, y1: y, y2: y }),
      svg("path.cross", { d: `M${middle - 5} ${y - 5}l10 10m0 -10l-10 10` }),
      text,
    ];
  }
  return [svg("line", { x1: from, x2: to, y1: y, y2: y }), tip(to, way), step.kind === "both" && tip(from, -way), text].filter(Boolean);
}

function fitted(label, width) {
  const most = Math.floor((width - 2 * EDGE) / CHAR);
  return label.length > most ? `${label.slice(0, most - 1)}…` : label;
}

function statements({ statements: all, left_out }) {
  const ms = (us) => `${(us / 1000).toFixed(2)} ms`;
  const rows = all.map((one) => {
    const isEdge = ["BEGIN", "COMMIT", "ROLLBACK"].includes(one.sql);
    const rows = one.rows_affected || one.rows_returned;
    return h(isEdge ? "li.edge" : "li", {}, h("code", {}, one.sql),
      h("span.number.muted", {}, isEdge ? "" : `${rows} row${rows === 1 ? "" : "s"}`), h("span.number.muted", {}, ms(one.elapsed_us)));
  });
  return h("div", {}, h("ol.sql", { tabindex: "0", "aria-label": "SQL of this step" }, rows), left_out > 0 && h("p.muted.small", {}, `${left_out} more are not kept.`));
}
