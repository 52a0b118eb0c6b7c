// Journeys through the console: node console.mjs BINARY [FOLDER FOR SCREENSHOTS]
//
// Starts a demo of its own and a headless Chromium that can reach this machine only. Each journey prints what it saw; the first
// failure ends the run, and leaves failed.png. JOURNEYS is a regular expression: only journeys whose name it matches are run.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

import { cityIsDrawn, pinsByTouch, pinsEverywhere, routeOfTrip } from "./city.mjs";
import { startDemo } from "./demo.mjs";
import * as explorer from "./explorer.mjs";
import { FAULTS } from "./faults.mjs";
import { PATIENCE, openPage, until } from "./page.mjs";
import { addresses, frontPage, proofAcrossAKill, searchTheBook } from "./shell.mjs";
import { legendInTheLine, offerAddress, pinInTheWater, recordWay, skipToTheArrival } from "./streets.mjs";
import { explainOnTheMap, inTheCity, race, runExperiment, storiesAreRecorded, storyLinks, storySteps } from "./stories.mjs";
import { countClicks, fromTheFrontPage, matched } from "./visitor.mjs";
import { historyOfThePayment, oneScale, rowByKeyboard, timelineOfARide } from "./timeline.mjs";

const [binary, shots = "."] = process.argv.slice(2);
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const DRIVERS = 150;
const ONLY = new RegExp(process.env.JOURNEYS ?? "");
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf8");

mkdirSync(shots, { recursive: true });
const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
const demo = await startDemo(binary, DRIVERS).catch(async (error) => {
  await browser.close();
  throw error;
});
let failed = null;
try {
  await journeys();
} catch (error) {
  failed = error;
}
await browser.close();
await demo.stop();
if (failed) {
  console.error("console:", failed);
  process.exit(1);
}

