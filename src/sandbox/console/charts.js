// Five charts of the last minutes: match latency, waiting time, supply and demand, trips by state, and money captured. They share a
// time axis (this computer's clock), a crosshair, and the marks of what happened: a kill, a fault, a jump of domain time. Where the
// service did not answer there is a gap, never a zero. Each is an SVG with its numbers as text below it, for screen readers.

import { call } from "./api.js";
import { on } from "./bus.js";
import { h, money, seconds, svg, words } from "./dom.js";
import { between, buckets, parse, quantile } from "./prometheus.js";
import { count, hasDriver, riderInCar } from "./states.js";

const SPAN_MS = 240_000;
const EVERY_MS = 2000;
const GAP_MS = 3 * EVERY_MS; // readings further apart are not connected
const WORLD_MS = 4000; // the state of the city counts for so long
const WARM_MS = 6000; // after a restart, no free driver means that the positions are not loaded yet
const JUMP_MS = 5000; // a difference of two readings of the clock that is a jump
const MATCH_WINDOW = 15; // readings that a quantile of match latency is taken over: half a minute
const WIDE = 320;
const HIGH = 124;
const TOP = 26;
const BOTTOM = HIGH - 20;
const LABEL_PX = 34; // how wide the label of a mark is
const TICKS_S = [240, 180, 120, 60, 0];

const milliseconds = (s) => (s === null ? "–" : s < 1 ? `${(s * 1000).toFixed(s < 0.01 ? 1 : 0)} ms` : `${s.toFixed(1)} s`);
const plain = (n) => (n === null ? "–" : String(Math.round(n)));
const duration = (s) => (s === null ? "–" : seconds(s));
const dollars = (amount) => (amount === null ? "–" : money({ amount: Math.round(amount), currency: "USD" }));

/** Whether the driver of a trip in this state is on the way to the rider or waits there. */
const isComing = (state) => hasDriver(state) && !riderInCar(state);

const CHARTS = [
  {
    title: "Match latency",
    note: "payment authorized to first offer, real time, last 30 s",
    series: [
      { name: "p50", tint: "good", read: ({ match }) => quantile(match, 0.5) },
      { name: "p99", tint: "warn", read: ({ match }) => quantile(match, 0.99) },
    ],
    show: milliseconds,
    first: "after the next match",
  },
  {
    title: "Waiting riders",
    note: "how long riders without a driver have waited, domain time",
    series: [
      { name: "median", tint: "good", read: ({ world }) => world.waiting.p50_s },
      { name: "longest", tint: "warn", read: ({ world }) => world.waiting.max_s },
    ],
    show: duration,
    first: "when a rider waits",
  },
  {
    title: "Supply and demand",
    note: "free drivers, and riders whose car has not arrived",
    series: [
      { name: "free drivers", tint: "good", read: ({ world }) => world.drivers.free },
      { name: "waiting riders", tint: "bad", read: ({ world }) => world.waiting.count },
    ],
    show: plain,
  },
  {
    title: "Trips by state",
    note: "active trips",
    series: [
      { name: "looking", tint: "bad", read: ({ world }) => count(world.trips, (state) => !hasDriver(state)) },
      { name: "driver coming", tint: "accent", read: ({ world }) => count(world.trips, isComing) },
      { name: "under way", tint: "good", read: ({ world }) => count(world.trips, riderInCar) },
    ],
    show: plain,
  },
  {
    title: "Money captured",
    note: "captures in the ledger, USD, since the last reset",
    series: [{ name: "captured", tint: "good", read: ({ captured }) => captured }],
    show: dollars,
    first: "with the next reading of the ledger",
  },
];

