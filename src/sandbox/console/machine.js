// A state machine, drawn. The states and edges are the service's own (`GET /v1/sandbox/machines`); only where they stand is
// decided here, and a state that nobody gave a place still gets one, below the others.

import { call } from "./api.js";
import { svg, words } from "./dom.js";

/** Where the states stand: column and row. */
const PLACES = {
  trip: {
    requested: [0, 0], searching: [1, 0], offered: [2, 0],
    in_progress: [0, 1], arrived: [1, 1], assigned: [2, 1],
    payment_failed: [0, 3], no_driver: [1, 3], cancelled: [2, 3],
    completed: [0, 2], no_show: [1, 2], aborted: [2, 2],
  },
  offer: { pending: [1, 0], accepted: [0, 1], declined: [1, 1], expired: [2, 1], withdrawn: [1, 2] },
  payment: {
    authorizing: [0, 0], authorized: [1, 0], capturing: [2, 0], captured: [2, 1], voiding: [1, 1],
    declined: [0, 1], auth_expired: [0, 2], voided: [1, 2], capture_failed: [2, 2],
  },
  refund: { pending: [0, 0], succeeded: [1, 0], failed: [2, 0] },
};

const [COLUMN, ROW, WIDTH, HEIGHT, COLUMNS, MARGIN] = [124, 54, 96, 26, 3, 6];

let asked = null;

/** The machines by name; asked for once. */
export async function machines() {
  asked ??= call({ path: "/v1/sandbox/machines", as: null, quiet: true });
  const answer = await asked;
  if (!answer.ok) asked = null;
  return Object.fromEntries((answer.body?.machines ?? []).map((machine) => [machine.name, machine]));
}

/**
 * Draws a machine. `path` is the states that were gone through, oldest first; the last one is lit. Edges that lead to a state
 * from everywhere are drawn once they are taken: a web of them would say less than none.
 */
export function draw(machine, path) {
  const places = placed(machine);
  const current = path.at(-1);
  const taken = new Set(path.slice(1).map((state, index) => `${path[index]} ${state}`));
  const edges = joined(machine.edges).sort((a, b) => taken.has(key(a)) - taken.has(key(b)));
  const rows = Math.max(...Object.values(places).map(([, row]) => row)) + 1;
  const width = (COLUMNS - 1) * COLUMN + WIDTH + 2 * MARGIN;
  const height = (rows - 1) * ROW + HEIGHT + 2 * MARGIN;
  const title = `The ${machine.name} is ${words(current)}. It has been ${path.map(words).join(", then ")}.`;
  return svg("svg.machine", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title },
    edges.map((edge) => arrow(places[edge.from], places[edge.to], taken.has(key(edge)), edge)),
    machine.states.map(({ name }) => {
      const [x, y] = corner(places[name]);
      const isVisited = path.includes(name);
      return svg(name === current ? "g.current" : isVisited ? "g.visited" : "g", {},
        svg("rect", { x, y, width: WIDTH, height: HEIGHT, rx: 6 }),
        svg("text", { x: x + WIDTH / 2, y: y + HEIGHT / 2 }, words(name)));
    }));
}

const key = (edge) => `${edge.from} ${edge.to}`;
const corner = ([column, row]) => [MARGIN + column * COLUMN, MARGIN + row * ROW];

function placed(machine) {
  const places = { ...PLACES[machine.name] };
  let row = Math.max(-1, ...Object.values(places).map(([, row]) => row)) + 1;
  let column = 0;
  for (const { name } of machine.states) {
    if (places[name]) continue;
    places[name] = [column, row];
    column = (column + 1) % COLUMNS;
    row += column === 0 ? 1 : 0;
  }
  return places;
}

/** One edge for each pair of states, with everything that takes it. */
function joined(edges) {
  const pairs = new Map();
  for (const edge of edges) {
    const pair = pairs.get(key(edge)) ?? { from: edge.from, to: edge.to, by: [] };
    pair.by.push(words(edge.by));
    pairs.set(key(edge), pair);
  }
  return [...pairs.values()];
}

function arrow(from, to, isTaken, edge) {
  const line = route(from, to);
  const [a, b] = [line.at(-2), line.at(-1)];
  const angle = (Math.atan2(b[1] - a[1], b[0] - a[0]) * 180) / Math.PI;
  const classes = isTaken ? ".taken" : "";
  const d = line.length === 2 ? `M${line[0]} L${line[1]}` : `M${line[0]} Q${line[1]} ${line[2]}`;
  return svg("g", {},
    svg("title", {}, `${words(edge.from)} → ${words(edge.to)}: ${edge.by.join(", ")}`),
    svg(`path.edge${classes}`, { d }),
    svg(`path.tip${classes}`, { d: "M0 0 L-7 -3.5 L-7 3.5 Z", transform: `translate(${b}) rotate(${angle})` }));
}

/** From side to side: straight between neighbours, else bent around what stands between. */
function route(from, to) {
  const [x1, y1, x2, y2] = [...centre(from), ...centre(to)];
  const [columns, rows] = [to[0] - from[0], to[1] - from[1]];
  const [w, h] = [WIDTH / 2, HEIGHT / 2];
  if (rows === 0 && Math.abs(columns) === 1) {
    const s = Math.sign(columns);
    // There and back run side by side.
    return [[x1 + s * w, y1 - s * 5], [x2 - s * w, y2 - s * 5]];
  }
  if (rows === 0) {
    const up = from[1] === 0 ? -1 : 1;
    return [[x1, y1 + up * h], [(x1 + x2) / 2, y1 + up * (h + 26)], [x2, y2 + up * h]];
  }
  const s = Math.sign(rows);
  const shift = columns * 14 + s * 6;
  if (columns === 0 && Math.abs(rows) > 1) {
    return [[x1 + w, y1 + s * 4], [x1 + w + 22, (y1 + y2) / 2], [x2 + w, y2 - s * 4]];
  }
  return [[x1 + shift, y1 + s * h], [x2 - columns * 14 + s * 6, y2 - s * h]];
}

function centre(place) {
  const [x, y] = corner(place);
  return [x + WIDTH / 2, y + HEIGHT / 2];
}
