// Journeys for faults that were found by trying the console as a newcomer would, on desktop and phone.

import assert from "node:assert/strict";

import { PATIENCE, until } from "./page.mjs";

/** All journeys: `[name, walk]`; each walk gets the page and the demo, and returns what it saw. */
export const FAULTS = [
  ["the city stays while being a driver", ownDriverKeepsTheMap],
  ["a lost answer is asked for again under the same key", lostAnswer],
  ["a killed service in mid-ride", killedInMidRide],
  ["an ended trip has nothing to skip", endedTrip],
  ["the calls of the page are listed", pollsAreListed],
  ["an offer alerts whichever panel is open", offerAlerts],
  ["a reset asks with the focus on Cancel", quietAtFirst],
  ["domain time is labelled", domainTimeIsLabelled],
  ["charts have an axis, marks and gaps", charts],
  ["speeds that are kept up with", speeds],
];

/** The highest speed of the clock: no machine keeps up with it. */
const TOO_FAST = 1000;
const RECOVERS_MS = 15_000;
/** Of the drivers of the demo. */
const DRIVERS_BACK = 90;

const state = (page) => page.locator("#ride").getAttribute("data-state");

async function send(demo, method, path, { token, body } = {}) {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID() };
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(demo.url + path, { method, headers, body: body && JSON.stringify(body) });
  return { status: answer.status, body: await answer.json().catch(() => null) };
}

const token = async (demo, role, subject) =>
  (await send(demo, "POST", "/v1/sandbox/tokens", { body: subject ? { role, subject } : { role } })).body.token;

/** Returns this browser's own rider: their id and token. */
async function ownRider(page, demo) {
  const subject = await page.evaluate(async () => (await import("/console/session.js")).myRider());
  return { subject, token: await token(demo, "rider", subject) };
}

async function drivers(page) {
  return Number(/^(\d+) drivers/.exec(await page.locator("#map-status").textContent())?.[1] ?? 0);
}

async function free(page) {
  return Number(/, (\d+) free/.exec(await page.locator("#map-status").textContent())?.[1] ?? 0);
}

async function cityShown(page) {
  await until("the city", async () => (await drivers(page)) > 0, true, { ms: 20_000 * PATIENCE });
}

/** Ends the ride of this page, if there is one, and starts over. */
async function idle(page, demo) {
  const rider = await ownRider(page, demo);
  const { body } = await send(demo, "GET", "/v1/trips?limit=1", { token: rider.token });
  const trip = body.items[0];
  if (trip && trip.ended_at === null) {
    await send(demo, "POST", `/v1/trips/${trip.id}/cancel`, { token: rider.token, body: {} });
    // With the rider in the car there is nothing to cancel: the ride goes on to its end, faster.
    const isOver = async () => {
      await send(demo, "POST", "/v1/sandbox/clock", { body: { scale: 20 } });
      return (await send(demo, "GET", `/v1/trips/${trip.id}`, { token: rider.token })).body.ended_at !== null;
    };
    await until("the end of the ride before", isOver, true, { ms: 120_000 * PATIENCE });
    await send(demo, "POST", "/v1/sandbox/clock", { body: { scale: 1 } });
  }
  await page.goto(new URL("/city", page.url()).href);
  await cityShown(page);
  await until("no ride", () => state(page), "idle");
}

/** Requests a price from a place to another by clicks in the page's own terms: Enter puts a pin at the map's center. */
async function quote(page) {
  await page.locator("#map").focus();
  await page.keyboard.press("Enter");
  for (let step = 0; step < 4; step++) await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  await until("the price", () => state(page), "quoted");
}

async function ownDriverKeepsTheMap(page, demo) {
  await cityShown(page);
  const before = await drivers(page);
  let opened = 0;
  page.on("websocket", () => opened++);
  await page.getByRole("button", { name: "Be a driver" }).click();
  await page.getByRole("button", { name: "Go online at the map's center" }).waitFor();
  await page.waitForTimeout(3000);
  assert.equal(opened, 0, "the page opened its live socket again");
  assert.equal(await page.locator("#connection").textContent(), "");
  assert.ok((await drivers(page)) >= before / 2, "the city is gone");
  await page.getByRole("button", { name: "← Latest trips" }).click();
  return `${before} drivers before, ${await drivers(page)} after`;
}