/** Shows the charts. The readings go on while another panel is open. */
export function createCharts(element) {
  const charts = CHARTS.map((chart) => createChart(chart, { move: cross, key }));
  const when = h("p.chart-when.number", { role: "status" });
  element.replaceChildren(when, h("div.charts", {}, ...charts.map(({ figure }) => figure)));
  const readings = []; // {at, values}: values is null where the service did not answer
  const marks = []; // {at, text}
  const histograms = [];
  let world = null;
  let captured = null;
  let upSince = Date.now();
  let isUp = true;
  let at = null; // the time under the crosshair
  let clock = null;

  on("world", (next) => (world = { ...next, readAt: Date.now() }));
  on("connection", (state) => {
    if (state === "up" && !isUp) upSince = Date.now();
    isUp = state === "up";
    if (isUp) return;
    // Counters start again at zero, and the city is not known.
    histograms.length = 0;
    world = captured = null;
    add(null);
  });
  on("call", ({ request, ok }) => ok && mark(eventOf(request)));
  on("clock", (next) => {
    const now = performance.now();
    const expected = clock && clock.domain + (now - clock.at) * clock.scale;
    const domain = Date.parse(next.domain);
    if (clock && next.scale !== clock.scale) mark(`${next.scale}×`);
    else if (clock && domain - expected > JUMP_MS * Math.max(1, next.scale)) mark("jump");
    clock = { domain, scale: next.scale, at: now };
  });

  /** Marks what happened, once: this page and the clock may both report a jump. */
  function mark(text) {
    const last = marks.at(-1);
    if (!text || (last?.text === text && Date.now() - last.at < EVERY_MS)) return;
    marks.push({ at: Date.now(), text });
    draw();
  }

  function add(reading) {
    const now = Date.now();
    const values = reading && CHARTS.map(({ series }) => series.map(({ read }) => finite(read(reading))));
    readings.push({ at: now, values });
    while (readings[0].at < now - SPAN_MS) readings.shift();
    while (marks.length > 0 && marks[0].at < now - SPAN_MS) marks.shift();
    draw();
  }

  async function look() {
    if (document.hidden) return;
    if (readings.length === 0) draw();
    if (!isUp) return add(null);
    const [metrics, ledger] = await Promise.all([
      call({ as: null, path: "/metrics", quiet: true }),
      call({ as: "ops", path: "/v1/ops/ledger?account=clearing", quiet: true }),
    ]);
    if (!metrics.ok) return add(null);
    if (ledger.ok) captured = ledger.body.accounts.find(({ currency }) => currency === "USD")?.debits ?? 0;
    const isKnown = world?.matcher && Date.now() - world.readAt < WORLD_MS;
    const isWarm = Date.now() - upSince > WARM_MS || Object.values(world?.drivers ?? {}).some((n) => n > 0);
    // Before the first reading of the page, nothing is missing.
    if (!isKnown || !isWarm) return readings.length > 0 && add(null);
    histograms.push(buckets(parse(metrics.text), "ridematch_match_latency_seconds"));
    if (histograms.length > MATCH_WINDOW) histograms.shift();
    add({ world, captured, match: between(histograms[0], histograms.at(-1)) });
  }

  function draw() {
    if (element.hidden) return;
    const now = Date.now();
    const shown = at === null ? readings.at(-1) : nearest(readings, at);
    const starts_ms = Math.max(0, WARM_MS - (now - upSince)) + EVERY_MS;
    for (const [i, chart] of charts.entries()) chart.draw({ i, now, readings, marks, shown, starts_ms, isCrossed: at !== null });
    if (at === null) when.textContent = "Times are this computer's clock. Point at a chart, or use the arrow keys in it.";
    else if (shown) {
      const said = marks.filter((one) => Math.abs(one.at - shown.at) < EVERY_MS).map(({ text }) => text);
      when.textContent = `${new Date(shown.at).toLocaleTimeString("en-GB")}${shown.values ? "" : ": the service did not answer"}${said.length > 0 ? `: ${said.join(", ")}` : ""}`;
    }
  }

  /** Moves the crosshair of all charts to a share of the width; null removes it. */
  function cross(share) {
    at = share === null ? null : Date.now() - (1 - share) * SPAN_MS;
    draw();
  }

  function key(event) {
    const step = { ArrowLeft: -EVERY_MS, ArrowRight: EVERY_MS }[event.key];
    if (!step && event.key !== "Escape") return;
    event.preventDefault();
    at = step ? Math.min(Date.now(), (at ?? Date.now()) + step) : null;
    draw();
  }

  setInterval(look, EVERY_MS);
  // Data that arrived while the charts were hidden is drawn when they are shown.
  new MutationObserver(draw).observe(element, { attributes: true });
  draw();
}

const finite = (value) => (Number.isFinite(value) ? value : null);

/** Returns what a call of this page did to the service, in a word or two; null for any other call. */
function eventOf({ method, path, body }) {
  if (method === "POST" && path === "/v1/sandbox/kill") return "kill";
  if (method === "POST" && path === "/v1/sandbox/provider/faults") return "fault";
  if (method === "POST" && path === "/v1/sandbox/reset") return "reset";
  if (method === "POST" && path === "/v1/sandbox/clock") return body?.scale ? `${body.scale}×` : "jump";
  return null;
}

function nearest(readings, at) {
  let best = null;
  for (const reading of readings) if (!best || Math.abs(reading.at - at) < Math.abs(best.at - at)) best = reading;
  return best;
}

const xOf = (at, now) => WIDE - ((now - at) / SPAN_MS) * WIDE;
const yOf = (share) => BOTTOM - share * (BOTTOM - TOP);

