// Journeys over the map of the city: what it shows, and that a pin can be placed everywhere.

import assert from "node:assert/strict";

import { until } from "./page.mjs";

const CLICKS = 40, TAPS = 25;
const COLUMNS = 11, ROWS = 9;

/** The map has names, a scale and the name of the city; the examples of the API's document lie on its streets. */
export async function cityIsDrawn(page) {
  const names = page.locator("canvas[data-names]");
  await until("the names", async () => Number(await names.getAttribute("data-names")) > 5, true);
  const scale = page.locator(".scale");
  assert.match(await scale.innerText(), /Port Linden[^]*\d (m|km)$/);
  const { source, roads, areas } = await page.evaluate(async () => {
    const ends = "from_lat=40.7484&from_lon=-73.9857&to_lat=40.7061&to_lon=-74.0087";
    const route = await (await fetch(`/v1/sandbox/route?${ends}`)).json();
    const map = await (await fetch("/v1/sandbox/streets")).json();
    return { source: route.source, roads: map.roads.length, areas: map.areas.map(({ kind }) => kind) };
  });
  assert.equal(source, "streets");
  assert.deepEqual([...new Set(areas)].sort(), ["district", "park", "water"]);
  const before = await scale.innerText();
  for (let step = 0; step < 3; step++) await page.getByRole("button", { name: "Zoom in" }).click();
  await until("the other scale", async () => (await scale.innerText()) !== before, true);
  await page.getByRole("button", { name: "Show the whole city" }).click();
  return `${roads} roads, ${areas.length} areas, ${await names.getAttribute("data-names")} names`;
}

/** A selected trip has its route asked for, along the streets. */
export async function routeOfTrip(page) {
  // The way to the pickup may be short; that of the ride is not.
  const isRoute = async (answer) => answer.url().includes("/v1/sandbox/route?") && (await answer.json()).coordinates.length > 3;
  const answered = page.waitForResponse(isRoute);
  const active = page.locator("#inspector .list a", { hasText: /assigned|in progress|arrived/ });
  await active.first().click();
  const { source, coordinates } = await (await answered).json();
  assert.equal(source, "streets");
  await page.getByRole("button", { name: "← Latest trips" }).click();
  return `${coordinates.length} points`;
}

/** Every click places a pin. A car or rider under it is offered beside the pin, and selected there. */
export async function pinsEverywhere(page) {
  return placePins(page, CLICKS, (x, y) => page.mouse.click(x, y));
}

/** Every tap places a pin. */
export async function pinsByTouch(page) {
  return placePins(page, TAPS, (x, y) => page.touchscreen.tap(x, y));
}

async function placePins(page, count, click) {
  const ride = page.locator("#ride");
  const spots = await freeSpots(page);
  assert.ok(spots.length >= count, `only ${spots.length} spots of the map are not covered`);
  let offered = 0;
  for (let n = 0; n < count; n++) {
    const { x, y } = spots[Math.floor((n * spots.length) / count)];
    await click(x, y);
    await until(`the pin of click ${n + 1} at ${x}, ${y}`, () => ride.getAttribute("data-state"), "pickup");
    assert.equal(await page.getByRole("button", { name: "← Latest trips" }).count(), 0, "the inspector has opened");
    const beside = page.locator(".beside button");
    if ((await beside.count()) > 0 && ++offered === 1) {
      await beside.click();
      await page.getByRole("button", { name: "← Latest trips" }).click();
    }
    await ride.getByRole("button", { name: "Start over" }).click();
    await until("the empty card", () => ride.getAttribute("data-state"), "idle");
  }
  return `${count} pins, ${offered} of them where a car or a rider was`;
}

/** The places of a grid over the map that nothing covers. */
export function freeSpots(page) {
  return page.locator("#map").evaluate(
    (canvas, { columns, rows }) => {
      const { left, top, width, height } = canvas.getBoundingClientRect();
      const spots = [];
      for (let row = 1; row < rows; row++) {
        for (let column = 1; column < columns; column++) {
          const [x, y] = [Math.round(left + (column / columns) * width), Math.round(top + (row / rows) * height)];
          if (document.elementFromPoint(x, y) === canvas) spots.push({ x, y });
        }
      }
      return spots;
    },
    { columns: COLUMNS, rows: ROWS },
  );
}
