// The names on the map: districts, parks and water, and roads along their lines. A name is drawn where it fits and meets no other one.
// Places are fixed on the ground, so that names stay where they are while the map is dragged.

import { near, toX, toY } from "./mercator.js";
import { color } from "./shapes.js";

const LABELS_MAX = 70;
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
const HALO_PX = 3;
const GAP_PX = 5; // between two names
const BEND_MAX = 0.22; // of a road under its name, radians
const REPEAT_PX = 420; // the same road is named again after this distance
const SAMPLES = 26; // in each direction, to find the widest place of an area

// The scales in meters per pixel up to which roads of a class are named.
const ROADS = { arterial: { until: 10, size: 11.5 }, avenue: { until: 5, size: 11 }, street: { until: 2.3, size: 10.5 }, lane: { until: 1.4, size: 10 } };
const AREAS = {
  district: { from: 1.6, until: 26, size: 11.5, weight: 650, spacing: 1.4, upper: true },
  park: { from: 0, until: 12, size: 11, weight: 550, spacing: 0.2 },
  water: { from: 0, until: 60, size: 12.5, weight: 500, spacing: 1.2, style: "italic " },
};

/** Creates the layer. */
export function createLabels(canvas) {
  const c = canvas.getContext("2d");
  let roads = []; // {name, class, points, along, length}, with the largest first
  let areas = []; // {name, kind, x, y, clear, turn}
  let ratio = 1;
  let taken = [];

  /** Takes the published map. */
  function set({ coordinates, roads: names, areas: list }) {
    const origin = coordinates[0] ? toX(coordinates[0][0][0]) : 0;
    const order = Object.keys(ROADS);
    roads = coordinates
      .map((line, index) => ({ ...names?.[index], line }))
      .filter(({ name }) => name)
      .map(({ name, class: kind, line }) => measured({ name, kind, points: line.map(([lon, lat]) => [near(toX(lon), origin), toY(lat)]) }))
      .sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind) || b.length - a.length);
    const box = boxOf(coordinates.flat().map(([lon, lat]) => [near(toX(lon), origin), toY(lat)]));
    const rings = (list ?? []).map(({ name, kind, ring }) => ({ name, kind, ring: ring.map(([lon, lat]) => [near(toX(lon), origin), toY(lat)]) }));
    // The name of a river is not in the sea: water that is drawn over other water has its name where it is alone.
    areas = rings.filter(({ name }) => name).map(({ name, kind, ring }) => {
      const others = rings.filter((other) => kind === "water" && other.kind === kind && other.ring !== ring).map((other) => other.ring);
      return { name, kind, ...widest(ring, box, kind, others) };
    });
    canvas.dataset.names = 0;
  }

  function measured(road) {
    const along = [0];
    for (let i = 1; i < road.points.length; i++) {
      const [from, to] = [road.points[i - 1], road.points[i]];
      along.push(along[i - 1] + Math.hypot(to[0] - from[0], to[1] - from[1]));
    }
    return { ...road, along, length: along.at(-1) };
  }

  function resize(width, height, dots) {
    ratio = dots;
    canvas.width = Math.max(1, Math.round(width * ratio));
    canvas.height = Math.max(1, Math.round(height * ratio));
  }

  function draw(view, meters) {
    const width = canvas.width / ratio, height = canvas.height / ratio;
    const metersPerPixel = meters / view.scale;
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, width, height);
    c.textAlign = "center";
    c.textBaseline = "middle";
    c.lineJoin = "round";
    taken = [];
    const px = ([x, y]) => [(near(x, view.x) - view.x) * view.scale + width / 2, (y - view.y) * view.scale + height / 2];
    const inView = ([x, y]) => x > 0 && y > 0 && x < width && y < height;
    for (const area of areas) drawArea(area, view, metersPerPixel, px, inView);
    for (const road of roads) {
      if (taken.length > LABELS_MAX * 4) break;
      drawRoad(road, view, metersPerPixel, px, inView);
    }
    canvas.dataset.names = taken.length;
  }

  function drawArea({ name, kind, x, y, clear, turn }, view, metersPerPixel, px, inView) {
    const look = AREAS[kind];
    const at = px([x, y]);
    if (metersPerPixel > look.until || metersPerPixel < look.from || !inView(at)) return;
    c.font = `${look.style ?? ""}${look.weight} ${look.size}px ${FONT}`;
    c.letterSpacing = `${look.spacing}px`;
    const text = look.upper ? name.toUpperCase() : name;
    const wide = c.measureText(text).width;
    // The name of a park or water lies within it; that of a district may leave it.
    if (kind !== "district" && clear * view.scale < look.size * 0.6) return;
    if (kind !== "district" && turn === 0 && clear * view.scale * 2.6 < wide) return;
    write(text, at, kind === "water" ? turn : 0, wide, look.size, `--map-${kind}-name`, kind === "water" ? "--map-water" : kind === "park" ? "--map-park" : "--map-district");
  }

  function drawRoad({ name, kind, points, along, length }, view, metersPerPixel, px, inView) {
    const look = ROADS[kind] ?? ROADS.street;
    if (metersPerPixel > look.until) return;
    c.font = `500 ${look.size}px ${FONT}`;
    c.letterSpacing = "0.2px";
    const wide = c.measureText(name).width;
    const need = (wide + 14) / view.scale;
    if (need > length) return;
    // Every so many pixels, but at places that do not depend on the view.
    const step = Math.max(need, 2 ** Math.ceil(Math.log2(REPEAT_PX / view.scale)));
    const places = Math.max(1, Math.floor(length / step));
    for (let n = 0; n < places; n++) {
      const middle = (length / places) * (n + 0.5);
      const [from, at, to] = [middle - need / 2, middle, middle + need / 2].map((distance) => pointAt(points, along, distance));
      const place = px(at);
      if (!inView(place)) continue;
      const turn = Math.atan2(to[1] - from[1], to[0] - from[0]);
      const halves = [Math.atan2(at[1] - from[1], at[0] - from[0]), Math.atan2(to[1] - at[1], to[0] - at[0])];
      if (Math.abs(wrapped(halves[0] - halves[1])) > BEND_MAX) continue;
      write(name, place, turn, wide, look.size, "--map-road-name", "--map-road-halo");
    }
  }

  /** Draws a text unless it meets another one. */
  function write(text, [x, y], turn, wide, size, ink, halo) {
    const upright = Math.abs(turn) > Math.PI / 2 ? turn + Math.PI : turn;
    // Circles along the text.
    const count = Math.max(1, Math.round(wide / size));
    const circles = [];
    for (let i = 0; i < count; i++) {
      const along = ((i + 0.5) / count - 0.5) * wide;
      circles.push([x + Math.cos(upright) * along, y + Math.sin(upright) * along, size / 2 + GAP_PX / 2]);
    }
    const meets = ([ax, ay, ar], [bx, by, br]) => Math.hypot(ax - bx, ay - by) < ar + br;
    if (taken.some((label) => Math.hypot(label.x - x, label.y - y) < (label.wide + wide) / 2 + size && label.circles.some((one) => circles.some((other) => meets(one, other))))) return;
    taken.push({ x, y, wide, circles });
    c.save();
    c.translate(x, y);
    c.rotate(upright);
    c.strokeStyle = color(halo);
    c.lineWidth = HALO_PX;
    c.strokeText(text, 0, 0);
    c.fillStyle = color(ink);
    c.fillText(text, 0, 0);
    c.restore();
  }

  return { set, resize, draw };
}

