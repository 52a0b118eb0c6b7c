// The drivers: their positions, animated from one report to the next, and their image.
//
// Ten thousand of them move on every frame, so there are no objects: a driver is an index (the handle of the stream) into typed
// arrays. Drawing one copies about fifty pixels of a sprite, made once for each state, into a buffer that goes to the canvas as a
// whole. That costs the same with or without a graphics card; a path or an image for each car costs three times as much. Nothing
// is allocated on a frame.

import { toX, toY } from "./mercator.js";
import { DOING, color, drawShape } from "./shapes.js";

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

/** The most pixels of the cars' canvas. Beyond that it is drawn at a lower resolution. */
const PIXELS_MAX = 2_000_000;

export function createCars(canvas) {
  const c = canvas.getContext("2d", { willReadFrequently: true });
  let fromX, fromY, toXs, toYs, began, lasts, receivedAt, states;
  let room = 0;
  let count = 0; // handles that were ever used
  let there = 0; // drivers who are there
  let movingUntil = 0;
  let image = null, pixels = null, pad = 0, stride = 0, sharpness = 1;
  let sprites = [], spriteRadius = 0;

  function grow(needed) {
    const next = Math.max(ROOM_FIRST, room * 2, needed);
    const wider = (old, Kind) => {
      const array = new Kind(next);
      if (old) array.set(old);
      return array;
    };
    fromX = wider(fromX, Float64Array);
    fromY = wider(fromY, Float64Array);
    toXs = wider(toXs, Float64Array);
    toYs = wider(toYs, Float64Array);
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
      lasts[car] = 0;
    } else {
      const hereX = xOf(car, now), hereY = yOf(car, now);
      fromX[car] = hereX;
      fromY[car] = hereY;
      lasts[car] = Math.max(GLIDE_MIN_MS, Math.min(GLIDE_MAX_MS, waited));
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
    const side = 2 * Math.ceil(r * 1.3) + 1;
    pad = side;
    stride = canvas.width + 2 * pad;
    image = new ImageData(stride, canvas.height + 2 * pad);
    pixels = new Uint32Array(image.data.buffer);
    const sheet = new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true });
    sprites = DOING.map((look) => {
      sheet.clearRect(0, 0, side, side);
      drawShape(sheet, look, color(look.tint), side / 2, side / 2, r);
      const drawn = new Uint32Array(sheet.getImageData(0, 0, side, side).data.buffer);
      const inked = [...drawn.keys()].filter((at) => drawn[at] !== 0);
      const middle = (side - 1) / 2;
      return {
        offsets: Int32Array.from(inked, (at) => (Math.floor(at / side) - middle) * stride + (at % side) - middle),
        inks: Uint32Array.from(inked, (at) => drawn[at]),
      };
    });
  }

  /** Draws all drivers. The view is `{x, y, scale}`: the center of the canvas, and CSS pixels per unit of the world. */
  function draw(view, radius, now) {
    if (!image || radius !== spriteRadius) dress(radius);
    pixels.fill(0);
    const { width, height } = canvas;
    const scale = view.scale * sharpness;
    const left = view.x - width / 2 / scale, top = view.y - height / 2 / scale;
    const right = width + pad - 1, bottom = height + pad - 1, edge = pad >> 1;
    let drawn = 0;
    for (let car = 0; car < count; car++) {
      const state = states[car];
      if (state === ABSENT) continue;
      const done = now >= began[car] + lasts[car] ? 1 : (now - began[car]) / lasts[car];
      const x = Math.round((fromX[car] + (toXs[car] - fromX[car]) * done - left) * scale) + pad;
      const y = Math.round((fromY[car] + (toYs[car] - fromY[car]) * done - top) * scale) + pad;
      if (x < edge || y < edge || x > right + pad - edge || y > bottom + pad - edge) continue;
      const { offsets, inks } = sprites[state];
      const middle = y * stride + x;
      for (let i = 0; i < offsets.length; i++) pixels[middle + offsets[i]] = inks[i];
      drawn++;
    }
    c.putImageData(image, -pad, -pad);
    return drawn;
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