async function journeys() {
  const visitor = await openPage(browser, demo.url, { path: "/" });
  await journey("from the start of the program to a ride", visitor, (page) => fromTheFrontPage(page, demo));
  await journey("skip to the arrival", visitor, skipToTheArrival);
  await visitor.close();
  const laptop = await openPage(browser, demo.url);
  await journey("a ride by three clicks", laptop, rideByClicks);
  await journey("the ride to its end", laptop, rideToTheEnd);
  await journey("the timeline of the ride", laptop, (page) => timelineOfARide(page, shots));
  await journey("one scale for all traces", laptop, oneScale);
  await journey("a row of the timeline", laptop, rowByKeyboard);
  await journey("the history of the payment", laptop, historyOfThePayment);
  await journey("a ride by keyboard", laptop, rideByKeyboard);
  await journey("demand and surge", laptop, demandAndSurge);
  await journey("the focus goes everywhere", laptop, focusOrder);
  await journey("every tab", laptop, tabs);
  await journey("the machines are drawn", laptop, drawings);
  await journey("accessible in light", laptop, (page) => accessible(page, "light"));
  await journey("explained on the map", laptop, explainOnTheMap);
  await journey("being a driver", laptop, beADriver);
  // This page was opened before the city had published its streets.
  await journey("the city is drawn", laptop, cityIsDrawn);
  await laptop.close();
  const map = await openPage(browser, demo.url);
  await journey("a pin everywhere", map, pinsEverywhere);
  await journey("a pin in the water", map, pinInTheWater);
  await journey("what the symbols mean", map, legendInTheLine);
  await journey("the route of a trip", map, routeOfTrip);
  await journey("the address of an offer", map, (page) => offerAddress(page, demo));
  await map.close();
  const dark = await openPage(browser, demo.url, { theme: "dark" });
  await journey("accessible in dark", dark, darkPage);
  await dark.close();
  const phone = await openPage(browser, demo.url, { size: "phone" });
  await journey("a pin everywhere on a phone", phone, pinsByTouch);
  await journey("a pin in the water on a phone", phone, pinInTheWater);
  await journey("what the symbols mean on a phone", phone, legendInTheLine);
  await journey("on a phone", phone, phonePage);
  await journey("stories on a phone", phone, phoneStories);
  await phone.close();
  for (const size of ["laptop", "phone"]) {
    const front = await openPage(browser, demo.url, { path: "/", size });
    await journey(`from the front page to a ride, ${size}`, front, (page) => frontPage(page, { shots, size, axe: AXE }));
    await journey(`addresses and search, ${size}`, front, (page) => addresses(page, demo));
    await front.close();
  }
  for (const size of ["laptop", "phone"]) {
    const book = await openPage(browser, demo.url, { path: "/book/07-no-double-assignment", size });
    await journey(`the search in the book, ${size}`, book, (page) => searchTheBook(page, { axe: AXE }));
    await book.close();
  }
  const api = await openPage(browser, demo.url, { path: "/docs/" });
  await journey("the explorer's search", api, explorer.searchOperations);
  await journey("every operation in the explorer", api, explorer.everyOperation);
  await journey("times of the explorer's examples", api, explorer.freshTimes);
  await journey("keys of the explorer", api, explorer.freshKeys);
  await journey("a pasted token", api, explorer.pastedToken);
  await journey("a stream in the explorer", api, explorer.openStream);
  await journey("a ride in the explorer", api, (page) => explorer.rideByNextSteps(page, shots));
  await journey("the commands of an error page", api, explorer.runErrorPage);
  await journey("the commands of every error page", api, explorer.everyErrorPage);
  await explorer.errorPageWithoutScript(browser, demo.url);
  await api.close();
  for (const options of [{ theme: "light" }, { theme: "dark" }, { size: "phone" }]) {
    const name = Object.values(options).join("");
    const shown = await openPage(browser, demo.url, { path: "/docs/", ...options });
    await journey(`the explorer, ${name}`, shown, (page) => explorer.explorerAccessible(page, { axe: AXE, shots, name }));
    await shown.close();
  }
  for (const size of ["laptop", "phone"]) {
    const opened = await openPage(browser, demo.url, { size });
    for (const [name, walk] of FAULTS) await journey(`${name} (${size})`, opened, (page) => walk(page, demo));
    await opened.close();
  }
  const lab = await openPage(browser, demo.url);
  await journey("two riders, one driver", lab, (page) => openTab(page, "Experiments").then(() => race(page)));
  await journey("every experiment", lab, experiments);
  await journey("the proof across a kill", lab, (page) => proofAcrossAKill(page, demo));
  await lab.close();
}

async function journey(name, { page, complaints }, walk) {
  if (!ONLY.test(name)) return;
  const began = performance.now();
  const note = await walk(page).catch(async (error) => {
    await page.screenshot({ path: join(shots, "failed.png") }).catch(() => {});
    throw new Error(`${name}: ${error.message}`, { cause: error });
  });
  const violations = await page.evaluate(() => window.violations);
  assert.deepEqual([...complaints, ...violations], [], `${name}: the browser complains`);
  console.log(`${name}: ${note} (${((performance.now() - began) / 1000).toFixed(1)} s)`);
}

function rideState(page) {
  return page.locator("#ride").getAttribute("data-state");
}

/** The map is ready when it shows the number of drivers. */
async function cityShown(page) {
  const status = page.locator("#map-status");
  await until("the city", async () => /[1-9]\d* drivers/.test(await status.textContent()), true, {
    ms: 20_000 * PATIENCE,
  });
  await page.waitForTimeout(300);
}

/** Finds a place on the map without a car: over a car the pointer changes. */
async function emptySpot(page, shareX, shareY) {
  const box = await page.locator("#map").boundingBox();
  for (let shift = 0; shift < 20; shift++) {
    const [x, y] = [box.x + box.width * shareX + shift * 9, box.y + box.height * shareY + shift * 5];
    await page.mouse.move(x, y);
    const cursor = await page.locator("#map").evaluate((canvas) => getComputedStyle(canvas).cursor);
    if (cursor !== "pointer") return { x, y };
  }
  throw new Error("there is a car everywhere");
}

