// Measures the script time of a frame of the console's map with 10,000 drivers who all move twice a second, in headless Chromium.
//
//   node frame-time.mjs BINARY [--drivers N] [--seconds N] [--limit-ms N] [--screenshot FILE]
//
// It starts the demo without a city, brings the drivers online through the API, and pushes their positions as a device gateway
// would. For each frame it adds all script since the previous frame, from the browser's own trace: the frame's callback, messages,
// timers and promise continuations. It counts the processor time of the page's thread, so that other programs on the machine do not
// count. It prints one line of JSON and fails when 95 % of the frames do not stay below the limit.

import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

import { startDemo } from "./demo.mjs";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    drivers: { type: "string", default: "10000" },
    seconds: { type: "string", default: "20" },
    "limit-ms": { type: "string", default: "8" },
    screenshot: { type: "string" },
  },
});
const [binary] = positionals;
const count = Number(options.drivers);
const CENTER = { lat: 30, lon: -40 };
const HALF_NORTH = 0.027, HALF_EAST = 0.036; // degrees: 6 km by 7 km
const BATCH = 1000; // positions in one request
const ROUND_MS = 500;
const AT_ONCE = 24; // requests while the drivers come online
const SPEED = 14; // meters per second
const METERS_PER_DEGREE = 111_195;

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** Seeded random numbers (mulberry32), so that every run is the same. */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function send(method, path, body, token) {
  const headers = { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) };
  const response = await fetch(base + path, { method, headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.status === 204 ? null : response.json();
}

async function inParallel(items, work) {
  const left = items.values();
  const worker = async () => {
    for (const item of left) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** A grid of streets over the drivers' area. */
function grid() {
  const lines = [];
  for (let i = 0; i <= 40; i++) {
    const lat = CENTER.lat - HALF_NORTH + (i / 40) * 2 * HALF_NORTH;
    const lon = CENTER.lon - HALF_EAST + (i / 40) * 2 * HALF_EAST;
    lines.push([[CENTER.lon - HALF_EAST, lat], [CENTER.lon + HALF_EAST, lat]]);
    lines.push([[lon, CENTER.lat - HALF_NORTH], [lon, CENTER.lat + HALF_NORTH]]);
  }
  return { type: "MultiLineString", coordinates: lines };
}

function newCar(random) {
  const heading = random() * 2 * Math.PI;
  return {
    lat: CENTER.lat + (random() * 2 - 1) * HALF_NORTH,
    lon: CENTER.lon + (random() * 2 - 1) * HALF_EAST,
    north: (Math.cos(heading) * SPEED) / METERS_PER_DEGREE,
    east: (Math.sin(heading) * SPEED) / METERS_PER_DEGREE / Math.cos((CENTER.lat * Math.PI) / 180),
  };
}

/** Moves a driver, who turns around at the edge. */
function drive(car, seconds) {
  car.lat += car.north * seconds;
  car.lon += car.east * seconds;
  if (Math.abs(car.lat - CENTER.lat) > HALF_NORTH) car.north = -Math.sign(car.lat - CENTER.lat) * Math.abs(car.north);
  if (Math.abs(car.lon - CENTER.lon) > HALF_EAST) car.east = -Math.sign(car.lon - CENTER.lon) * Math.abs(car.east);
}

async function sendToWork(cars) {
  await inParallel(cars, async (car) => {
    const { token, subject } = await send("POST", "/v1/sandbox/tokens", { role: "driver" });
    const vehicle = { available: true, name: "Dora", class: "standard", plate: "RM 1" };
    await send("PUT", "/v1/drivers/me/availability", vehicle, token);
    car.id = subject;
  });
}

/** Pushes every driver's position repeatedly until stopped; returns the number sent. */
async function push(cars, stop) {
  const { token } = await send("POST", "/v1/sandbox/tokens", { role: "gateway" });
  let pushed = 0;
  for (let due = Date.now(), before = due; !stop.aborted; due += ROUND_MS) {
    const now = Date.now();
    for (const car of cars) drive(car, (now - before) / 1000);
    before = now;
    const { domain } = await (await fetch(`${base}/v1/sandbox/clock`)).json();
    const position = ({ id, lat, lon }) => ({ driver_id: id, position: { lat, lon }, recorded_at: domain });
    const batches = Array.from({ length: Math.ceil(cars.length / BATCH) }, (_, i) => cars.slice(i * BATCH, (i + 1) * BATCH));
    const answers = await Promise.all(batches.map((batch) => send("POST", "/v1/locations", batch.map(position), token)));
    pushed += answers.reduce((sum, { accepted }) => sum + accepted, 0);
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, due + ROUND_MS - Date.now())));
  }
  return pushed;
}