async function lostAnswer(page, demo) {
  await idle(page, demo);
  await quote(page);
  const keys = [];
  await page.route("**/v1/trips", async (route) => {
    if (route.request().method() !== "POST") return route.fallback();
    keys.push(route.request().headers()["idempotency-key"]);
    if (keys.length > 1) return route.fallback();
    await route.fetch(); // the service does it, and the answer is lost
    return route.abort("connectionreset");
  });
  await page.locator("#request").press("Enter");
  await page.locator(".notice", { hasText: "same Idempotency-Key" }).waitFor();
  await until("the ride", () => state(page), ["requested", "searching", "offered", "assigned", "arrived"]);
  await page.unroute("**/v1/trips");
  assert.equal(new Set(keys).size, 1, `keys ${keys}`);
  assert.ok(keys.length >= 2);
  assert.doesNotMatch(await page.locator("#ride").innerText(), /TypeError|Failed to fetch/);
  const rider = await ownRider(page, demo);
  const { body } = await send(demo, "GET", "/v1/trips?limit=50", { token: rider.token });
  assert.equal(body.items.filter(({ ended_at }) => ended_at === null).length, 1, "one ride");
  const focus = await page.evaluate(() => document.getElementById("ride").contains(document.activeElement));
  assert.ok(focus, "the focus left the card");
  return `sent ${keys.length} times under one key, one ride`;
}

async function killedInMidRide(page, demo) {
  if ((await state(page)) === "idle") {
    await quote(page);
    await page.locator("#request").press("Enter");
  }
  await until("the ride", () => state(page), ["assigned", "arrived", "in_progress"], { ms: 60_000 * PATIENCE });
  const cars = await drivers(page);
  await send(demo, "POST", "/v1/sandbox/kill");
  await page.locator(".notice", { hasText: "goes on" }).waitFor();
  assert.equal(await page.locator("body.down").count(), 1, "the map is dimmed");
  await until("the connection", () => page.locator("#connection").textContent(), "", { ms: 30_000 * PATIENCE });
  await until("the notice", () => page.locator(".notice").isHidden(), true, { ms: 15_000 * PATIENCE });
  const now = await state(page);
  assert.ok(["assigned", "arrived", "in_progress", "completed"].includes(now), now);
  assert.doesNotMatch(await page.locator("#ride").innerText(), /TypeError|Failed to fetch/);
  await until("the drivers", async () => (await drivers(page)) >= cars / 2, true, { ms: 15_000 * PATIENCE });
  return `${now} after the kill, ${await drivers(page)} drivers`;
}

/** Requests a ride of another rider in the middle of the map's city; the card decides whether it ends at once. */
async function requestElsewhere(demo, payment_method) {
  const rider = await token(demo, "rider");
  const { body: city } = await send(demo, "GET", "/v1/sandbox/streets");
  const [lon, lat] = city.coordinates[0][0];
  const body = { pickup: { lat, lon }, dropoff: { lat: lat + 0.01, lon } };
  const quoted = await send(demo, "POST", "/v1/quotes", { token: rider, body });
  const order = { quote_id: quoted.body.id, payment_method };
  const trip = (await send(demo, "POST", "/v1/trips", { token: rider, body: order })).body;
  return { rider, id: trip.id };
}

async function endedTrip(page, demo) {
  const { rider, id } = await requestElsewhere(demo, "pm_card_chargeDeclined");
  const read = async () => (await send(demo, "GET", `/v1/trips/${id}`, { token: rider })).body.state;
  await until("the declined trip", read, "payment_failed");
  const select = (id) =>
    page.evaluate(async (id) => (await import("/console/bus.js")).emit("select", id && { kind: "trip", id }), id);
  const skip = page.locator(".clock button", { hasText: /skip/i });
  const height = async () => (await page.locator("header.bar").boundingBox()).height;
  const before = await height();
  await select(id);
  await page.waitForTimeout(2500 * PATIENCE);
  assert.ok(await skip.isDisabled(), await skip.textContent());
  assert.equal(await height(), before, "the bar grew");
  // A trip that is under way has a deadline, which the button names.
  const live = await requestElsewhere(demo, "pm_card_visa");
  await select(live.id);
  await until("a deadline", () => skip.isEnabled(), true);
  const text = await skip.textContent();
  assert.match(text, / in \d+ (s|min): skip$/);
  await skip.click();
  await page.locator(".clock-note:not(:empty)").waitFor();
  await send(demo, "POST", `/v1/trips/${live.id}/cancel`, { token: live.rider, body: {} });
  await select(null);
  await until("the note", () => page.locator(".clock-note").textContent(), "");
  return `nothing to skip on the ended trip; on another: "${text}"`;
}

