// Journeys through the timeline of a ride.

import assert from "node:assert/strict";
import { join } from "node:path";

import { PATIENCE, until } from "./page.mjs";

const SECTION = { hasText: /^Timeline/ };

/** The section *Timeline* of the inspector. */
function timeline(page) {
  return page.locator("#inspector").locator("details", { has: page.locator(":scope > summary", SECTION) });
}

/** The rows of a kind as the text of their label and outcome. */
async function rows(page, kind) {
  const texts = await timeline(page).locator(`.kind-${kind}`).evaluateAll((all) =>
    all.map((row) => ["what", "outcome"].map((name) => row.querySelector(`.${name}`)?.textContent ?? "").join(", ")),
  );
  return texts;
}

/** After a ride that was captured: everything that happened for it is in its timeline. */
export async function timelineOfARide(page, shots) {
  await timeline(page).locator(":scope > summary").click();
  const has = (kind, wanted) => async () => (await rows(page, kind)).some((text) => text.startsWith(wanted));
  for (const [kind, wanted] of [
    ["request", "POST /v1/trips"],
    ["provider-call", "create, succeeded"],
    ["provider-call", "confirm, succeeded"],
    ["trip-event", "accept, offered → assigned"],
    ["provider-call", "capture, succeeded"],
    ["payment-event", "state changed, capturing → captured"],
    ["posting", "charge"],
    ["posting", "capture"],
  ]) {
    await until(`a row of ${kind}: ${wanted}`, has(kind, wanted), true, { ms: 20_000 * PATIENCE });
  }
  const count = await timeline(page).locator(".span").count();
  const traces = await timeline(page).locator(".trace").count();
  assert.ok(traces >= 5, `${traces} traces`);
  await timeline(page).evaluate((section) => section.scrollIntoView());
  await page.screenshot({ path: join(shots, "timeline-light.png") });
  return `${count} rows in ${traces} traces`;
}

/** All bars have one scale: as long as the time that they took, whatever their trace. */
export async function oneScale(page) {
  assert.equal(await timeline(page).locator(".axis").count(), 1, "one axis");
  const bars = await timeline(page).locator(".span").evaluateAll((all) =>
    all.flatMap((row) => {
      const [took, bar] = [row.querySelector(".took").textContent, row.querySelector(".extent")];
      const [, number, unit] = /^([\d.]+) (ms|s)$/.exec(took) ?? [];
      const trace = row.closest(".trace").querySelector("strong").textContent;
      return bar && number ? [{ trace, ms: Number(number) * (unit === "s" ? 1000 : 1), px: bar.getBoundingClientRect().width, all: bar.parentElement.clientWidth }] : [];
    }),
  );
  // A short one is drawn wider than it is, to be seen.
  const long = bars.filter(({ px, all }) => px > all * 0.02);
  const scales = long.map(({ ms, px }) => ms / px);
  const [least, most] = [Math.min(...scales), Math.max(...scales)];
  assert.ok(long.length >= 2 && most / least < 1.25, `${least} to ${most} ms a pixel: ${JSON.stringify(long)}`);
  return `${long.length} bars of ${new Set(long.map(({ trace }) => trace)).size} traces at ${((least + most) / 2).toFixed(2)} ms a pixel`;
}

/** A row opens by the keyboard, shows the SQL, and stays open while the timeline is refreshed. */
export async function rowByKeyboard(page) {
  const run = timeline(page).locator(".kind-worker-run").first();
  await run.locator("summary").focus();
  await page.keyboard.press("Enter");
  await run.locator(".sql li").first().waitFor();
  const statements = await run.locator(".sql li").count();
  await page.waitForTimeout(3500);
  assert.ok(await run.evaluate((row) => row.open), "the row is still open after a refresh");
  const focused = await page.evaluate(() => document.activeElement.closest(".span") !== null);
  assert.ok(focused, "the focus is still on a row");
  const bars = await timeline(page).locator(".track > span").evaluateAll((all) =>
    all.filter((bar) => {
      const [own, track] = [bar.getBoundingClientRect(), bar.parentElement.getBoundingClientRect()];
      return own.left < track.left - 6 || own.right > track.right + 6;
    }).length,
  );
  assert.equal(bars, 0, "bars outside of their axis");
  return `${statements} statements of a worker run`;
}

/** The history of the payment has every step, also those before the inspector was open. */
export async function historyOfThePayment(page) {
  const history = page.getByRole("region", { name: "History of the payment" });
  await until("the steps", () => history.locator("tbody tr").count(), [4, 5]);
  const steps = await history.locator("tbody tr td:nth-child(3)").allTextContents();
  assert.deepEqual(steps.slice(0, 4), ["opened", "state changed", "goal set", "state changed"]);
  return steps.join(", ");
}
