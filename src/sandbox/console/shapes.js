// Shapes and colors on the map. Each kind has a shape as well as a color, so that color vision is not needed. The colors are the
// CSS variables --map-…; cached colors are read again on the document's event `theme`.

const FULL_TURN = 2 * Math.PI;

/** The activities of drivers, by the numbers of the stream. */
export const DOING = [
  { name: "free", label: "free", tint: "--map-free", shape: disc },
  { name: "offered", label: "with an offer", tint: "--map-offered", shape: diamond },
  { name: "to_pickup", label: "to the pickup", tint: "--map-busy", shape: triangle },
  { name: "on_trip", label: "with a rider", tint: "--map-busy", shape: square },
  { name: "stale", label: "out of contact", tint: "--map-idle", shape: cross },
];

const still = matchMedia("(prefers-reduced-motion: reduce)");

/** Returns whether nothing may move that does not have to. */
export const isStill = () => still.matches;

/** A waiting rider. */
export const RIDER = { name: "waiting", label: "rider waiting", tint: "--map-rider", shape: target };

const colors = new Map();
document.addEventListener("theme", () => colors.clear());

/** Returns the current value of a color variable. */
export function color(tint) {
  if (!colors.has(tint)) colors.set(tint, getComputedStyle(document.documentElement).getPropertyValue(tint).trim() || "#888");
  return colors.get(tint);
}

/** Draws a shape around a point of a 2D context. */
export function drawShape(c, { shape }, ink, x, y, radius) {
  c.fillStyle = c.strokeStyle = ink;
  c.beginPath();
  shape(c, x, y, radius);
}

/** Draws a shape turned toward a heading, radians clockwise from north, with an edge and a nose that points there. */
export function drawHeading(c, { shape }, ink, edge, x, y, radius, heading) {
  const nose = () => polygon(c, [0, -radius * 1.7, radius * 0.75, -radius * 0.4, -radius * 0.75, -radius * 0.4]);
  c.save();
  c.translate(x, y);
  c.rotate(heading);
  c.lineJoin = "round";
  c.fillStyle = c.strokeStyle = edge;
  c.lineWidth = radius * 0.6;
  c.beginPath();
  nose();
  c.moveTo(radius * 0.9, 0);
  c.arc(0, 0, radius * 0.9, 0, FULL_TURN);
  c.stroke();
  c.fill();
  c.fillStyle = c.strokeStyle = ink;
  c.beginPath();
  nose();
  c.fill();
  c.beginPath();
  shape(c, 0, 0, radius);
  c.restore();
}

function disc(c, x, y, r) {
  c.arc(x, y, r * 0.85, 0, FULL_TURN);
  c.fill();
}

function diamond(c, x, y, r) {
  polygon(c, [x, y - r * 1.15, x + r * 1.15, y, x, y + r * 1.15, x - r * 1.15, y]);
  c.fill();
}

function triangle(c, x, y, r) {
  polygon(c, [x, y - r * 1.1, x + r * 1.05, y + r * 0.8, x - r * 1.05, y + r * 0.8]);
  c.fill();
}

function square(c, x, y, r) {
  c.fillRect(x - r * 0.8, y - r * 0.8, r * 1.6, r * 1.6);
}

function cross(c, x, y, r) {
  const d = r * 0.7;
  c.moveTo(x - d, y - d);
  c.lineTo(x + d, y + d);
  c.moveTo(x + d, y - d);
  c.lineTo(x - d, y + d);
  c.lineWidth = r * 0.45;
  c.stroke();
}

function target(c, x, y, r) {
  c.arc(x, y, r, 0, FULL_TURN);
  c.lineWidth = r * 0.4;
  c.stroke();
  c.beginPath();
  c.arc(x, y, r * 0.42, 0, FULL_TURN);
  c.fill();
}

function polygon(c, points) {
  c.moveTo(points[0], points[1]);
  for (let i = 2; i < points.length; i += 2) c.lineTo(points[i], points[i + 1]);
  c.closePath();
}
