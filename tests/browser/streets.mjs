// Journeys over the streets: pins in the water, the way of the own car, offers with an address, and what the symbols mean.

import assert from "node:assert/strict";

import { freeSpots } from "./city.mjs";
import { PATIENCE, until } from "./page.mjs";

/** Nearer than this, a car is on a street: streets are up to 21 m wide. */
const ON_STREET_M = 25;
/** Positions off the streets: on the way from and to a door. */
const OFF_SHARE_MAX = 0.15;
const LEGEND_SHARE_MAX = 0.12;

const state = (page) => page.locator("#ride").getAttribute("data-state");
const isPhone = (page) => page.viewportSize().width <= 820;
const touch = (page, { x, y }) => (isPhone(page) ? page.touchscreen.tap(x, y) : page.mouse.click(x, y));

const apart = (page, places) =>
  page.evaluate(async (places) => {
    const { metersToStreet } = await import("/console/streets.js");
    return places.map(metersToStreet);
  }, places);

/** A pin in the water goes to the nearest street; the card says so, and the price is for that place. */
export async function pinInTheWater(page) {
  const ride = page.locator("#ride");
  const moved = ride.locator(".moved");
  await page.getByRole("button", { name: "Show the whole city" }).click();
  let tried = 0;
  for (const spot of await freeSpots(page)) {
    tried++;
    await touch(page, spot);
    await until("a pin", () => state(page), "pickup");
    if ((await moved.count()) > 0 && /water/.test(await moved.textContent())) break;
    await ride.getByRole("button", { name: "Start over" }).click();
    await until("no pin", () => state(page), "idle");
  }
  assert.equal(await state(page), "pickup", `no water at ${tried} places of the map`);
  const text = await moved.textContent();
  assert.match(text, /it is in the water\. Your pickup is now on .+, [\d.]+ k?m away\.$/);
  const asked = page.waitForRequest((request) => request.url().endsWith("/v1/quotes"));
  const box = await page.locator("#map").boundingBox();
  await touch(page, { x: box.x + box.width * 0.55, y: box.y + box.height * 0.5 });
  const { pickup } = (await asked).postDataJSON();
  await until("the price", () => state(page), "quoted");
  assert.match(await moved.textContent(), /in the water/, "the card of the price says so, too");
  const [away] = await apart(page, [pickup]);
  assert.ok(away < 1, `the pickup is ${away} m from a street`);
  await ride.getByRole("button", { name: "Start over" }).click();
  return `"${text}"`;
}

/** Records the positions that this page sends for its own driver, and whether they lie on streets. */
export function recordWay(page) {
  const places = [];
  const listener = (request) => {
    if (request.method() === "PUT" && request.url().endsWith("/v1/drivers/me/location")) places.push(request.postDataJSON().position);
  };
  page.on("request", listener);
  return async () => {
    page.off("request", listener);
    const all = places.filter((place, index) => index === 0 || JSON.stringify(place) !== JSON.stringify(places[index - 1]));
    const off = (await apart(page, all)).filter((meters) => meters > ON_STREET_M).length;
    assert.ok(all.length >= 8 && off / all.length <= OFF_SHARE_MAX, `${off} of ${all.length} positions are on no street`);
    return `${all.length} positions, ${all.length - off} of them on a street`;
  };
}

/** An offer has an address; the search leads to it, and it leads to its trip. */
export async function offerAddress(page, demo) {
  const token = await page.evaluate(async () => (await import("/console/session.js")).token("ops"));
  const headers = { Authorization: `Bearer ${token.token}` };
  const get = async (path) => (await fetch(demo.url + path, { headers })).json();
  const { items } = await get("/v1/trips?limit=50");
  const trip = items.find(({ driver_id }) => driver_id);
  const offer = (await get(`/v1/trips/${trip.id}/explain`)).match_cycles.at(-1).offer_id;
  await page.locator("#search-id").fill(offer);
  await page.locator("#search-id").press("Enter");
  await until("the address", () => new URL(page.url()).pathname, `/city/offers/${offer}`);
  await page.goto(`${demo.url}/city/offers/${offer}`);
  const panel = page.locator("#inspector");
  await until("the driver", () => panel.locator(`dl a[title="${trip.driver_id}"]`).count(), 1);
  assert.equal(await panel.locator(".head .state").textContent(), "accepted");
  await panel.locator(`dl a[title="${trip.id}"]`).click();
  await until("the trip", () => panel.getAttribute("data-kind"), "trip");
  await page.goto(`${demo.url}/city/offers/ofr_01jd7zq8w3e9mvd1ab2c3d4e5f`);
  await page.getByText("Offer not found.").waitFor();
  // A quote leads to its trip; the second one has none.
  await page.locator("#search-id").fill(trip.quote_id);
  await page.locator("#search-id").press("Enter");
  await until("the trip", () => new URL(page.url()).pathname, `/city/trips/${trip.id}`);
  const quote = await page.evaluate(async ({ pickup, dropoff }) => {
    const { call } = await import("/console/api.js");
    return (await call({ as: "rider", method: "POST", path: "/v1/quotes", body: { pickup, dropoff }, quiet: true })).body.id;
  }, trip);
  await page.locator("#search-id").fill(quote);
  await page.locator("#search-id").press("Enter");
  await page.getByText("No trip has it.").waitFor();
  return `${offer} leads to ${trip.id}`;
}

/** Every symbol of the map is explained where it is needed, and the line covers little of the city. */
export async function legendInTheLine(page) {
  const line = page.locator("#map-status");
  await until("the symbols", () => line.locator("canvas").count(), 6);
  const text = await line.textContent();
  for (const word of ["free", "with an offer", "to the pickup", "with a rider", "out of contact", "riders? waiting"]) {
    assert.match(text, new RegExp(`\\d+ ${word}`));
  }
  assert.ok(await line.isVisible());
  const [own, map] = [await line.boundingBox(), await page.locator("#map").boundingBox()];
  const share = (own.width * own.height) / (map.width * map.height);
  assert.ok(share < LEGEND_SHARE_MAX || own.y >= map.y + map.height - 1, `the line covers ${(share * 100).toFixed(0)} % of the map`);
  const prompt = await page.locator("body").innerText();
  if (isPhone(page)) assert.doesNotMatch(prompt, /\bclick\b/i, "a finger does not click");
  return text;
}

/** While the rider is in the car, the ride skips to the arrival; the clock is as before afterwards. */
export async function skipToTheArrival(page) {
  const ride = page.locator("#ride");
  const ends = { ms: 180_000 * PATIENCE };
  const skipped = [];
  const skip = async (name, wanted) => {
    const button = ride.getByRole("button", { name });
    const isThere = async () => wanted.includes(await state(page)) || (await button.isVisible());
    await until(`the button ${name}`, isThere, true, ends);
    if (wanted.includes(await state(page))) return;
    skipped.push(await button.textContent());
    await button.click();
    await until("the ride", () => state(page), wanted, ends);
  };
  await skip(/^Skip to your car/, ["arrived", "in_progress", "completed"]);
  await until("the ride", () => state(page), ["in_progress", "completed"], ends);
  await skip(/^Skip to the arrival/, ["completed"]);
  assert.doesNotMatch(await ride.innerText(), /domain/, "domain time means nothing to a rider");
  const clock = async () => (await (await fetch(new URL("/v1/sandbox/clock", page.url()))).json()).scale;
  await until("the clock", clock, 1);
  return skipped.length > 0 ? skipped.join("; ") : "both ways were too short to skip";
}
