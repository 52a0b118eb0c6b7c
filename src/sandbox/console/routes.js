// The way of a trip along the streets, for the trip that is selected or pointed at. Asked for when it is first drawn, and kept.

import { call } from "./api.js";
import { metersPerUnit, near, toX, toY } from "./mercator.js";

const KEPT_MAX = 60;
const ASK_AGAIN_MS = 3000;
const OFF_PATH_M = 80; // a car farther away than this takes another way

/** Creates the store. `changed()` is called when a route has arrived. */
export function createRoutes(changed) {
  const kept = new Map(); // by name: {points, askedAt}

  async function ask(name, from, to, now) {
    const entry = kept.get(name) ?? { points: null, askedAt: 0 };
    entry.askedAt = now;
    kept.delete(name);
    kept.set(name, entry);
    if (kept.size > KEPT_MAX) kept.delete(kept.keys().next().value);
    const query = `from_lat=${from.lat}&from_lon=${from.lon}&to_lat=${to.lat}&to_lon=${to.lon}`;
    const answer = await call({ as: null, path: `/v1/sandbox/route?${query}`, quiet: true });
    if (!answer.ok) return;
    const origin = toX(from.lon);
    entry.points = answer.body.coordinates.map(([lon, lat]) => ({ x: near(toX(lon), origin), y: toY(lat) }));
    changed();
  }

  /** Returns the points of a whole route, or null until it is known. */
  function whole(name, from, to, now) {
    const entry = kept.get(name);
    if (!entry || (!entry.points && now - entry.askedAt > ASK_AGAIN_MS)) ask(name, from, to, now);
    return kept.get(name)?.points ?? null;
  }

  /** Returns the points that a car still has before it: a known route from where the car is. `at` is the car in the world. */
  function rest(name, at, place, to, now) {
    const entry = kept.get(name);
    const found = entry?.points ? cut(entry.points, at) : null;
    const isOff = !found || found.apart * metersPerUnit(at.y) > OFF_PATH_M;
    if (isOff && now - (entry?.askedAt ?? -Infinity) > ASK_AGAIN_MS) ask(name, place, to, now);
    return found?.points ?? null;
  }

  return { whole, rest };
}

/** Returns the part of a line after the point nearest to a place, with the place before it. */
function cut(points, at) {
  let best = { apart: Infinity, next: 1 };
  for (let i = 1; i < points.length; i++) {
    const [a, b] = [points[i - 1], points[i]];
    const [dx, dy] = [b.x - a.x, b.y - a.y];
    const x = near(at.x, a.x);
    const share = Math.max(0, Math.min(1, ((x - a.x) * dx + (at.y - a.y) * dy) / (dx * dx + dy * dy || 1)));
    const apart = Math.hypot(x - a.x - dx * share, at.y - a.y - dy * share);
    // Of two equal ones, the later: a line may pass a place twice.
    if (apart <= best.apart) best = { apart, next: i };
  }
  return { apart: best.apart, points: [at, ...points.slice(best.next)] };
}
