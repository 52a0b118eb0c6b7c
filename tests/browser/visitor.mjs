// From the start of the program to a matched ride, as a visitor would get there: the clicks are counted by the page, the seconds are printed.

import assert from "node:assert/strict";

import { PATIENCE, until } from "./page.mjs";

const CLICKS_MAX = 3;
/** A limit for a machine that does not get there at all. How long it takes is printed, and no gate: other steps run at the same time. */
const GIVES_UP_MS = 60_000 * PATIENCE;

const state = (page) => page.locator("#ride").getAttribute("data-state");

/** Counts what a person clicks or taps on all pages of a tab, from now on. */
export async function countClicks(page) {
  const counted = { clicks: 0 };
  await page.exposeBinding("countClick", () => counted.clicks++);
  await page.addInitScript(() => addEventListener("click", ({ isTrusted }) => isTrusted && window.countClick(), { capture: true }));
  return counted;
}

/** Starts at `/` and follows what the page offers. */
export async function fromTheFrontPage(page, demo) {
  const counted = await countClicks(page);
  await page.reload();
  await page.getByRole("link", { name: "Take a ride" }).click();
  await page.getByRole("button", { name: "Request this ride" }).click({ timeout: GIVES_UP_MS });
  return `${await matched(page, counted, demo.startedAt)} from the start of the program, of which ${(demo.readyMs / 1000).toFixed(1)} s until it was ready`;
}

/** Waits for the match, checks the number of clicks, and says how many seconds have passed since a time. */
export async function matched(page, counted, since) {
  await until("the ride", () => state(page), ["assigned", "arrived"], { ms: GIVES_UP_MS });
  const s = (performance.now() - since) / 1000;
  assert.ok(counted.clicks >= 2 && counted.clicks <= CLICKS_MAX, `${counted.clicks} clicks`);
  return `matched after ${counted.clicks} clicks and ${s.toFixed(1)} s`;
}
