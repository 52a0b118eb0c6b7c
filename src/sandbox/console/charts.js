// Four charts of the last minutes: match latency, waiting time, supply and demand, and trips by state. Each is an SVG with its
// numbers as text below it, for screen readers.

import { call } from "./api.js";
import { on } from "./bus.js";
import { h, seconds, svg, words } from "./dom.js";
import { between, buckets, parse, quantile } from "./prometheus.js";
import { count, hasDriver, riderInCar } from "./states.js";

const POINTS_MAX = 120; // one every two seconds: four minutes
const EVERY_MS = 2000;
const MATCH_WINDOW = 15; // readings that a quantile of match latency is taken over: half a minute
const WIDE = 320;
const HIGH = 96;

const milliseconds = (s) => (s === null ? "–" : s < 1 ? `${(s * 1000).toFixed(s < 0.01 ? 1 : 0)} ms` : `${s.toFixed(1)} s`);
const plain = (n) => (n === null ? "–" : String(Math.round(n)));
const duration = (s) => (s === null ? "–" : seconds(s));

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
  },
  {
    title: "Waiting riders",
    note: "how long riders without a driver have waited, domain time",
    series: [
      { name: "median", tint: "good", read: ({ world }) => world.waiting.p50_s },
      { name: "longest", tint: "warn", read: ({ world }) => world.waiting.max_s },
    ],
    show: duration,
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
];

export function createCharts(element) {
  const charts = CHARTS.map(createChart);
  element.replaceChildren(h("div.charts", {}, ...charts.map(({ figure }) => figure)));
  const histograms = [];
  let world = null;
  let isUp = true;
  on("world", (next) => (world = next));
  on("connection", (state) => (isUp = state === "up"));

  async function look() {
    if (!world || !isUp || document.hidden) return;
    const answer = await call({ as: null, path: "/metrics", quiet: true });
    if (!answer.ok) return;
    histograms.push(buckets(parse(answer.text), "ridematch_match_latency_seconds"));
    if (histograms.length > MATCH_WINDOW) histograms.shift();
    const match = between(histograms[0], histograms.at(-1));
    for (const chart of charts) chart.add({ world, match });
    if (!element.hidden) for (const chart of charts) chart.draw();
  }
  setInterval(look, EVERY_MS);
  // Data that arrived while the charts were hidden is drawn when they are shown.
  new MutationObserver(() => element.hidden || charts.forEach((chart) => chart.draw())).observe(element, { attributes: true });
}

function createChart({ title, note, series, show }) {
  const values = series.map(() => []);
  const lines = series.map(({ tint }) => svg("path", { class: `line ${tint}`, fill: "none" }));
  const dots = series.map(({ tint }) => svg("circle", { class: `dot ${tint}`, r: 3, visibility: "hidden" }));
  const top = svg("text", { x: 0, y: 10, class: "tick" });
  const grid = [0, 0.5, 1].map((share) => svg("line", { x1: 0, x2: WIDE, y1: yOf(share), y2: yOf(share), class: "grid" }));
  const picture = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": title }, ...grid, ...lines, ...dots, top);
  const numbers = series.map(() => h("strong", {}, "–"));
  const legend = h("ul.series", {}, ...series.map(({ name, tint }, i) => h("li", {}, h(`span.swatch.${tint}`), `${name} `, numbers[i])));
  const figure = h("figure.chart", {}, h("figcaption", {}, h("strong", {}, title), h("span.note", {}, note)), picture, legend);

  function add(reading) {
    for (const [i, { read }] of series.entries()) {
      const value = read(reading);
      values[i].push(Number.isFinite(value) ? value : null);
      if (values[i].length > POINTS_MAX) values[i].shift();
    }
  }

  function draw() {
    const highest = Math.max(...values.flat().filter((value) => value !== null), 0);
    const ceiling = round(highest);
    top.textContent = highest > 0 ? show(ceiling) : "";
    for (const [i, line] of lines.entries()) {
      line.setAttribute("d", path(values[i], ceiling));
      const last = values[i].at(-1) ?? null;
      numbers[i].textContent = show(last);
      dots[i].setAttribute("visibility", last === null ? "hidden" : "visible");
      dots[i].setAttribute("cx", xOf(values[i].length - 1, values[i].length));
      dots[i].setAttribute("cy", yOf((last ?? 0) / ceiling));
    }
    picture.setAttribute("aria-label", `${title}, ${words(note)}: ${series.map(({ name }, i) => `${name} ${numbers[i].textContent}`).join(", ")}`);
  }

  return { figure, add, draw };
}

/** The newest value is at the right edge. */
const xOf = (i, length) => WIDE - 4 - (length - 1 - i) * ((WIDE - 4) / (POINTS_MAX - 1));
const yOf = (share) => HIGH - 4 - share * (HIGH - 20);

/** Returns a line through the values, with a gap where one is missing. */
function path(values, ceiling) {
  let isDown = false;
  return values
    .map((value, i) => {
      const step = value === null ? "" : `${isDown ? "L" : "M"}${xOf(i, values.length).toFixed(1)} ${yOf(value / ceiling).toFixed(1)}`;
      isDown = value !== null;
      return step;
    })
    .join("");
}

/** Returns the smallest of 1, 2, 5, 10, 20 … that is at least the value. */
function round(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * power >= value) * power;
}