function createChart({ title, note, series, show, first = "in a moment" }, { move, key }) {
  const lines = series.map(({ tint }) => svg("path", { class: `line ${tint}`, fill: "none" }));
  const dots = series.map(({ tint }) => svg("circle", { class: `dot ${tint}`, r: 3, visibility: "hidden" }));
  const top = svg("text", { x: 0, y: TOP - 3, class: "tick" });
  const grid = [0, 0.5, 1].map((share) => svg("line", { x1: 0, x2: WIDE, y1: yOf(share), y2: yOf(share), class: "grid" }));
  const axis = TICKS_S.map((s) =>
    svg("text", { x: Math.max(20, Math.min(WIDE - 14, WIDE - (s * 1000 * WIDE) / SPAN_MS)), y: HIGH - 3, class: "axis" }, s === 0 ? "now" : `−${s / 60} min`),
  );
  const behind = svg("g");
  const empty = svg("text", { class: "empty", x: WIDE / 2, y: (TOP + BOTTOM) / 2 });
  const crosshair = svg("line", { y1: TOP, y2: BOTTOM, class: "cross", visibility: "hidden" });
  const picture = svg(
    "svg",
    { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", tabindex: "0", "aria-label": title, onkeydown: key, onblur: () => move(null) },
    behind, ...grid, ...lines, ...dots, top, ...axis, empty, crosshair,
  );
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    move(Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)));
  });
  picture.addEventListener("pointerleave", () => move(null));
  const numbers = series.map(() => h("strong", {}, "–"));
  const legend = h("ul.series", {}, ...series.map(({ name, tint }, i) => h("li", {}, h(`span.swatch.${tint}`), `${name} `, numbers[i])));
  const figure = h("figure.chart", {}, h("figcaption", {}, h("strong", {}, title), h("span.note", {}, note)), picture, legend);

  /** Says when the first point comes, as long as there is none. */
  function showFirst(i, readings, starts_ms) {
    const isEmpty = !readings.some(({ values }) => values?.[i].some((value) => value !== null));
    const isReading = readings.some(({ values }) => values);
    const text = isReading ? `The first point comes ${first}.` : `The first point comes in about ${Math.round(starts_ms / 1000)} s.`;
    empty.textContent = isEmpty ? text : "";
  }

  function draw({ i, now, readings, marks, shown, starts_ms, isCrossed }) {
    showFirst(i, readings, starts_ms);
    const highest = Math.max(0, ...readings.flatMap(({ values }) => values?.[i].filter((value) => value !== null) ?? []));
    const ceiling = round(highest);
    top.textContent = highest > 0 ? show(ceiling) : "";
    for (const [k, line] of lines.entries()) {
      line.setAttribute("d", path(readings, (values) => values[i][k], ceiling, now));
      const value = shown?.values?.[i][k] ?? null;
      numbers[k].textContent = show(value);
      dots[k].setAttribute("visibility", value === null ? "hidden" : "visible");
      dots[k].setAttribute("cx", shown ? xOf(shown.at, now) : 0);
      dots[k].setAttribute("cy", yOf((value ?? 0) / ceiling));
    }
    behind.replaceChildren(...gaps(readings, now), ...annotations(marks, now));
    crosshair.setAttribute("visibility", isCrossed && shown ? "visible" : "hidden");
    for (const name of ["x1", "x2"]) crosshair.setAttribute(name, shown ? xOf(shown.at, now) : 0);
    picture.dataset.marks = marks.map(({ text }) => text).join(",");
    picture.setAttribute("aria-label", `${title}, ${words(note)}: ${series.map(({ name }, k) => `${name} ${numbers[k].textContent}`).join(", ")}`);
  }

  return { figure, draw };
}

/** Shades the times in which the service did not answer. */
function gaps(readings, now) {
  const shaded = [];
  for (let i = 0; i < readings.length; i++) {
    if (readings[i].values) continue;
    const from = readings[Math.max(0, i - 1)].at;
    while (i + 1 < readings.length && !readings[i + 1].values) i++;
    const until = readings[i + 1]?.at ?? now;
    const [x, end] = [xOf(from, now), xOf(until, now)];
    shaded.push(svg("rect", { class: "away", x, y: TOP, width: Math.max(1, end - x), height: BOTTOM - TOP }));
    if (end - x > 40) shaded.push(svg("text", { class: "away-text", x: (x + end) / 2, y: TOP + 10 }, "no service"));
  }
  return shaded;
}

/** Draws the marks, with labels in two rows. One without room in either has none: the crosshair names it. */
function annotations(marks, now) {
  const ends = [-Infinity, -Infinity]; // of the last label in each row
  return marks.flatMap(({ at, text }) => {
    const x = xOf(at, now);
    const from = Math.min(x + 2, WIDE - LABEL_PX);
    const line = svg("line", { class: "event", x1: x, x2: x, y1: 12, y2: BOTTOM });
    const row = ends.findIndex((end) => from >= end);
    if (row < 0) return [line];
    ends[row] = from + LABEL_PX;
    return [line, svg("text", { class: "event-text", x: from, y: row === 0 ? 11 : 23 }, text)];
  });
}

/** Returns a line through the values, with a gap where one is missing. */
function path(readings, read, ceiling, now) {
  let last = null;
  return readings
    .map(({ at, values }) => {
      const value = values && read(values);
      if (value === null || value === undefined) return ((last = null), "");
      const isJoined = last !== null && at - last < GAP_MS;
      last = at;
      return `${isJoined ? "L" : "M"}${xOf(at, now).toFixed(1)} ${yOf(value / ceiling).toFixed(1)}`;
    })
    .join("");
}

/** Returns the smallest of 1, 2, 5, 10, 20 … that is at least the value. */
function round(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * power >= value) * power;
}