async function rideByClicks(page) {
  const counted = await countClicks(page);
  const began = performance.now();
  await page.reload();
  await cityShown(page);
  for (const [x, y] of [
    [0.5, 0.5],
    [0.66, 0.36],
  ]) {
    const spot = await emptySpot(page, x, y);
    await page.mouse.click(spot.x, spot.y);
  }
  await page.click("#request");
  const note = `${await matched(page, counted, began)} in the city`;
  await page.waitForTimeout(1500); // until the inspector and the map are complete
  await page.screenshot({ path: join(shots, "console-light.png") });
  return note;
}

async function rideToTheEnd(page) {
  // Not faster: a driver without a position for three minutes of domain time loses the ride.
  await atSpeed(20, () => until("the ride", () => rideState(page), "completed", { ms: 120_000 * PATIENCE }));
  const inspector = page.locator("#inspector");
  await until("the machine", () => inspector.locator(".machine .current text").first().textContent(), "completed");
  const payment = inspector.locator("details", { has: page.locator("summary", { hasText: /^Payment/ }) });
  await until("the payment", () => payment.locator(".note").textContent(), "captured");
  await inspector.locator("summary", { hasText: "Ledger" }).click();
  const ledger = inspector.locator("details", { has: page.locator("summary", { hasText: /^Ledger/ }) });
  // The charge and its capture, and the capture of a remainder if the driver had to wait.
  const postings = await until("the ledger", () => ledger.locator(".note").textContent(), ["2 postings", "3 postings"]);
  await inspector.locator("summary", { hasText: "Receipt" }).click();
  await inspector.getByText("Still due").waitFor();
  const history = inspector.locator("details").nth(1);
  const steps = await history.locator("tbody tr").count();
  assert.equal(await history.locator(".state.warn").count(), 0, "a state that is over waits for nothing");
  return `${steps} steps, captured, ${postings}, a receipt`;
}

async function rideByKeyboard(page) {
  await page.getByRole("button", { name: "Ride again" }).click();
  await page.locator("#map").focus();
  await page.keyboard.press("Enter");
  for (let step = 0; step < 4; step++) await page.keyboard.press("ArrowRight");
  // A car may be at the center: then the car is selected, and the next place is tried.
  for (let tries = 0; tries < 10 && (await rideState(page)) === "idle"; tries++) {
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("Enter");
  }
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  await until("the price", () => rideState(page), "quoted");
  await until("the focus", () => page.evaluate(() => document.activeElement.id), "request");
  await page.keyboard.press("Enter");
  await until("the ride", () => rideState(page), ["searching", "offered", "assigned"]);
  await page.getByRole("button", { name: "Cancel the ride" }).click();
  await until("the ride", () => rideState(page), "cancelled");
  return "requested and cancelled";
}

/** The heat layer shows zones and can be hidden; a quote in a zone with surge says so. */
async function demandAndSurge(page) {
  const layer = page.locator("canvas[data-zones]");
  const some = (name) => async () => Number(await layer.getAttribute(name)) > 0;
  await until("the zones", some("data-zones"), true, { ms: 20_000 * PATIENCE });
  const heat = page.getByRole("button", { name: "Demand and surge" });
  await heat.click();
  await until("the hidden zones", () => layer.getAttribute("data-zones"), "0");
  await page.getByRole("button", { name: "Ride again" }).click();
  const pickup = await quoteByClicks(page);
  assert.equal(await page.locator("#surge").count(), 0, "no surge yet");
  const cell = await requestAndSurge(pickup);
  await page.getByRole("button", { name: "Start over" }).click();
  await heat.click();
  await until("the surge on the map", some("data-surging"), true, { ms: 20_000 * PATIENCE });
  await quoteByClicks(page);
  const surge = await page.locator("#surge").textContent();
  assert.match(surge, /^Surge ×1\.5 /);
  await page.screenshot({ path: join(shots, "console-zones.png") });
  await page.getByRole("button", { name: "Start over" }).click();
  return `${cell}: "${surge}"`;
}

