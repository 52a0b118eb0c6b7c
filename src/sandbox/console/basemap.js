// The base map: ground, water, parks and roads by class. Drawn when the view changes, not when cars move. A class of roads is one path in
// coordinates of its own, so that a drawing is a few strokes, however many streets there are.

import { near, toX, toY } from "./mercator.js";
import { color } from "./shapes.js";

const UNIT = 2 ** 22; // units of the paths per unit of the world: 10 m at the equator, small numbers for a city
const PLAIN = "plain"; // the class of all lines of a map without roads

// From small to large, as they are drawn. Width on the ground in meters, least width in pixels, and the scale in meters per pixel beyond
// which they are not drawn.
const CLASSES = [
  { name: PLAIN, ink: "street", wide: 8, least: 1.1, until: Infinity },
  { name: "lane", wide: 6, least: 0.5, until: 9 },
  { name: "street", wide: 9, least: 0.75, until: 45 },
  { name: "avenue", wide: 15, least: 1.3, until: 110 },
  { name: "arterial", wide: 21, least: 1.9, until: Infinity },
];
const WIDTH_MAX = 30;
const CASED_FROM = 2.2; // narrower roads have no edge
const CASING = 1.8;

/** Creates the layer. */
export function createBasemap(canvas) {
  const c = canvas.getContext("2d", { alpha: false });
  let origin = { x: 0, y: 0 };
  let roads = new Map(); // Path2D by class
  let areas = []; // {kind, path}, in drawing order
  let box = null;
  let ratio = 1;

  const unitX = (lon) => (near(toX(lon), origin.x) - origin.x) * UNIT;
  const unitY = (lat) => (toY(lat) - origin.y) * UNIT;

  function trace(path, line) {
    path.moveTo(unitX(line[0][0]), unitY(line[0][1]));
    for (let i = 1; i < line.length; i++) path.lineTo(unitX(line[i][0]), unitY(line[i][1]));
  }

  /** Takes the published map: a GeoJSON MultiLineString with roads and areas beside it. */
  function set({ coordinates, roads: classes, areas: list }) {
    const first = coordinates[0]?.[0];
    origin = first ? { x: toX(first[0]), y: toY(first[1]) } : { x: 0, y: 0 };
    roads = new Map(CLASSES.map(({ name }) => [name, new Path2D()]));
    coordinates.forEach((line, index) => trace(roads.get(classes?.[index]?.class) ?? roads.get(PLAIN), line));
    const order = ["district", "park", "water"];
    areas = (list ?? []).toSorted((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind)).map(({ kind, ring }) => {
      const path = new Path2D();
      trace(path, ring);
      return { kind, path };
    });
    box = first ? boxOf(coordinates) : null;
  }

  function boxOf(lines) {
    const found = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
    for (const [lon, lat] of lines.flat()) {
      const x = near(toX(lon), origin.x), y = toY(lat);
      found.left = Math.min(found.left, x);
      found.right = Math.max(found.right, x);
      found.top = Math.min(found.top, y);
      found.bottom = Math.max(found.bottom, y);
    }
    return found;
  }

  function resize(width, height, dots) {
    ratio = dots;
    canvas.width = Math.max(1, Math.round(width * ratio));
    canvas.height = Math.max(1, Math.round(height * ratio));
  }

  function draw(view, meters) {
    const scale = view.scale * ratio;
    const metersPerPixel = meters / view.scale;
    c.setTransform(1, 0, 0, 1, 0, 0);
    // Without areas, all ground is that of a district: streets stand out from it.
    c.fillStyle = color(areas.length > 0 ? "--map-ground" : "--map-district");
    c.fillRect(0, 0, canvas.width, canvas.height);
    const zoom = scale / UNIT;
    const left = canvas.width / 2 - (view.x - near(origin.x, view.x)) * scale;
    c.setTransform(zoom, 0, 0, zoom, left, canvas.height / 2 - (view.y - origin.y) * scale);
    for (const { kind, path } of areas) {
      c.fillStyle = c.strokeStyle = color(`--map-${kind}`);
      c.fill(path);
      if (kind !== "district") continue;
      // Without this, the ground shows between two neighbors.
      c.lineWidth = ratio / zoom;
      c.stroke(path);
    }
    c.lineJoin = c.lineCap = "round";
    const shown = CLASSES.filter(({ until }) => metersPerPixel <= until).map(({ name, ink = name, wide, least }) => ({
      path: roads.get(name),
      name: ink,
      pixels: Math.max(least, Math.min(WIDTH_MAX, wide / metersPerPixel)),
    }));
    for (const { path, name, pixels } of shown) {
      if (path && pixels > CASED_FROM) stroke(path, `--map-${name}-edge`, pixels + CASING);
    }
    for (const { path, name, pixels } of shown) if (path) stroke(path, `--map-${name}`, pixels);
  }

  function stroke(path, ink, pixels) {
    c.strokeStyle = color(ink);
    c.lineWidth = (pixels * ratio) / c.getTransform().a;
    c.stroke(path);
  }

  return { set, resize, draw, bounds: () => box };
}
