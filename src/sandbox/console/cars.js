// The drivers: their positions, animated from one report to the next, and their image.
//
// Ten thousand of them move on every frame, so there are no objects: a driver is an index (the handle of the stream) into typed
// arrays. Drawing one copies about fifty pixels of a sprite, made once for each state and heading, into a buffer that goes to the canvas as a
// whole. Headings come from the last move; seen from far away a car has none, and no trail. That costs the same with or without a graphics card; a path or an image for each car costs three times as much. Nothing
// is allocated on a frame.

import { toX, toY } from "./mercator.js";
import { DOING, color, drawHeading, drawShape, isStill } from "./shapes.js";

const ABSENT = 255;
const WHOLE = 1;
const HEADER_BYTES = 48;
const STEPS = 65_535;
const ROOM_FIRST = 1024;

// The duration of an animation is the interval between two positions, within these bounds.
const GLIDE_MIN_MS = 200;
const GLIDE_MAX_MS = 4500;

// Beyond this share of the world (800 m) a car jumps instead.
const LEAP = 2e-5;

// From this radius on, cars show their headings; there are so many.
const TURNED_FROM = 4;
const HEADINGS = 32;
const NO_HEADING = HEADINGS;
const TURN_MIN = 5e-8; // of the world, 2 m: a shorter move does not turn a car
const TRAILS_FROM = 5.5; // the radius
const TRAIL_ALPHA = 160; // at the car, of 255
const TRAILS_MAX = 600; // cars in view
const TRAIL_POINTS = 8; // where a car was, each this share of the world from the one before: 15 m
const TRAIL_STEP = 3.7e-7;

/** The most pixels of the cars' canvas. Beyond that it is drawn at a lower resolution. */
const PIXELS_MAX = 2_000_000;

