// Journeys through what all pages share: the front page, the proof, the search, and the addresses of objects.

import assert from "node:assert/strict";
import { join } from "node:path";

import { PATIENCE, until } from "./page.mjs";
import { countClicks, matched } from "./visitor.mjs";

const PRICE_MS = 20_000 * PATIENCE;

const proofState = (page) => page.locator("#proof a").getAttribute("data-state");
const shown = (page) => page.locator("#inspector").getAttribute("data-kind");

/** From `/` to a matched ride, with the clicks counted by the page. */
export async function frontPage(page, { shots, size, axe }) {
  const counted = await countClicks(page);
  await page.reload();
  await until("the proof", () => proofState(page), ["holds", "waits"], { ms: 20_000 * PATIENCE });
  const read = () => page.locator("#evidence dt").allTextContents();
  await until("the figures", async () => (await read())[0], "9 of 9");
  const figures = await read();
  assert.match(figures[1], /^(\$[\d,.]+ [=≠] \$[\d,.]+|No money yet)$/);
  await until("the city", async () => /[1-9]\d* drivers/.test(await page.locator("#map-status").textContent()), true);
  const width = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
  assert.ok(width <= 0, `${width} px scroll sideways`);
  await page.waitForTimeout(500);
  await page.screenshot({ path: join(shots, `front-${size}.png`) });
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  assert.deepEqual(violations.map((one) => `${one.impact} ${one.id}: ${one.nodes[0].target}`), [], "axe");

  const began = performance.now();
  await page.getByRole("link", { name: "Take a ride" }).click();
  const request = page.getByRole("button", { name: "Request this ride" });
  await request.click({ timeout: PRICE_MS });
  const how = await matched(page, counted, began);
  await page.getByRole("button", { name: "Cancel the ride" }).click();
  await until("the ride", () => page.locator("#ride").getAttribute("data-state"), "cancelled");
  return `"${figures.join(", ")}"; ${how}`;
}

/** Each object has an address that works in a new page; the search leads to it; back goes back. */
export async function addresses(page, demo) {
  await page.goto(`${demo.url}/city`);
  await page.locator("#inspector .list a").first().click();
  await until("the panel", () => shown(page), "trip");
  const trip = new URL(page.url()).pathname;
  assert.match(trip, /^\/city\/trips\/trip_[0-9a-z]{26}$/);
  await page.goBack();
  await until("the panel", () => shown(page), "");
  await page.goto(demo.url + trip);
  await until("the panel", () => shown(page), "trip");
  const ids = await page.locator("#inspector dl a").evaluateAll((links) => links.map((link) => link.title));
  for (const id of [trip.split("/").pop(), ...ids.filter((id) => /^(rdr|drv)_/.test(id)).slice(0, 2)]) {
    await page.locator("#search-id").fill(id);
    await page.locator("#search-id").press("Enter");
    await until("the address", () => new URL(page.url()).pathname.endsWith(id), true);
  }
  const traced = await fetch(`${demo.url}/v1/trips/${trip.split("/").pop()}`);
  await page.locator("#search-id").fill(traced.headers.get("trace-id"));
  await page.locator("#search-id").press("Enter");
  await until("the panel", () => shown(page), "request");
  await page.locator("#search-id").fill("nonsense");
  await page.locator("#search-id").press("Enter");
  await page.getByText("“nonsense” is not an id.").waitFor();
  // From a page that is not the city, the search loads the city.
  await page.goto(`${demo.url}/`);
  await page.locator("#search-id").fill(trip.split("/").pop());
  await page.locator("#search-id").press("Enter");
  await page.waitForURL(`**${trip}`);
  await page.goto(`${demo.url}/city/trips/trip_01jd7zq8w3e9mvd1ab2c3d4e5f`);
  await page.getByText("Trip not found.").waitFor();
  return `${trip} and ${ids.length} links`;
}

/** While the service is down the proof is not green; afterwards it holds again. */
export async function proofAcrossAKill(page, demo) {
  await until("the proof", () => proofState(page), "holds", { ms: 30_000 * PATIENCE });
  const killed = await fetch(`${demo.url}/v1/sandbox/kill`, { method: "POST" }).then((answer) => answer.status, () => 0);
  const went = await until("the proof", () => proofState(page), "waits", { ms: 15_000 * PATIENCE });
  await until("the proof", () => proofState(page), "holds", { ms: 60_000 * PATIENCE });
  return `${killed}, ${went}, holds`;
}

/** The book is searched by keys alone, and a result leads to its section. */
export async function searchTheBook(page, { axe }) {
  const found = page.locator("#book-search .found a");
  const note = () => page.locator("#book-search-note").textContent();
  await page.keyboard.press("/");
  await page.keyboard.type("fencing token");
  await until("sections", async () => (await found.count()) > 0 && /^\d+ sections?$/.test(await note()), true);
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  assert.deepEqual(violations.map((one) => `${one.impact} ${one.id}: ${one.nodes[0].target}`), [], "axe");
  const width = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
  assert.ok(width <= 0, `${width} px scroll sideways`);
  await page.keyboard.press("ArrowDown");
  const [to, title] = [await found.first().getAttribute("href"), await found.first().locator("strong").textContent()];
  await page.keyboard.press("Enter");
  await page.waitForURL(`**${to}`);
  const section = title.split(": ").slice(1).join(": ");
  if (section) await page.getByRole("heading", { name: section }).first().waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type("fencing zebra");
  await until("nothing", note, "No section has all of these words.");
  await page.keyboard.press("Escape");
  await until("no search", note, "");
  return title;
}
