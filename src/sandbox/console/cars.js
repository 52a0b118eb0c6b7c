// The drivers: where they are, gliding from one position to the next, and their picture.
//
// Ten thousand of them move on every frame, so nothing here is an object: a driver is an index (the handle of the stream) into
// typed arrays, and drawing one is a copy of some fifty pixels of a small picture, made once for each state, into a buffer that
// goes to the canvas whole. That costs the same wherever there is a canvas, with a graphics card or without one; a path or an
// image for each car costs three times as much. Nothing is allocated on a frame.

import { toX, toY } from "./mercator.js";
import { DOING, colour, drawShape } from "./shapes.js";

const NOBODY = 255;
const WHOLE = 1;
const HEADER_BYTES = 48;
const STEPS = 65_535;
const ROOM_FIRST = 1024;

// A car glides for as long as it took its position to come, within these.
const GLIDE_MIN_MS = 200;
const GLIDE_MAX_MS = 4500;

// Farther than this share of the world (800 m) a car does not glide: it was away, and is somewhere else now.
const LEAP = 2e-5;

/** Pixels of the cars' own canvas at most: past that it is drawn a little coarser, so that no screen makes it slow. */
const PIXELS_MAX = 2_000_000;

export function createCars(canvas) {
  const c = canvas.getContext("2d", { willReadFrequently: true });
  let fromX, fromY, toXs, toYs, began, lasts, heard, states;
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
    heard = wider(heard, Float64Array);
    const old = states;
    states = new Uint8Array(next).fill(NOBODY);
    if (old) states.set(old);
    room = next;
  }
  grow(ROOM_FIRST);

  /** How far a car is on its way, 0 to 1. */
  const share = (car, now) => (now >= began[car] + lasts[car] ? 1 : (now - began[car]) / lasts[car]);
  const xOf = (car, now) => fromX[car] + (toXs[car] - fromX[car]) * share(car, now);
  const yOf = (car, now) => fromY[car] + (toYs[car] - fromY[car]) * share(car, now);

  /** Takes in a frame of the stream; its layout is told in the document, at `GET /v1/sandbox/live`. */
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

    // A new view: whoever is in it already goes on gliding, everybody else is forgotten.
    const known = kind === WHOLE ? states.slice(0, count) : null;
    if (known) {
      states.fill(NOBODY, 0, count);
      there = 0;
    }
    for (let i = 0; i < n; i++) {
      const car = handles[i];
      if (car >= room) grow(car + 1);
      if (car >= count) count = car + 1;
      const isKnown = known ? known[car] !== undefined && known[car] !== NOBODY : states[car] !== NOBODY;
      if (states[car] === NOBODY) there++;
      states[car] = Math.min(doing[i], DOING.length - 1);
      headFor(car, west + (wide * xs[i]) / STEPS, toY(south + (high * ys[i]) / STEPS), isKnown, now);
    }
    for (let i = 0; i < m; i++) {
      if (gone[i] < count && states[gone[i]] !== NOBODY) {
        states[gone[i]] = NOBODY;
        there--;
      }
    }
  }

  function headFor(car, x, y, isKnown, now) {
    const isHere = Math.abs(x - toXs[car]) < 1e-9 && Math.abs(y - toYs[car]) < 1e-9;
    if (isKnown && isHere) return; // only its state is new
    const leaps = !isKnown || Math.abs(x - toXs[car]) > LEAP || Math.abs(y - toYs[car]) > LEAP;
    const waited = now - heard[car];
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
    began[car] = heard[car] = now;
    movingUntil = Math.max(movingUntil, now + lasts[car]);
  }

  /** Forgets everybody: on a new connection the handles are others. */
  function clear() {
    states.fill(NOBODY);
    there = count = 0;
  }

  /** Makes room for a canvas of this size in CSS pixels, on a screen with so many pixels to one of them. */
  function resize(width, height, ratio) {
    sharpness = Math.min(ratio, Math.sqrt(PIXELS_MAX / Math.max(1, width * height)));
    canvas.width = Math.max(1, Math.round(width * sharpness));
    canvas.height = Math.max(1, Math.round(height * sharpness));
    image = null;
  }

  /** Makes the small pictures anew: for another zoom, another theme, another screen. */
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
      drawShape(sheet, look, colour(look.tint), side / 2, side / 2, r);
      const drawn = new Uint32Array(sheet.getImageData(0, 0, side, side).data.buffer);
      const inked = [...drawn.keys()].filter((at) => drawn[at] !== 0);
      const middle = (side - 1) / 2;
      return {
        offsets: Int32Array.from(inked, (at) => (Math.floor(at / side) - middle) * stride + (at % side) - middle),
        inks: Uint32Array.from(inked, (at) => drawn[at]),
      };
    });
  }

  /** Draws everybody. The view is `{x, y, scale}`: the middle of the canvas, and CSS pixels per unit of the world. */
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
      if (state === NOBODY) continue;
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

  /** The driver nearest to a place of the world, within a distance; -1 if nobody is. */
  function nearest(x, y, within, now) {
    let best = -1;
    let least = within * within;
    for (let car = 0; car < count; car++) {
      if (states[car] === NOBODY) continue;
      const dx = xOf(car, now) - x, dy = yOf(car, now) - y;
      const apart = dx * dx + dy * dy;
      if (apart < least) [best, least] = [car, apart];
    }
    return best;
  }

  /** Where most of them are, as `{left, top, right, bottom}` of the world: the outermost twentieth on each side does not count. */
  function bounds() {
    const all = [...states.subarray(0, count).keys()].filter((car) => states[car] !== NOBODY);
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
    has: (car) => car !== null && car >= 0 && car < count && states[car] !== NOBODY,
    xOf,
    yOf,
    count: () => there,
    isMoving: (now) => now < movingUntil,
  };
}