const wrapped = (angle) => angle - 2 * Math.PI * Math.round(angle / (2 * Math.PI));

/** Returns the point of a line at a distance from its start. */
function pointAt(points, along, distance) {
  let low = 0, high = along.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (along[middle] <= distance) low = middle;
    else high = middle;
  }
  const share = (distance - along[low]) / (along[high] - along[low] || 1);
  return [0, 1].map((axis) => points[low][axis] + (points[high][axis] - points[low][axis]) * share);
}

function boxOf(points) {
  const xs = points.map(([x]) => x), ys = points.map(([, y]) => y);
  const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
  const most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
  return { left: least(xs), right: most(xs), top: least(ys), bottom: most(ys) };
}

/** Returns the place of a ring, outside of others, that is farthest from its edge within a box, with that distance and the edge's direction. */
function widest(ring, limit, kind, others) {
  const own = boxOf(ring);
  const box = {
    left: Math.max(own.left, limit.left),
    right: Math.min(own.right, limit.right),
    top: Math.max(own.top, limit.top),
    bottom: Math.min(own.bottom, limit.bottom),
  };
  let best = { x: ring[0][0], y: ring[0][1], clear: 0, turn: 0 };
  for (let row = 0; row < SAMPLES; row++) {
    for (let column = 0; column < SAMPLES; column++) {
      const x = box.left + ((column + 0.5) / SAMPLES) * (box.right - box.left);
      const y = box.top + ((row + 0.5) / SAMPLES) * (box.bottom - box.top);
      if (!isInside(ring, x, y) || others.some((other) => isInside(other, x, y))) continue;
      const { apart, turn } = toEdge(ring, x, y);
      const clear = Math.min(apart, x - box.left, box.right - x);
      if (clear > best.clear) best = { x, y, clear, turn };
    }
  }
  // Only narrow water has its name along the edge.
  const isNarrow = kind === "water" && best.clear < (box.right - box.left) / 12;
  return { ...best, turn: isNarrow ? best.turn : 0 };
}

function isInside(ring, x, y) {
  let inside = false;
  for (let i = 1; i < ring.length; i++) {
    const [[ax, ay], [bx, by]] = [ring[i - 1], ring[i]];
    if (ay > y !== by > y && ax + ((y - ay) / (by - ay)) * (bx - ax) > x) inside = !inside;
  }
  return inside;
}

function toEdge(ring, x, y) {
  let found = { apart: Infinity, turn: 0 };
  for (let i = 1; i < ring.length; i++) {
    const [[ax, ay], [bx, by]] = [ring[i - 1], ring[i]];
    const [dx, dy] = [bx - ax, by - ay];
    const share = Math.max(0, Math.min(1, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1)));
    const apart = Math.hypot(x - ax - dx * share, y - ay - dy * share);
    if (apart < found.apart) found = { apart, turn: Math.atan2(dy, dx) };
  }
  return found;
}