/** Requests a price by two clicks. Returns the pickup. */
async function quoteByClicks(page) {
  const asked = page.waitForRequest((request) => request.url().endsWith("/v1/quotes"));
  for (const [x, y] of [
    [0.5, 0.5],
    [0.66, 0.36],
  ]) {
    const spot = await emptySpot(page, x, y);
    await page.mouse.click(spot.x, spot.y);
  }
  await until("the price", () => rideState(page), "quoted");
  return (await asked).postDataJSON().pickup;
}

/** Requests a trip of another rider at a place, and sets the surge of its zone. Returns the zone's cell. */
async function requestAndSurge(pickup) {
  const send = async (method, path, token, body) => {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID() };
    if (token) headers.Authorization = `Bearer ${token}`;
    const answer = await fetch(demo.url + path, { method, headers, body: body && JSON.stringify(body) });
    assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
    return answer.json();
  };
  const token = async (role) => (await send("POST", "/v1/sandbox/tokens", null, { role })).token;
  const [rider, ops] = [await token("rider"), await token("ops")];
  const dropoff = { lat: pickup.lat + 0.01, lon: pickup.lon };
  const quote = await send("POST", "/v1/quotes", rider, { pickup, dropoff });
  await send("POST", "/v1/trips", rider, { quote_id: quote.id, payment_method: "pm_card_chargeDeclined" });
  const find = async () => {
    const { items } = await send("GET", "/v1/zones/trending?limit=100", ops);
    return items.find(({ boundary }) => isWithin(pickup, boundary.coordinates[0]))?.cell;
  };
  await until("the zone of the pickup", async () => Boolean(await find()), true, { ms: 20_000 * PATIENCE });
  const { domain } = await send("GET", "/v1/sandbox/clock", null);
  const expires_at = new Date(Date.parse(domain) + 3_600_000).toISOString();
  const cell = await find();
  await send("PUT", `/v1/ops/surge/${cell}`, ops, { multiplier_bp: 15_000, expires_at, reason: "The console's test." });
  return cell;
}

/** Whether a ring of [longitude, latitude] contains a place: a ray to the east crosses it an odd number of times. */
function isWithin({ lat, lon }, ring) {
  let crossings = 0;
  for (let i = 1; i < ring.length; i++) {
    const [[fromLon, fromLat], [toLon, toLat]] = [ring[i - 1], ring[i]];
    if (fromLat > lat === toLat > lat) continue;
    if (fromLon + ((lat - fromLat) / (toLat - fromLat)) * (toLon - fromLon) > lon) crossings++;
  }
  return crossings % 2 === 1;
}

async function focusOrder(page) {
  await page.goto(`${demo.url}/city`);
  await cityShown(page);
  await page.locator("#inspector .list a").first().waitFor();
  const seen = [];
  for (let step = 0; step < 60; step++) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate(() => {
      const now = document.activeElement;
      if (now === document.body) return null;
      const place = now.closest("header.bar, main, #inspector, #dock");
      const style = getComputedStyle(now);
      return {
        place: place?.id || place?.tagName.toLowerCase() || "page",
        outline: style.outlineStyle !== "none" && style.outlineWidth !== "0px",
        name: now.id || now.textContent.trim().slice(0, 30),
      };
    });
    if (!stop) break;
    assert.ok(stop.outline, `${stop.name} has the focus, but no visible outline`);
    seen.push(stop);
  }
  const places = seen.map((stop) => stop.place).filter((place, index, all) => place !== all[index - 1]);
  assert.deepEqual(places.slice(0, 4), ["header", "main", "inspector", "dock"], JSON.stringify(seen));
  return `${seen.length} stops: ${places.slice(0, 4).join(", ")}`;
}

async function tabs(page) {
  for (const name of ["Experiments", "Charts", "Requests"]) {
    await page.getByRole("tab", { name }).click();
    const panel = page.getByRole("tabpanel", { name });
    await panel.waitFor();
    assert.ok((await panel.innerText()).trim().length > 20, `${name} is empty`);
  }
  await page.getByRole("tab", { name: "Requests" }).press("ArrowRight");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Experiments");
  await page.getByRole("tab", { name: "Requests" }).click();
  return "requests, experiments, charts";
}

