// The streets: drawn when the view changes, not when cars move.

import { near, toX, toY } from "./mercator.js";
import { color } from "./shapes.js";

export function createStreets(canvas) {
  const c = canvas.getContext("2d");
  let lines = []; // Float64Arrays of x, y, x, y …
  let boxes = []; // of each line: left, top, right, bottom
  let box = null;
  let ratio = 1;

  /** Takes a GeoJSON MultiLineString. */
  function set({ coordinates }) {
    const first = coordinates[0]?.[0];
    const middle = first ? toX(first[0]) : 0;
    lines = coordinates.map((line) => Float64Array.from(line.flatMap(([lon, lat]) => [near(toX(lon), middle), toY(lat)])));
    boxes = lines.map((line) => boxOf([line]));
    box = lines.length > 0 ? boxOf(lines) : null;
  }

  function boxOf(some) {
    const found = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
    for (const line of some) {
      for (let i = 0; i < line.length; i += 2) {
        found.left = Math.min(found.left, line[i]);
        found.right = Math.max(found.right, line[i]);
        found.top = Math.min(found.top, line[i + 1]);
        found.bottom = Math.max(found.bottom, line[i + 1]);
      }
    }
    return found;
  }

  function resize(width, height, dots) {
    ratio = dots;
    canvas.width = Math.max(1, Math.round(width * ratio));
    canvas.height = Math.max(1, Math.round(height * ratio));
  }

  /** Draws those in view. */
  function draw(view, meters) {
    const scale = view.scale * ratio;
    const left = view.x - canvas.width / 2 / scale, top = view.y - canvas.height / 2 / scale;
    const right = left + canvas.width / scale, bottom = top + canvas.height / scale;
    c.fillStyle = color("--map-ground");
    c.fillRect(0, 0, canvas.width, canvas.height);
    c.strokeStyle = color("--map-street");
    c.lineJoin = c.lineCap = "round";
    // Streets are 7 m wide on the map, with a minimum width.
    c.lineWidth = Math.max(1.1, Math.min(14, (7 / meters) * view.scale)) * ratio;
    c.beginPath();
    for (let l = 0; l < lines.length; l++) {
      const its = boxes[l];
      if (its.right < left || its.left > right || its.bottom < top || its.top > bottom) continue;
      const line = lines[l];
      c.moveTo((line[0] - left) * scale, (line[1] - top) * scale);
      for (let i = 2; i < line.length; i += 2) c.lineTo((line[i] - left) * scale, (line[i + 1] - top) * scale);
    }
    c.stroke();
  }

  return { set, resize, draw, bounds: () => box };
}
