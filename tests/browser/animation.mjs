// Records the README's animated picture, a ride on the map: node animation.mjs BINARY FILE.png
//
// Starts a demo of its own. The frames are screenshots of Chromium, put together as an animated PNG (each frame keeps its own compression).

import { writeFileSync } from "node:fs";
import { crc32 } from "node:zlib";
import { chromium } from "playwright-core";

import { startDemo } from "./demo.mjs";
import { until } from "./page.mjs";

const [binary, file] = process.argv.slice(2);
const SIZE = { width: 720, height: 430 };
const FRAMES = 9;
const FRAME_MS = 900;

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const demo = await startDemo(binary, 150);
try {
  writeFileSync(file, animated(await frames()));
} finally {
  await browser.close();
  await demo.stop();
}

async function frames() {
  const page = await browser.newPage({ viewport: { width: 1280, height: 540 } });
  await page.goto(`${demo.url}/city?ride`);
  const state = () => page.locator("#ride").getAttribute("data-state");
  await until("the price", state, "quoted", { ms: 60_000 });
  const clip = { x: 0, y: 48, ...SIZE };
  const shots = [await page.screenshot({ clip })];
  await page.getByRole("button", { name: "Request this ride" }).click();
  await until("the ride", state, ["assigned", "arrived"], { ms: 60_000 });
  await fetch(`${demo.url}/v1/sandbox/clock`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ scale: 20 }),
  });
  while (shots.length < FRAMES) {
    await page.waitForTimeout(FRAME_MS);
    shots.push(await page.screenshot({ clip }));
    if ((await state()) === "completed") break;
  }
  return shots;
}

/** Puts PNGs of one size and color type together (the extension of PNG 3: acTL, fcTL, fdAT). */
function animated(pictures) {
  const parts = pictures.map(chunks);
  const [header] = parts[0];
  const out = [Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), chunk("IHDR", header.data), chunk("acTL", numbers(pictures.length, 0))];
  let sequence = 0;
  for (const [index, part] of parts.entries()) {
    const delay = Buffer.alloc(6);
    delay.writeUInt16BE(index === 0 || index === parts.length - 1 ? 1800 : FRAME_MS, 0);
    delay.writeUInt16BE(1000, 2);
    out.push(chunk("fcTL", Buffer.concat([numbers(sequence++, SIZE.width, SIZE.height, 0, 0), delay])));
    for (const { data } of part.filter(({ type }) => type === "IDAT")) {
      out.push(index === 0 ? chunk("IDAT", data) : chunk("fdAT", Buffer.concat([numbers(sequence++), data])));
    }
  }
  out.push(chunk("IEND", Buffer.alloc(0)));
  return Buffer.concat(out);
}

function chunks(png) {
  const found = [];
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    found.push({ type: png.toString("latin1", at + 4, at + 8), data: png.subarray(at + 8, at + 8 + length) });
    at += 12 + length;
  }
  return found;
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  return Buffer.concat([numbers(data.length), body, numbers(crc32(body))]);
}

function numbers(...values) {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => bytes.writeUInt32BE(value, 4 * index));
  return bytes;
}