// The events of the trace that run script.
const SCRIPT = ["FireAnimationFrame", "FunctionCall", "TimerFire", "EventDispatch", "RunMicrotasks", "EvaluateScript"];

/** Returns the trace events of the browser while `work` runs. */
async function traced(browser, work) {
  const session = await browser.newBrowserCDPSession();
  const events = [];
  session.on("Tracing.dataCollected", ({ value }) => events.push(...value));
  const complete = new Promise((resolve) => session.on("Tracing.tracingComplete", resolve));
  await session.send("Tracing.start", { traceConfig: { includedCategories: ["devtools.timeline"], excludedCategories: ["*"] } });
  await work();
  await session.send("Tracing.end");
  await complete;
  return events;
}

/** Returns the processor time of script for each frame, milliseconds: of the frame's callback, and of all script since the one before. */
function frameTimes(events) {
  const frames = events.filter(({ name }) => name === "FireAnimationFrame");
  const isOfPage = ({ pid, tid }) => pid === frames[0]?.pid && tid === frames[0]?.tid;
  const script = events.filter((event) => SCRIPT.includes(event.name) && event.tdur !== undefined && isOfPage(event));
  script.sort((a, b) => a.ts - b.ts || b.dur - a.dur);
  const times = { callback: [], all: [] };
  let sum = 0, end = 0;
  for (const { name, ts, dur, tdur } of script) {
    if (ts < end) continue; // within the one before
    end = ts + dur;
    sum += tdur / 1000;
    if (name !== "FireAnimationFrame") continue;
    times.callback.push(tdur / 1000);
    times.all.push(sum);
    sum = 0;
  }
  return times;
}

/** Returns percentiles of the times, in milliseconds. */
function spread(times) {
  const sorted = times.toSorted((a, b) => a - b);
  const quantile = (q) => round(sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]);
  return { p50: quantile(0.5), p95: quantile(0.95), p99: quantile(0.99), max: quantile(1) };
}

async function measure() {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    await page.goto(`${base}/city`);
    const online = (n) => document.getElementById("map-status")?.textContent.startsWith(`${n} drivers`);
    await page.waitForFunction(online, count, { timeout: 60_000 });
    await page.waitForTimeout(3000); // first paint and JIT compilation
    const { callback, all } = frameTimes(await traced(browser, () => page.waitForTimeout(Number(options.seconds) * 1000)));
    if (options.screenshot) await page.screenshot({ path: options.screenshot });
    return {
      frames: all.length,
      per_second: round(all.length / Number(options.seconds)),
      callback_ms: spread(callback),
      all_script_ms: spread(all),
    };
  } finally {
    await browser.close();
  }
}

const round = (number) => Math.round(number * 100) / 100;

const demo = await startDemo(binary, 0);
const base = demo.url;
let isGood = false;
try {
  const rng = random(1);
  const cars = Array.from({ length: count }, () => newCar(rng));
  await send("PUT", "/v1/sandbox/streets", grid());
  const began = performance.now();
  await sendToWork(cars);
  console.error(`${count} drivers are online after ${round((performance.now() - began) / 1000)} s`);
  const stop = new AbortController();
  const pushBegan = performance.now();
  const pushing = push(cars, stop.signal);
  const measured = await Promise.race([measure(), pushing.then(() => Promise.reject(new Error("the positions ended early")))]);
  stop.abort();
  const pushed = await pushing;
  const positions_per_second = Math.round((1000 * pushed) / (performance.now() - pushBegan));
  isGood = measured.frames > 0 && measured.all_script_ms.p95 < Number(options["limit-ms"]);
  console.log(JSON.stringify({ drivers: count, positions_per_second, ...measured, good: isGood }));
} finally {
  await demo.stop();
}
process.exitCode = isGood ? 0 : 1;