async function pollsAreListed(page) {
  await page.getByRole("tab", { name: "Requests" }).click();
  const panel = page.locator("#requests");
  const box = panel.getByRole("checkbox");
  const label = async () => Number(/list the (\d+) calls/.exec(await panel.locator("label").textContent())[1]);
  await until("the page's calls", async () => (await label()) > 2, true);
  await box.check();
  const rows = panel.locator(".log > li");
  await until("their rows", async () => (await rows.count()) > 2, true);
  const listed = await rows.count();
  await rows.first().locator("summary").click();
  await panel.getByText("As a command").first().waitFor();
  await box.uncheck();
  return `${await label()} calls of the page counted, ${listed} listed`;
}

/** The own driver has an offer while the inspector shows something else. The trip starts at the driver's place, so that no other driver is nearer. */
async function offerAlerts(page, demo) {
  await idle(page, demo);
  await page.getByRole("button", { name: "Be a driver" }).click();
  await page.getByRole("button", { name: "Go online at the map's center" }).click();
  await until("the driver", () => page.locator("#inspector .head .state").textContent(), "online");
  await page.getByRole("button", { name: "← Latest trips" }).click();
  const alert = page.locator(".offer-alert");
  const driver = await page.evaluate(async () => (await import("/console/session.js")).myDriver());
  const asDriver = await token(demo, "driver", driver);
  const { body: profile } = await send(demo, "GET", "/v1/drivers/me", { token: asDriver });
  const pickup = profile.position;
  let seen = false;
  for (let tries = 0; tries < 6 && !seen; tries++) {
    const rider = await token(demo, "rider");
    const dropoff = { lat: pickup.lat + 0.01, lon: pickup.lon };
    const quoted = await send(demo, "POST", "/v1/quotes", { token: rider, body: { pickup, dropoff } });
    await send(demo, "POST", "/v1/trips", { token: rider, body: { quote_id: quoted.body.id, payment_method: "pm_card_visa" } });
    seen = await alert.waitFor({ timeout: 8000 * PATIENCE }).then(() => true, () => false);
  }
  assert.ok(seen, "no alert");
  assert.match(await alert.innerText(), /Offer for your car: \$\d+\.\d\d/);
  await page.getByRole("button", { name: "Your trips" }).click();
  assert.ok(await alert.isVisible(), "the alert left with the panel");
  await alert.getByRole("button", { name: "Accept" }).click();
  await alert.waitFor({ state: "detached" });
  const { body: after } = await send(demo, "GET", "/v1/drivers/me", { token: asDriver });
  const trip = after.trip?.id;
  if (trip) await send(demo, "POST", `/v1/trips/${trip}/cancel`, { token: asDriver, body: {} });
  await send(demo, "PUT", "/v1/drivers/me/availability", { token: asDriver, body: { available: false } });
  await page.goto(new URL("/city", page.url()).href);
  await cityShown(page);
  return trip ? `accepted ${trip} from another panel` : "the offer had ended";
}

async function quietAtFirst(page) {
  await page.getByRole("button", { name: "Reset", exact: true }).click();
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Cancel");
  await page.keyboard.press("Enter");
  await until("the dialog", () => page.locator("dialog").count(), 0);
  await cityShown(page);
  return "Enter in the dialog changes nothing";
}

async function domainTimeIsLabelled(page) {
  assert.match(await page.locator(".domain-face").innerText(), /Domain time/);
  await page.locator("#inspector .list time.domain").first().waitFor();
  const unlabelled = await page.locator("#inspector .list time").evaluateAll((all) => all.filter((one) => !/domain/.test(one.textContent)).length);
  assert.equal(unlabelled, 0);
  return "in the bar and in the list";
}