export function createCars(canvas) {
  const c = canvas.getContext("2d", { willReadFrequently: true });
  let fromX, fromY, toXs, toYs, trailX, trailY, trailEnd, began, lasts, receivedAt, states, headings;
  let room = 0;
  let count = 0; // handles that were ever used
  let there = 0; // drivers who are there
  let movingUntil = 0;
  let image = null, pixels = null, pad = 0, stride = 0, sharpness = 1;
  let sprites = [], spriteRadius = 0;
  let drawnBefore = 0;

  function grow(needed) {
    const next = Math.max(ROOM_FIRST, room * 2, needed);
    const wider = (old, Kind, each = 1) => {
      const array = new Kind(next * each);
      if (old) array.set(old);
      return array;
    };
    fromX = wider(fromX, Float64Array);
    fromY = wider(fromY, Float64Array);
    toXs = wider(toXs, Float64Array);
    toYs = wider(toYs, Float64Array);
    trailX = wider(trailX, Float64Array, TRAIL_POINTS);
    trailY = wider(trailY, Float64Array, TRAIL_POINTS);
    trailEnd = wider(trailEnd, Uint8Array);
    headings = wider(headings, Uint8Array);
    began = wider(began, Float64Array);
    lasts = wider(lasts, Float32Array);
    receivedAt = wider(receivedAt, Float64Array);
    const old = states;
    states = new Uint8Array(next).fill(ABSENT);
    if (old) states.set(old);
    room = next;
  }
  grow(ROOM_FIRST);

  /** Returns the progress of a car's animation, 0 to 1. */
  const share = (car, now) => (now >= began[car] + lasts[car] ? 1 : (now - began[car]) / lasts[car]);
  const xOf = (car, now) => fromX[car] + (toXs[car] - fromX[car]) * share(car, now);
  const yOf = (car, now) => fromY[car] + (toYs[car] - fromY[car]) * share(car, now);

  /** Reads a frame of the stream; the OpenAPI document describes its layout at `GET /v1/sandbox/live`. */
  function apply(buffer, now) {
    const head = new DataView(buffer);
    const kind = head.getUint8(0), n = head.getUint32(4, true), m = head.getUint32(8, true);
    const edge = (index) => head.getFloat64(16 + 8 * index, true);
    const south = edge(0), west = toX(edge(1)), high = edge(2) - south, wide = toX(edge(3)) - west;
    let at = HEADER_BYTES;
    const handles = new Uint32Array(buffer, at, n);
    const gone = new Uint32Array(buffer, (at += 4 * n), m);
    const xs = new Uint16Array(buffer, (at += 4 * m), n);
    const ys = new Uint16Array(buffer, (at += 2 * n), n);
    const doing = new Uint8Array(buffer, (at += 2 * n), n);

    // A new view: drivers already in it keep their animation, the others are removed.
    const known = kind === WHOLE ? states.slice(0, count) : null;
    if (known) {
      states.fill(ABSENT, 0, count);
      there = 0;
    }
    for (let i = 0; i < n; i++) {
      const car = handles[i];
      if (car >= room) grow(car + 1);
      if (car >= count) count = car + 1;
      const isKnown = known ? known[car] !== undefined && known[car] !== ABSENT : states[car] !== ABSENT;
      if (states[car] === ABSENT) there++;
      states[car] = Math.min(doing[i], DOING.length - 1);
      headFor(car, west + (wide * xs[i]) / STEPS, toY(south + (high * ys[i]) / STEPS), isKnown, now);
    }
    for (let i = 0; i < m; i++) {
      if (gone[i] < count && states[gone[i]] !== ABSENT) {
        states[gone[i]] = ABSENT;
        there--;
      }
    }
  }

  function headFor(car, x, y, isKnown, now) {
    const isHere = Math.abs(x - toXs[car]) < 1e-9 && Math.abs(y - toYs[car]) < 1e-9;
    if (isKnown && isHere) return; // only its state is new
    const leaps = !isKnown || Math.abs(x - toXs[car]) > LEAP || Math.abs(y - toYs[car]) > LEAP;
    const waited = now - receivedAt[car];
    if (leaps) {
      fromX[car] = x;
      fromY[car] = y;
      trailX.fill(x, car * TRAIL_POINTS, (car + 1) * TRAIL_POINTS);
      trailY.fill(y, car * TRAIL_POINTS, (car + 1) * TRAIL_POINTS);
      lasts[car] = 0;
      headings[car] = NO_HEADING;
    } else {
      const hereX = xOf(car, now), hereY = yOf(car, now);
      const dx = x - toXs[car], dy = y - toYs[car];
      if (Math.abs(dx) + Math.abs(dy) > TURN_MIN) {
        headings[car] = (Math.round((Math.atan2(dx, -dy) / (2 * Math.PI)) * HEADINGS) + HEADINGS) % HEADINGS;
      }
      const end = car * TRAIL_POINTS + trailEnd[car];
      if (Math.abs(toXs[car] - trailX[end]) + Math.abs(toYs[car] - trailY[end]) > TRAIL_STEP) {
        trailEnd[car] = (trailEnd[car] + 1) % TRAIL_POINTS;
        trailX[car * TRAIL_POINTS + trailEnd[car]] = toXs[car];
        trailY[car * TRAIL_POINTS + trailEnd[car]] = toYs[car];
      }
      fromX[car] = hereX;
      fromY[car] = hereY;
      // Without motion a car is at once where it was reported.
      lasts[car] = isStill() ? 0 : Math.max(GLIDE_MIN_MS, Math.min(GLIDE_MAX_MS, waited));
    }
    toXs[car] = x;
    toYs[car] = y;
    began[car] = receivedAt[car] = now;
    movingUntil = Math.max(movingUntil, now + lasts[car]);
  }

  /** Removes all drivers: a new connection has new handles. */
  function clear() {
    states.fill(ABSENT);
    there = count = 0;
  }

  /** Resizes the buffer for a canvas of this size in CSS pixels and the given device pixel ratio. */
  function resize(width, height, ratio) {
    sharpness = Math.min(ratio, Math.sqrt(PIXELS_MAX / Math.max(1, width * height)));
    canvas.width = Math.max(1, Math.round(width * sharpness));
    canvas.height = Math.max(1, Math.round(height * sharpness));
    image = null;
  }

  /** Redraws the sprites for another zoom, theme or screen. */
  function dress(radius) {
    spriteRadius = radius;
    const r = radius * sharpness;
    const isTurned = radius >= TURNED_FROM;
    const side = 2 * Math.ceil(r * (isTurned ? 2 : 1.3)) + 1;
    pad = side;
    stride = canvas.width + 2 * pad;
    image = new ImageData(stride, canvas.height + 2 * pad);
    pixels = new Uint32Array(image.data.buffer);
    const sheet = new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true });
    const edge = color("--map-halo");
    sprites = DOING.map((look) => Array.from({ length: isTurned ? HEADINGS + 1 : 1 }, (_, heading) => {
      sheet.clearRect(0, 0, side, side);
      const turn = (heading / HEADINGS) * 2 * Math.PI;
      if (isTurned && heading !== NO_HEADING) drawHeading(sheet, look, color(look.tint), edge, side / 2, side / 2, r, turn);
      else drawShape(sheet, look, color(look.tint), side / 2, side / 2, r);
      const drawn = new Uint32Array(sheet.getImageData(0, 0, side, side).data.buffer);
      const inked = [...drawn.keys()].filter((at) => drawn[at] !== 0);
      const middle = (side - 1) / 2;
      return {
        offsets: Int32Array.from(inked, (at) => (Math.floor(at / side) - middle) * stride + (at % side) - middle),
        inks: Uint32Array.from(inked, (at) => drawn[at]),
        ink: drawn[middle * side + middle],
      };
    }));
  }

  /** Draws all drivers. The view is `{x, y, scale}`: the center of the canvas, and CSS pixels per unit of the world. */
  function draw(view, radius, now) {
    if (!image || radius !== spriteRadius) dress(radius);
    pixels.fill(0);
    const { width, height } = canvas;
    const scale = view.scale * sharpness;
    const left = view.x - width / 2 / scale, top = view.y - height / 2 / scale;
    const right = width + pad - 1, bottom = height + pad - 1, edge = pad >> 1;
    const isTurned = radius >= TURNED_FROM;
    const hasTrails = radius >= TRAILS_FROM && drawnBefore <= TRAILS_MAX && !isStill();
    let drawn = 0;
    for (let car = 0; car < count; car++) {
      const state = states[car];
      if (state === ABSENT) continue;
      const done = now >= began[car] + lasts[car] ? 1 : (now - began[car]) / lasts[car];
      const x = Math.round((fromX[car] + (toXs[car] - fromX[car]) * done - left) * scale) + pad;
      const y = Math.round((fromY[car] + (toYs[car] - fromY[car]) * done - top) * scale) + pad;
      if (x < edge || y < edge || x > right + pad - edge || y > bottom + pad - edge) continue;
      const { offsets, inks, ink } = sprites[state][isTurned ? headings[car] : 0];
      if (hasTrails) {
        // From the car back. The last report lies before it: it is on its way there.
        let beforeX = x, beforeY = y;
        for (let back = 0; back < TRAIL_POINTS; back++) {
          const at = car * TRAIL_POINTS + ((trailEnd[car] - back + TRAIL_POINTS) % TRAIL_POINTS);
          const atX = Math.round((trailX[at] - left) * scale) + pad, atY = Math.round((trailY[at] - top) * scale) + pad;
          fade(beforeX, beforeY, atX, atY, TRAIL_ALPHA * (1 - back / TRAIL_POINTS), TRAIL_ALPHA * (1 - (back + 1) / TRAIL_POINTS), ink);
          beforeX = atX;
          beforeY = atY;
        }
      }
      const middle = y * stride + x;
      for (let i = 0; i < offsets.length; i++) pixels[middle + offsets[i]] = inks[i];
      drawn++;
    }
    c.putImageData(image, -pad, -pad);
    drawnBefore = drawn;
    return drawn;
  }

  /** Draws a line of a car's color, about two pixels wide, whose opacity goes from one value to another. */
  function fade(x0, y0, x1, y1, alpha0, alpha1, ink) {
    const steps = Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0));
    if (steps === 0 || steps > stride) return;
    const rgb = ink & 0xffffff, right = stride - 1, bottom = pixels.length / stride - 1;
    for (let i = 0; i <= steps; i++) {
      const x = Math.round(x0 + ((x1 - x0) * i) / steps), y = Math.round(y0 + ((y1 - y0) * i) / steps);
      if (x < 0 || y < 0 || x >= right || y >= bottom) continue;
      const color = (rgb | (Math.round(alpha0 + ((alpha1 - alpha0) * i) / steps) << 24)) >>> 0;
      const at = y * stride + x;
      if (pixels[at] === 0) pixels[at] = color;
      if (pixels[at + 1] === 0) pixels[at + 1] = color;
      if (pixels[at + stride] === 0) pixels[at + stride] = color;
    }
  }

  /** Returns the driver nearest to a place of the world within a distance, or -1. */
  function nearest(x, y, within, now) {
    let best = -1;
    let least = within * within;
    for (let car = 0; car < count; car++) {
      if (states[car] === ABSENT) continue;
      const dx = xOf(car, now) - x, dy = yOf(car, now) - y;
      const apart = dx * dx + dy * dy;
      if (apart < least) [best, least] = [car, apart];
    }
    return best;
  }

  /** Returns the bounds of the middle 90 % of the drivers, as `{left, top, right, bottom}` of the world. */
  function bounds() {
    const all = [...states.subarray(0, count).keys()].filter((car) => states[car] !== ABSENT);
    if (all.length === 0) return null;
    const cut = (values) => {
      const sorted = values.sort();
      const at = Math.floor(sorted.length / 20);
      return [sorted[at], sorted[sorted.length - 1 - at]];
    };
    const [left, right] = cut(Float64Array.from(all, (car) => toXs[car]));
    const [top, bottom] = cut(Float64Array.from(all, (car) => toYs[car]));
    return { left, top, right, bottom };
  }

  return {
    apply,
    clear,
    resize,
    draw,
    nearest,
    bounds,
    undress: () => (image = null),
    has: (car) => car !== null && car >= 0 && car < count && states[car] !== ABSENT,
    xOf,
    yOf,
    count: () => there,
    isMoving: (now) => now < movingUntil,
  };
}