async function accessible(page, theme) {
  const found = [];
  await page.evaluate(AXE);
  for (const tab of ["Requests", "Experiments", "Charts"]) {
    await page.getByRole("tab", { name: tab }).click();
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    found.push(
      ...violations.map(
        (one) =>
          `${one.impact} ${one.id} in ${tab}, ${theme}: ${one.nodes
            .map((node) => node.target)
            .slice(0, 3)
            .join("; ")}`,
      ),
    );
  }
  await page.getByRole("tab", { name: "Requests" }).click();
  assert.deepEqual(found, [], "axe");
  return "axe has no finding, minor ones included";
}

/** Every state of every state machine has a place, also a state that the page does not know. */
async function drawings(page) {
  const drawn = await page.evaluate(async () => {
    const { draw, machines } = await import("/console/state_machine.js");
    const known = Object.values(await machines());
    const unknown = {
      name: "trip",
      initial: "requested",
      states: ["requested", "lost", "found"].map((name) => ({ name, is_end: false })),
      edges: [
        { from: "requested", to: "lost", by: "lose" },
        { from: "lost", to: "found", by: "find" },
        { from: "found", to: "requested", by: "begin" },
      ],
    };
    return [...known, unknown].map((machine) => {
      const picture = draw(machine, [machine.initial]);
      const boxes = [...picture.querySelectorAll("rect")].map(
        (box) => `${box.getAttribute("x")} ${box.getAttribute("y")}`,
      );
      const lines = [...picture.querySelectorAll(".edge")].map((line) => line.getAttribute("d"));
      return {
        name: machine.name,
        states: machine.states.length,
        places: new Set(boxes).size,
        pairs: new Set(machine.edges.map(({ from, to }) => `${from} ${to}`)).size,
        lines: lines.length,
        odd: [...boxes, ...lines].filter((text) => /NaN|undefined|Infinity/.test(text)),
      };
    });
  });
  for (const { name, states, places, pairs, lines, odd } of drawn) {
    assert.deepEqual([places, lines, odd], [states, pairs, []], name);
  }
  return drawn.map(({ name, states, lines }) => `${name} ${states}/${lines}`).join(", ");
}

/** A ride from the driver's own place, so that no other driver is nearer; the car drives automatically. */
async function beADriver(page) {
  await page.locator("#map").focus();
  for (let tries = 0; tries < 10 && (await rideState(page)) === "idle"; tries++) {
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
  }
  if (await back(page).isVisible()) await back(page).click();
  await page.getByRole("button", { name: "Be a driver" }).click();
  await page.getByRole("button", { name: "Go online at the map's center" }).click();
  const badge = page.locator("#inspector .head .state");
  await until("the driver", () => badge.textContent(), "online");
  const way = recordWay(page);
  await page.getByLabel("Drive automatically").check();
  await page.locator("#map").focus();
  for (let step = 0; step < 3; step++) await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  await until("the focus", () => page.evaluate(() => document.activeElement.id), "request");
  await page.keyboard.press("Enter");
  await until("the ride", () => rideState(page), ["assigned", "arrived", "in_progress"]);
  const driver = await page.locator("#ride strong").first().textContent();
  assert.equal(driver, "You");
  await atSpeed(10, () => until("the ride", () => rideState(page), "completed", { ms: 120_000 * PATIENCE }));
  const along = await way();
  await back(page).click();
  await page.getByRole("button", { name: "Be a driver" }).click();
  await page.getByRole("button", { name: "Go offline" }).click();
  await until("the driver", () => badge.textContent(), "offline");
  await back(page).click();
  return `a ride with oneself, to its end: ${along}`;
}

function back(page) {
  return page.getByRole("button", { name: "← Latest trips" });
}