async function charts(page, demo) {
  await page.reload();
  await page.getByRole("tab", { name: "Charts" }).click();
  const first = page.locator(".chart svg").first();
  await first.waitFor();
  assert.equal(await page.locator(".chart").count(), 5);
  // The page was opened anew, so that nothing has been read yet.
  const empty = page.locator(".chart .empty").nth(2);
  assert.match(await empty.textContent(), /^(The first point comes in about \d+ s\.)?$/);
  assert.match(await first.locator(".axis").allTextContents().then((all) => all.join(" ")), /min.*now/);
  const kill = () => page.evaluate(async () => (await import("/console/api.js")).call({ as: null, method: "POST", path: "/v1/sandbox/kill" }));
  await until("a line", async () => ((await page.locator(".chart").nth(2).locator("path.line").first().getAttribute("d")) ?? "").includes("L"), true, { ms: 20_000 * PATIENCE });
  assert.equal(await empty.textContent(), "", "there is a point");
  await kill();
  const supply = page.locator(".chart").nth(2);
  await until("the gap", async () => (await supply.locator(".away").count()) > 0, true, { ms: 20_000 * PATIENCE });
  await until("the mark", async () => /kill/.test(await first.getAttribute("data-marks")), true);
  await until("the connection", () => page.locator("#connection").textContent(), "", { ms: 30_000 * PATIENCE });
  await until("two parts of the line", async () => ((await supply.locator("path.line").first().getAttribute("d")).match(/M/g) ?? []).length >= 2, true, { ms: 30_000 * PATIENCE });
  // No zero: the line of the free drivers stays off the bottom.
  const ys = (await supply.locator("path.line").first().getAttribute("d")).split(/[ML]/).filter(Boolean).map((point) => Number(point.split(" ")[1]));
  assert.ok(Math.max(...ys) < 103.9, `a value at the bottom: ${Math.max(...ys)}`);
  await first.scrollIntoViewIfNeeded();
  const box = await first.boundingBox();
  await page.mouse.move(box.x + box.width * 0.98, box.y + box.height / 2);
  assert.equal(await page.locator(".chart .cross[visibility=visible]").count(), 5, "one crosshair in each chart");
  await page.mouse.move(0, 0);
  await page.getByRole("tab", { name: "Requests" }).click();
  return "a gap and a mark for the kill, a shared crosshair";
}

/** A speed that only the API can set: the city does not keep up, and the page lowers it. Then a reset, and the city is back. */
async function speeds(page, demo) {
  const clock = async () => (await send(demo, "GET", "/v1/sandbox/clock")).body;
  const options = () =>
    page.locator(".clock select option").evaluateAll((all) => all.map(({ value }) => Number(value)));
  const offered = await options();
  const { sustainable_scale } = await clock();
  assert.ok(offered.includes(1) && Math.max(...offered) <= sustainable_scale, `${offered} of ${sustainable_scale}`);
  await send(demo, "POST", "/v1/sandbox/clock", { body: { scale: TOO_FAST } });
  await page.locator(".clock-note", { hasText: "too fast for this machine" }).waitFor({ timeout: 30_000 * PATIENCE });
  const { scale } = await clock();
  assert.ok(scale < TOO_FAST);
  assert.ok(!(await options()).includes(TOO_FAST), "it is still offered");
  await page.getByRole("button", { name: "Reset", exact: true }).click();
  await page.getByRole("button", { name: "Delete everything" }).click();
  const began = performance.now();
  await page.waitForEvent("load", { timeout: 60_000 * PATIENCE }).catch(async (error) => {
    throw new Error(`no reset, but "${await page.locator(".clock-note").textContent()}"`, { cause: error });
  });
  const isBack = async () => (await drivers(page)) >= DRIVERS_BACK && (await free(page)) >= DRIVERS_BACK / 2;
  await until("the drivers", isBack, true, { ms: RECOVERS_MS * PATIENCE });
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  return `${offered.map((n) => `${n}×`).join(", ")} offered; ${TOO_FAST}× lowered to ${scale}×; ${await drivers(page)} drivers ${seconds} s after the reset`;
}
