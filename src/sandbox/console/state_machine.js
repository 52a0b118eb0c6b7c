// Draws a state machine. The states and transitions come from the service (`GET /v1/sandbox/state_machines`); this file decides
// only their places, and a state without a place is drawn below the others.
//
// The usual path goes down the left column; the other final states are at the right. A transition to the next row is straight.
// Every other one joins a shared line of its target state, so that ten transitions into one state are one line with ten branches.

import { call } from "./api.js";
import { svg, words } from "./dom.js";

/** The places of the states: column (0 or 1) and row. */
const PLACES = {
  trip: {
    requested: [0, 0],
    searching: [0, 1],
    offered: [0, 2],
    assigned: [0, 3],
    arrived: [0, 4],
    in_progress: [0, 5],
    completed: [0, 6],
    payment_failed: [1, 0],
    no_driver: [1, 2],
    cancelled: [1, 3],
    no_show: [1, 4],
    aborted: [1, 5],
  },
  offer: { pending: [0, 0], accepted: [1, 0], declined: [1, 1], expired: [1, 2], withdrawn: [1, 3] },
  payment: {
    authorizing: [0, 0],
    authorized: [0, 1],
    capturing: [0, 2],
    captured: [0, 3],
    declined: [1, 0],
    auth_expired: [1, 1],
    voiding: [1, 2],
    voided: [1, 3],
    capture_failed: [1, 4],
  },
  refund: { pending: [0, 0], succeeded: [1, 0], failed: [1, 1] },
};

const [WIDTH, HEIGHT, ROW] = [108, 25, 39];
const LEFTS = [30, 218];
const PICTURE_WIDTH = 340;
const MARGIN = 4;
const RAIL = 9;
const CORNER = 5;
/** The offsets from a box's center at which its transitions leave it, in order of use. */
const EXITS = [0, -7, 7, -3.5, 3.5, -10, 10];

let asked = null;

/** The state machines by name, fetched once. */
export async function machines() {
  asked ??= call({ path: "/v1/sandbox/state_machines", as: null, quiet: true });
  const answer = await asked;
  if (!answer.ok) asked = null;
  return Object.fromEntries((answer.body?.state_machines ?? []).map((machine) => [machine.name, machine]));
}

/** Draws a state machine. `path` is the visited states, oldest first; the last one is highlighted. */
export function draw(machine, path) {
  const places = placed(machine);
  const current = path.at(-1);
  const taken = new Set(path.slice(1).map((state, index) => `${path[index]} ${state}`));
  const lines = routes(joined(machine.edges), places);
  lines.sort((a, b) => taken.has(a.key) - taken.has(b.key));
  const rows = Math.max(...Object.values(places).map(([, row]) => row));
  const before = path.length > 1 ? ` Before: ${path.slice(0, -1).map(words).join(", ")}.` : "";
  return svg(
    "svg.machine",
    {
      viewBox: `0 0 ${PICTURE_WIDTH} ${rows * ROW + HEIGHT + 2 * MARGIN}`,
      role: "img",
      "aria-label": `The ${machine.name} is ${words(current)}.${before}`,
    },
    lines.map((line) => arrow(line, taken.has(line.key))),
    machine.states.map(({ name, is_end }) => {
      const look = name === current ? ".current" : path.includes(name) ? ".visited" : "";
      const { left, top, middle } = box(places[name]);
      return svg(
        `g${look}${is_end ? ".end" : ""}`,
        {},
        svg("rect", { x: left, y: top, width: WIDTH, height: HEIGHT, rx: is_end ? HEIGHT / 2 : 6 }),
        svg("text", { x: left + WIDTH / 2, y: middle }, words(name)),
      );
    }),
  );
}

function placed(machine) {
  const places = { ...PLACES[machine.name] };
  for (const { name } of machine.states) {
    const right = Object.values(places).filter(([column]) => column === 1);
    places[name] ??= [1, Math.max(-1, ...right.map(([, row]) => row)) + 1];
  }
  return places;
}

function box([column, row]) {
  const top = MARGIN + row * ROW;
  return { left: LEFTS[column], right: LEFTS[column] + WIDTH, top, bottom: top + HEIGHT, middle: top + HEIGHT / 2 };
}