async function darkPage(page) {
  await page.locator("#inspector .list a").first().click();
  await page.locator("#inspector .machine").first().waitFor();
  await page.getByRole("tab", { name: "Charts" }).click();
  await page.waitForTimeout(1500);
  await page.screenshot({ path: join(shots, "console-dark.png") });
  const note = await accessible(page, "dark");
  await page.getByRole("button", { name: "Dark theme" }).click();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "light");
  await page.getByRole("button", { name: "Dark theme" }).click();
  return note;
}

async function phonePage(page) {
  await cityShown(page);
  const width = await page.evaluate(() => [document.scrollingElement.scrollWidth, innerWidth]);
  assert.ok(width[0] <= width[1], `${width[0]} px wide on ${width[1]}`);
  const spot = await emptySpot(page, 0.5, 0.4);
  await page.touchscreen.tap(spot.x, spot.y);
  await page.screenshot({ path: join(shots, "console-phone.png") });
  await page.locator("#inspector .list a").first().tap();
  await page.locator("#inspector .machine").first().waitFor();
  const wide = await page.evaluate(() => document.scrollingElement.scrollWidth);
  assert.ok(wide <= width[1], `${wide} px wide with a trip shown`);
  return `${width[0]} px wide, nothing scrolls sideways`;
}

function openTab(page, name) {
  return page.getByRole("tab", { name }).click();
}

/** Each experiment passes, and its story is stepped through. Two riders, one driver have a journey of their own. */
async function experiments(page) {
  await openTab(page, "Experiments");
  const cards = page.locator(".experiment[data-experiment]");
  const names = await cards.evaluateAll((all) => all.map((one) => one.dataset.experiment));
  assert.ok(names.length >= 6, `there are ${names.length} experiments`);
  const others = names.filter((name) => name !== "race");
  // The experiment that kills the service runs last.
  others.sort((a, b) => a.includes("kill") - b.includes("kill"));
  for (const name of others) {
    await runExperiment(page, name);
    await inTheCity(page, name);
    await storySteps(page, name);
    await storyLinks(page, name);
    if (name !== "charged-silent") continue;
    await storyPictures(page);
  }
  await page.screenshot({ path: join(shots, "console-experiments.png") });
  return `${others.join(", ")}: all passed, stepped through`;
}

/** The story in both themes, at the step where an answer is lost. */
async function storyPictures(page) {
  if (await back(page).isVisible()) await back(page).click();
  await page.locator(".sequence g.lost").first().click();
  for (const theme of ["light", "dark"]) {
    await page.waitForTimeout(500);
    await page.screenshot({ path: join(shots, `story-${theme}.png`) });
    await page.evaluate(AXE);
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    assert.deepEqual(violations.map((one) => `${one.impact} ${one.id}: ${one.nodes[0].target}`), [], `axe, a story in ${theme}`);
    await page.getByRole("button", { name: "Dark theme" }).click();
  }
}

async function phoneStories(page) {
  if (await back(page).isVisible()) await back(page).tap();
  await openTab(page, "Experiments");
  const note = await storiesAreRecorded(page);
  const raced = await race(page);
  const width = await page.evaluate(() => [document.scrollingElement.scrollWidth, innerWidth]);
  assert.ok(width[0] <= width[1], `${width[0]} px wide with a story on ${width[1]}`);
  await page.screenshot({ path: join(shots, "console-story-phone.png"), fullPage: true });
  if (await back(page).isVisible()) await back(page).tap();
  return `${note}; ${raced}; ${await accessible(page, "light, phone")}`;
}

/** Waits at a speed of domain time. On a busy machine the console lowers it, and it is set again. */
async function atSpeed(scale, wait) {
  await setClock({ scale });
  const again = setInterval(() => setClock({ scale }).catch(() => {}), 2_000);
  try {
    await wait();
  } finally {
    clearInterval(again);
  }
  await setClock({ scale: 1 });
}

async function setClock(body) {
  const answer = await fetch(`${demo.url}/v1/sandbox/clock`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  assert.equal(answer.status, 200);
}