/** Returns one edge for each pair of states, with its commands. */
function joined(edges) {
  const pairs = new Map();
  for (const { from, to, by } of edges) {
    const key = `${from} ${to}`;
    const pair = pairs.get(key) ?? { key, from, to, by: [] };
    pair.by.push(words(by));
    pairs.set(key, pair);
  }
  return [...pairs.values()];
}

/** Gives each edge a route: a list of points, each horizontally or vertically from the previous one. */
function routes(edges, places) {
  const isStraight = ({ from, to }) => places[from][0] === places[to][0] && places[to][1] - places[from][1] === 1;
  const rails = { left: [], between: [], right: [] };
  const exits = new Map();
  const sideOf = ({ from, to }) =>
    places[from][0] !== places[to][0] ? "between" : places[from][0] === 0 ? "left" : "right";
  for (const edge of edges.filter((edge) => !isStraight(edge))) {
    const side = rails[sideOf(edge)];
    if (!side.includes(edge.to)) side.push(edge.to);
  }
  rails.between.sort((a, b) => places[b][1] - places[a][1]);
  return edges.map((edge) => {
    const [from, to] = [box(places[edge.from]), box(places[edge.to])];
    if (isStraight(edge)) {
      const x = from.left + WIDTH / 2;
      return {
        ...edge,
        points: [
          [x, from.bottom],
          [x, to.top],
        ],
      };
    }
    const side = sideOf(edge);
    const exit = `${edge.from} ${side}`;
    const taken = exits.get(exit) ?? [];
    const isLevel = from.middle === to.middle;
    const shift = isLevel ? 0 : (EXITS.slice(1).find((one) => !taken.includes(one)) ?? 0);
    exits.set(exit, [...taken, shift]);
    const goesLeft = side === "left" || (side === "between" && places[edge.from][0] === 1);
    const [x1, x2] =
      side === "between"
        ? goesLeft
          ? [from.left, to.right]
          : [from.right, to.left]
        : goesLeft
          ? [from.left, to.left]
          : [from.right, to.right];
    const y1 = from.middle + shift;
    const rail = railOf(side, rails[side].indexOf(edge.to), rails[side].length);
    return {
      ...edge,
      points: isLevel
        ? [
            [x1, y1],
            [x2, to.middle],
          ]
        : [
            [x1, y1],
            [rail, y1],
            [rail, to.middle],
            [x2, to.middle],
          ],
    };
  });
}

function railOf(side, index, count) {
  if (side === "left") return LEFTS[0] - RAIL * (index + 1);
  if (side === "right") return LEFTS[1] + WIDTH + RAIL * (index + 1);
  const [from, to] = [LEFTS[0] + WIDTH + 12, LEFTS[1] - 16];
  return count === 1 ? (from + to) / 2 : from + ((to - from) * index) / (count - 1);
}

function arrow({ from, to, by, points }, isTaken) {
  const [before, last] = points.slice(-2);
  const angle = (Math.atan2(last[1] - before[1], last[0] - before[0]) * 180) / Math.PI;
  const look = isTaken ? ".taken" : "";
  return svg(
    "g",
    {},
    svg("title", {}, `${words(from)} → ${words(to)}: ${by.join(", ")}`),
    svg(`path.edge${look}`, { d: rounded(points) }),
    svg(`path.tip${look}`, { d: "M0 0 L-7 -3.5 L-7 3.5 Z", transform: `translate(${last}) rotate(${angle})` }),
  );
}

/** Returns the points as a path with round corners. */
function rounded(points) {
  let d = `M${points[0]}`;
  for (let i = 1; i < points.length - 1; i++) {
    const [a, b] = [cut(points[i], points[i - 1]), cut(points[i], points[i + 1])];
    d += ` L${a} Q${points[i]} ${b}`;
  }
  return `${d} L${points.at(-1)}`;
}

/** Returns the point at a small distance from `corner` toward `other`. */
function cut(corner, other) {
  const [dx, dy] = [other[0] - corner[0], other[1] - corner[1]];
  const length = Math.hypot(dx, dy);
  const share = length === 0 ? 0 : Math.min(CORNER, length / 2) / length;
  return [corner[0] + dx * share, corner[1] + dy * share];
}
